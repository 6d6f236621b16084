import ArgumentParser
import Errors
import Glibc

struct ExecCommand: HandsOnArguments {
  static let configuration = CommandConfiguration(
    commandName: "exec", abstract: "Run a program in a running container.",
    usage: "apus exec [<options>] <container> <command> [<argument> ...]",
    discussion: """
      apus exec -it web sh
      apus exec -u postgres -e PGDATABASE=app db psql -c 'select 1'
      """)
  static let flags = "interactive i tty t detach d privileged"

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var process: ProcessOptions
  @Flag(name: .shortAndLong, help: "Do not wait for it.")
  var detach = false
  @Flag(help: "All capabilities.")
  var privileged = false
  @Option(help: .init("Keys that leave the program running.", valueName: "keys"))
  var detachKeys: String?
  @Argument(
    help: .init("The container, and the program with its arguments.", valueName: "container"),
    completion: .runningContainers)
  var words: [String]

  func run() throws {
    guard words.count > 1 else { throw UsageError("Say which program to run in \(words[0]).") }
    if process.tty, process.interactive, !detach, !Console.isTerminal(0) { throw ExitStatus.noTerminal }
    if let detachKeys { _ = try DetachKeys(detachKeys) }
    let client = try client()
    let id = try client.request("POST", Target.container(words[0], "exec"), body: try body())["Id"].string ?? ""
    let start: JSON = ["Detach": .bool(detach), "Tty": .bool(process.tty)]
    let target = Target.path(["exec", id, "start"])
    do {
      if detach {
        try client.request("POST", target, body: start)
      } else {
        let stream = try client.open("POST", target, headers: Foreground.upgrade, body: start).connection
        try ExitStatus.end(try follow(stream, id, client))
      }
    } catch let failure as APIFailure {
      let status = failure.startStatus
      throw ExitStatus(status: status == 125 ? 1 : status, message: failure.message)
    }
  }

  private func body() throws -> JSON {
    var body: JSON = [
      "Cmd": JSON(Array(words.dropFirst())), "Tty": .bool(process.tty),
      "AttachStdin": .bool(process.interactive && !detach), "AttachStdout": .bool(!detach),
      "AttachStderr": .bool(!detach),
    ]
    let environment = try process.environment(ProcessOptions.inherited)
    if !environment.isEmpty { body["Env"] = JSON(environment) }
    if let directory = process.workdir { body["WorkingDir"] = .string(directory) }
    if let user = process.user { body["User"] = .string(user) }
    if privileged { body["Privileged"] = true }
    if let detachKeys { body["DetachKeys"] = .string(detachKeys) }
    if process.tty, let size = Console.size() ?? Console.size(of: 0) {
      body["ConsoleSize"] = .array([JSON(size.rows), JSON(size.columns)])
    }
    return body
  }

  private func follow(_ stream: Connection, _ id: String, _ client: Client) throws -> Int32 {
    var session = StreamSession(
      stream: stream, waiting: nil, terminal: process.tty, forwardsInput: process.interactive)
    let raw = process.tty && process.interactive ? try RawTerminal(0) : nil
    defer { raw?.restore() }
    if raw != nil { session.keys = try DetachKeys(detachKeys ?? DetachKeys.standard) }
    if process.tty {
      session.signals = try SignalPipe([SIGWINCH] + SignalPipe.endings)
      session.onSignal = { number in
        if number == SIGWINCH { return Self.resize(id, client) }
        raw?.restore()
        Glibc.exit(128 + number)
      }
      Self.resize(id, client)
    }
    let ending = try session.run()
    if ending == .detached { return 0 }
    let exec = try client.request("GET", Target.path(["exec", id, "json"]))
    return Int32(truncatingIfNeeded: exec["ExitCode"].int ?? 0)
  }

  private static func resize(_ id: String, _ client: Client) {
    guard let size = Console.size() ?? Console.size(of: 0) else { return }
    _ = try? client.request(
      "POST", Target.path(["exec", id, "resize"], [("h", String(size.rows)), ("w", String(size.columns))]))
  }
}
