import Errors

extension Instance {
  /// Starts the instance; waiting attaches are connected first.
  ///
  /// - Returns: false where it ran already (Docker's 304).
  /// - Throws: an error whose ``Errors/ApusError/exitStatus`` is 127 or 126 where the program is missing or cannot be run.
  @discardableResult
  public func start() async throws -> Bool { throw ApusError(.unsupported, "start is not built yet") }

  /// Sends the stop signal, waits `timeout` seconds (−1: for ever), then kills. Nothing to do where it does not run.
  ///
  /// - Returns: false where it was not running (Docker's 304).
  @discardableResult
  public func stop(signal: String? = nil, timeout: Int? = nil) async throws -> Bool {
    throw ApusError(.unsupported, "stop is not built yet")
  }

  public func restart(signal: String? = nil, timeout: Int? = nil) async throws {
    throw ApusError(.unsupported, "restart is not built yet")
  }

  /// Sends a signal by name or number; `KILL` also waits for the end.
  public func kill(signal: String = "KILL") async throws { throw ApusError(.unsupported, "kill is not built yet") }

  public func pause() async throws { throw ApusError(.unsupported, "pause is not built yet") }

  public func resume() async throws { throw ApusError(.unsupported, "unpause is not built yet") }

  public func rename(to name: String) async throws { throw ApusError(.unsupported, "rename is not built yet") }

  /// Changes limits and the restart policy, of a running instance too.
  ///
  /// - Returns: warnings.
  public func update(_ update: InstanceUpdate) async throws -> [String] {
    throw ApusError(.unsupported, "update is not built yet")
  }

  /// Removes the instance, its writable layer and log; with `volumes`, its anonymous volumes too.
  public func remove(force: Bool = false, volumes: Bool = false) async throws {
    throw ApusError(.unsupported, "remove is not built yet")
  }

  /// Waits and returns the exit code.
  public func wait(_ condition: WaitCondition = .notRunning) async throws -> ExitResult {
    try await registerWait(condition).result()
  }

  /// Registers a wait and returns at once, so that a client can be told (response headers) before the start it waits for.
  public func registerWait(_ condition: WaitCondition = .notRunning) async throws -> ExitWait {
    throw ApusError(.unsupported, "wait is not built yet")
  }
}

/// A wait that is registered already.
public final class ExitWait: Sendable {
  init() {}
  /// Suspends until the condition holds. Throws `CancellationError` when the task is cancelled.
  public func result() async throws -> ExitResult { ExitResult(exitCode: 0) }
}
