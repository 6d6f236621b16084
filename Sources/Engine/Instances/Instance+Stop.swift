import Errors
import Glibc
import Linux
import SandboxProtocol

extension Instance {
  /// How long processes may take to die of SIGKILL before that is an error.
  private static let killLimit = Duration.seconds(10)
  private static let defaultGrace = 10

  /// Sends the stop signal, waits `timeout` seconds (−1: for ever), then kills.
  ///
  /// - Returns: false where it was not running (Docker's 304).
  @discardableResult
  public func stop(signal: String? = nil, timeout: Int? = nil) async throws -> Bool {
    await settle()
    if try await stopRestarting() { return true }
    guard isUp else { return false }
    let number = try signal.map(Self.number) ?? stopSignal
    let grace = timeout ?? current.configuration.stopTimeout ?? Self.defaultGrace
    let exit = try await registerWait(.nextExit)
    noteStopByUser()
    try await deliver(number)
    if await exit.result(within: grace < 0 ? nil : .seconds(grace)) == nil {
      // Whoever asked may have gone; that is no reason to be less patient with the instance.
      try Task.checkCancellation()
      try await deliver(SIGKILL)
      try await awaitDeath(exit)
    }
    publish("stop")
    return true
  }

  /// Stops and starts, or only starts.
  public func restart(signal: String? = nil, timeout: Int? = nil) async throws {
    restartRequested = true
    defer { restartRequested = false }
    try await stop(signal: signal, timeout: timeout)
    try await start()
    publish("restart")
  }

  /// Sends a signal by name or number; `KILL` also waits for the end.
  public func kill(signal: String = "KILL") async throws {
    let number = try Self.number(signal)
    await settle()
    if try await stopRestarting() { return }
    guard isUp else {
      throw ApusError(.conflict, "cannot kill container: \(id): container \(id) is not running")
    }
    if number == SIGKILL || number == stopSignal { noteStopByUser() }
    guard number == SIGKILL else { return try await deliver(number) }
    let exit = try await registerWait(.nextExit)
    try await deliver(number)
    try await awaitDeath(exit)
  }

  /// Lets a start or an end that is under way come to its end first.
  private func settle() async {
    if !isUp { await lifecycle.withLock {} }
  }

  private var stopSignal: Int32 {
    current.resolved.stopSignal.flatMap { Signal.number(named: $0) } ?? SIGTERM
  }

  private static func number(_ name: String) throws -> Int32 {
    guard let number = Signal.number(named: name) else {
      throw ApusError(.invalidArgument, "Invalid signal: \(name)")
    }
    return number
  }

  private func noteStopByUser() {
    stopRequested = true
    current.state.stoppedByUser = true
  }

  /// An instance between two starts by its restart policy: there is nothing to signal, only a start to give up.
  private func stopRestarting() async throws -> Bool {
    guard current.state.status == .restarting else { return false }
    return await lifecycle.withLock {
      guard current.state.status == .restarting else { return false }
      cancelRestart()
      noteStopByUser()
      save()
      fulfilWaits([.notRunning, .nextExit])
      publish("stop")
      return true
    }
  }

  /// Signals the first process. One that has just ended is no error: its exit is on its way.
  private func deliver(_ signal: Int32) async throws {
    guard let sandbox else {
      // It has ended between two signals, unless the daemon has let go of all of them.
      guard services.isClosing else { return }
      throw ApusError(.unavailable, "container \(id) cannot be signalled: the daemon is stopping")
    }
    do {
      _ = try await sandbox.connection.request(.signal, SignalRequest(signal: signal).json())
      if current.state.status == .paused, stopRequested {
        // A frozen process dies of a signal only once it is thawed.
        current.state.status = .running
        _ = try await sandbox.connection.request(.resume)
      }
    } catch let error as ApusError
      where error.code == .unavailable || error.code == .notFound || error.code == .conflict
    {
      // Gone, or thawed by the shim itself.
    }
    publish("kill", ["signal": String(signal)])
  }

  private func awaitDeath(_ exit: ExitWait) async throws {
    if await exit.result(within: Self.killLimit) != nil { return }
    try Task.checkCancellation()
    throw ApusError(
      .deadlineExceeded,
      "container \(id) has been killed but has not ended within 10 seconds: a process in it is stuck in the kernel, "
        + "on a file system that does not answer perhaps")
  }
}
