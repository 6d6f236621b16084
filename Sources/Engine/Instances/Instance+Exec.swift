import Errors
import SandboxProtocol

extension Instance {
  /// Prepares an exec in the running instance.
  ///
  /// - Returns: its id, for ``Engine/exec(_:)``.
  /// - Throws: `conflict` where the instance does not run or is paused, `invalidArgument` where nothing is to be run.
  public func createExec(_ configuration: ExecConfiguration) async throws -> String {
    try checkMayExec()
    let exec = Exec(id: InstanceName.newIdentifier(), configuration: configuration, instance: self)
    // Says now what is wrong with it.
    _ = try current.execRequest(configuration, id: exec.id)
    _ = try DetachKeys(configuration.detachKeys)
    services.index.insert(exec)
    publish("exec_create: " + exec.commandLine, ["execID": exec.id])
    return exec.id
  }

  func checkMayExec() throws {
    switch current.state.status {
    case .running: return
    case .paused:
      throw ApusError(.conflict, "container \(id) is paused, unpause the container before exec")
    case .restarting:
      throw ApusError(.conflict, "Container \(id) is restarting, wait until the container is running")
    default:
      throw ApusError(.conflict, "container \(id) is not running")
    }
  }

  /// The request for the shim, made of what the instance is now.
  func execRequest(_ configuration: ExecConfiguration, id: String, size: TerminalSize?) throws -> ExecRequest {
    try checkMayExec()
    return try current.execRequest(configuration, id: id, size: size)
  }

  func resizeExec(_ id: String, _ size: TerminalSize) async throws {
    let request = ResizeRequest(execID: id, rows: size.rows, columns: size.columns)
    _ = try await running().connection.request(.resize, request.json())
  }
}
