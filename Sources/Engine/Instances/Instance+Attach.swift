import Errors

extension Instance {
  /// Connects to the first process's streams. Before the start it returns at once and connects when that comes.
  public func attach(_ options: AttachOptions) async throws -> any StreamSession {
    throw ApusError(.unsupported, "attach is not built yet")
  }

  public func resize(_ size: TerminalSize) async throws { throw ApusError(.unsupported, "resize is not built yet") }

  /// Prepares an exec in the running instance.
  ///
  /// - Returns: its id, for ``Engine/exec(_:)``.
  public func createExec(_ configuration: ExecConfiguration) async throws -> String {
    throw ApusError(.unsupported, "exec is not built yet")
  }
}
