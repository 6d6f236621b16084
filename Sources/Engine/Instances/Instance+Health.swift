import Errors
import FoundationEssentials
import Glibc
import Linux
import NIOCore
import SandboxProtocol

extension Instance {
  /// The effective health check, with Docker's defaults; nil where there is none.
  private struct HealthCheck: Sendable {
    var arguments: [String]
    var interval: Duration
    var timeout: Duration
    var startPeriod: Duration
    var startInterval: Duration
    var retries: Int

    init?(_ process: ResolvedProcess) {
      guard let check = process.healthCheck, let kind = check.test.first else { return nil }
      switch kind {
      case "CMD": arguments = Array(check.test.dropFirst())
      case "CMD-SHELL": arguments = (process.shell ?? ["/bin/sh", "-c"]) + check.test.dropFirst()
      default: return nil
      }
      guard !arguments.isEmpty else { return nil }
      func duration(_ nanoseconds: Int64, _ standard: Duration) -> Duration {
        nanoseconds > 0 ? .nanoseconds(nanoseconds) : standard
      }
      interval = duration(check.interval, .seconds(30))
      timeout = duration(check.timeout, .seconds(30))
      startPeriod = duration(check.startPeriod, .zero)
      startInterval = duration(check.startInterval, .seconds(5))
      retries = check.retries > 0 ? check.retries : 3
    }
  }

  private static let outputLimit = 4_096
  private static let probesKept = 5

  /// Begins to probe an instance that has just started, or was found running.
  func startHealthChecks() {
    stopHealthChecks()
    guard let check = HealthCheck(current.resolved) else {
      current.state.health = nil
      return
    }
    current.state.health = HealthState()
    let run = generation
    healthTask = Task { [weak self] in
      let start = ContinuousClock.now
      while !Task.isCancelled {
        guard let settled = await self?.current.state.health.map({ $0.status != .starting }) else { return }
        let starting = !settled && ContinuousClock.now - start < check.startPeriod
        guard (try? await Task.sleep(for: starting ? min(check.startInterval, check.interval) : check.interval)) != nil
        else { return }
        guard let self, let probe = await self.probe(check, run: run), !Task.isCancelled else { continue }
        await self.note(probe, check, inStartPeriod: ContinuousClock.now - start < check.startPeriod, run: run)
      }
    }
  }

  func stopHealthChecks() {
    healthTask?.cancel()
    healthTask = nil
  }

  /// nil: the instance cannot be asked now (paused, ending).
  private func probe(_ check: HealthCheck, run: UInt64) async -> HealthState.Probe? {
    guard run == generation, current.state.status == .running else { return nil }
    var exec = ExecConfiguration()
    exec.arguments = check.arguments
    exec.attachStdout = true
    exec.attachStderr = true
    let id = InstanceName.newIdentifier()
    let begin = Date()
    do {
      let request = try execRequest(exec, id: id, size: nil)
      let exit = ExitWait(.nextExit)
      let stream = try await openStream { code in exit.fulfil(ExitResult(exitCode: code ?? -1)) }
      _ = try await stream.begin(.exec, request.json())
      let reader = Task { await Self.output(of: stream) }
      guard let result = await exit.result(within: check.timeout) else {
        reader.cancel()
        try? await killExec(id)
        stream.close()
        return HealthState.Probe(
          start: begin, end: Date(), exitCode: -1, output: "Health check exceeded timeout (\(Self.text(check.timeout)))"
        )
      }
      let output = await reader.value
      stream.close()
      return HealthState.Probe(start: begin, end: Date(), exitCode: result.exitCode, output: output)
    } catch let error as ApusError where error.code == .unavailable || error.code == .conflict {
      return nil
    } catch {
      return HealthState.Probe(start: begin, end: Date(), exitCode: -1, output: "\(error)")
    }
  }

  private func killExec(_ id: String) async throws {
    _ = try await running().connection.request(.signal, SignalRequest(signal: SIGKILL, execID: id).json())
  }

  private static func output(of stream: ShimStream) async -> String {
    var bytes: [UInt8] = []
    while let chunk = try? await stream.read() {
      bytes.append(contentsOf: chunk.bytes.readableBytesView.prefix(outputLimit - bytes.count))
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func text(_ duration: Duration) -> String {
    let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    return seconds == seconds.rounded() ? "\(Int(seconds))s" : "\(seconds)s"
  }

  private func note(_ probe: HealthState.Probe, _ check: HealthCheck, inStartPeriod: Bool, run: UInt64) {
    guard run == generation, isUp, var health = current.state.health else { return }
    let before = health.status
    health.log.append(probe)
    if health.log.count > Self.probesKept { health.log.removeFirst() }
    if probe.exitCode == 0 {
      health.failingStreak = 0
      health.status = .healthy
    } else if health.status != .starting || !inStartPeriod {
      health.failingStreak += 1
      if health.failingStreak >= check.retries { health.status = .unhealthy }
    }
    current.state.health = health
    guard health.status != before else { return }
    save()
    publish("health_status: \(health.status.rawValue)")
  }
}
