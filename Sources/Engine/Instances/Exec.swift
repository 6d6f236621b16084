import Errors
import Synchronization

/// A further process in a running instance.
public final class Exec: Sendable {
  public let id: String
  public let instanceID: String
  private let state: Mutex<ExecRecord>

  init(record: ExecRecord) {
    id = record.id
    instanceID = record.instanceID
    state = Mutex(record)
  }

  public var record: ExecRecord { state.withLock { $0 } }

  /// Starts it. With any stream in `options`, a session is connected; without, it runs detached and nil is returned.
  ///
  /// - Throws: `conflict` where it was started before or the instance does not run; an error with exit status 126 or 127
  ///   (``ApusError/exitStatus``) where the program cannot be run.
  public func start(_ options: AttachOptions, size: TerminalSize? = nil) async throws -> (any StreamSession)? {
    throw ApusError(.unsupported, "exec is not built yet")
  }

  public func resize(_ size: TerminalSize) async throws { throw ApusError(.unsupported, "exec is not built yet") }
}
