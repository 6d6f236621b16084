import Errors
import FoundationEssentials
import Glibc
import Linux
import NIOCore
import Testing

@testable import Engine

@Suite(.enabled(if: LiveEngine.isPossible), .serialized) struct LifecycleTests {
  private func withEngine(_ body: (Engine, LiveEngine) async throws -> Void) async throws {
    let live = try LiveEngine()
    let engine = try await live.open()
    do {
      try await body(engine, live)
    } catch {
      try? await live.close(engine)
      throw error
    }
    try await live.close(engine)
  }

  private func output() -> AttachOptions {
    var options = AttachOptions()
    options.stdout = true
    options.stderr = true
    return options
  }

  @Test func outputExitCodeAndEventsArrive() async throws {
    try await withEngine { engine, _ in
      let events = engine.events.subscribe()
      let instance = try await LiveEngine.create(engine, ["sh", "-c", "echo out; echo err >&2; exit 42"])
      let session = try await instance.attach(output())
      let wait = try await instance.registerWait(.nextExit)
      #expect(try await instance.start())
      #expect(Set(try await session.text().split(separator: "\n")) == ["out", "err"])
      #expect(try await wait.result().exitCode == 42)
      let state = await instance.record.state
      #expect(state.status == .exited && state.exitCode == 42 && state.pid == 0)
      try await instance.remove()
      await #expect(throws: ApusError.self) { try await engine.instance(instance.id) }
      var actions: [String] = []
      for await event in events where event.kind == "container" {
        actions.append(event.action)
        if event.action == "destroy" { break }
      }
      #expect(actions == ["create", "attach", "start", "die", "destroy"])
    }
  }

  @Test func aMissingProgramIsAnErrorWithItsStatus() async throws {
    try await withEngine { engine, _ in
      let instance = try await LiveEngine.create(engine, ["/nonesuch"])
      do {
        try await instance.start()
        Issue.record("an error was expected")
      } catch let error as ApusError {
        #expect(error.exitStatus == 127)
      }
      let state = await instance.record.state
      #expect(state.status == .created && state.exitCode == 127 && !state.error.isEmpty)
    }
  }

  @Test func stopKillPauseAndRestart() async throws {
    try await withEngine { engine, _ in
      let instance = try await LiveEngine.create(
        engine, ["sh", "-c", "trap 'exit 7' TERM; touch /tmp/up; while :; do sleep 0.02; done"])
      try await instance.start()
      #expect(try await instance.start() == false)
      // The trap must be set before the signal comes.
      try await exec(engine, instance, ["sh", "-c", "while [ ! -e /tmp/up ]; do sleep 0.01; done"])
      #expect(try await instance.stop(timeout: 5))
      #expect(await instance.record.state.exitCode == 7)
      #expect(try await instance.stop() == false)
      try await instance.restart(timeout: 0)
      try await instance.pause()
      #expect(await instance.record.state.status == .paused)
      await #expect(throws: ApusError.self) { try await instance.createExec(ExecConfiguration()) }
      try await instance.resume()
      try await instance.pause()
      try await instance.kill()
      let state = await instance.record.state
      #expect(state.status == .exited && state.exitCode == 137)
    }
  }

  @discardableResult
  private func exec(_ engine: Engine, _ instance: Instance, _ command: [String]) async throws -> Int32? {
    var configuration = ExecConfiguration()
    configuration.arguments = command
    configuration.attachStdout = true
    let exec = try engine.exec(await instance.createExec(configuration))
    let session = try await exec.start(output())
    _ = try await session?.text()
    return exec.record.exitCode
  }

  @Test func execsGiveTheirExitCodes() async throws {
    try await withEngine { engine, _ in
      let instance = try await LiveEngine.create(engine, ["sleep", "1000"])
      try await instance.start()
      #expect(try await exec(engine, instance, ["sh", "-c", "exit 3"]) == 3)
      await #expect(throws: ApusError.self) { try await exec(engine, instance, ["/nonesuch"]) }
    }
  }

  @Test func onFailureRestartsAsOftenAsAllowed() async throws {
    try await withEngine { engine, _ in
      let instance = try await LiveEngine.create(engine, ["sh", "-c", "exit 1"]) {
        $0.restartPolicy = RestartPolicy(.onFailure, maximumRetries: 2)
      }
      let events = engine.events.subscribe()
      try await instance.start()
      var deaths = 0
      for await event in events where event.action == "die" {
        deaths += 1
        if deaths == 3 { break }
      }
      _ = try await instance.wait()
      let state = await instance.record.state
      #expect(state.status == .exited && state.restartCount == 2)
    }
  }

  @Test func removeOnExitRemoves() async throws {
    try await withEngine { engine, _ in
      let instance = try await LiveEngine.create(engine, ["sh", "-c", "exit 5"]) { $0.removeOnExit = true }
      let wait = try await instance.registerWait(.removed)
      try await instance.start()
      #expect(try await wait.result().exitCode == 5)
      await #expect(throws: ApusError.self) { try await engine.instance(instance.id) }
    }
  }

  @Test func aKilledShimIsCleanedUp() async throws {
    try await withEngine { engine, _ in
      let victim = try await LiveEngine.create(engine, ["sleep", "1000"])
      let other = try await LiveEngine.create(engine, ["sleep", "1000"])
      try await victim.start()
      try await other.start()
      let wait = try await victim.registerWait(.nextExit)
      kill(await victim.record.state.shimPID, SIGKILL)
      #expect(try await wait.result().exitCode == 137)
      #expect(try Cgroups.detect().processes("apus/" + victim.id).isEmpty)
      #expect(await other.record.state.status == .running)
      // And it can be started again.
      try await victim.start()
      #expect(await victim.record.state.status == .running)
    }
  }

  @Test func theNextDaemonFindsEverything() async throws {
    let live = try LiveEngine()
    let first = try await live.open()
    let running = try await LiveEngine.create(first, ["sleep", "1000"])
    let ending = try await LiveEngine.create(first, ["sh", "-c", "sleep 0.3; exit 9"])
    let always = try await LiveEngine.create(first, ["sleep", "1000"]) { $0.restartPolicy = RestartPolicy(.always) }
    for instance in [running, ending, always] { try await instance.start() }
    let pid = await running.record.state.pid
    let lost = await always.record.state.shimPID
    await first.shutdown()
    kill(lost, SIGKILL)
    try await Task.sleep(for: .milliseconds(800))

    let second = try await live.open()
    let state = try await second.instance(running.id).record.state
    #expect(state.status == .running && state.pid == pid)
    let ended = try await second.instance(ending.id).record.state
    #expect(ended.status == .exited && ended.exitCode == 9)
    // Its shim had been killed; its policy has started it anew.
    let restarted = try await second.instance(always.id).record.state
    #expect(restarted.status == .running && restarted.shimPID != lost)
    #expect(try await exec(second, second.instance(running.id), ["true"]) == 0)
    try await live.close(second)
  }
}
