public struct ExecConfiguration: Sendable {
  public var arguments: [String] = []
  public var environment: [String] = []
  public var workingDirectory: String?
  public var user: String?
  public var terminal = false
  public var terminalSize: TerminalSize?
  public var attachStdin = false
  public var attachStdout = false
  public var attachStderr = false
  public var privileged = false
  public var detachKeys: String?
  public init() {}
}

public struct ExecRecord: Sendable {
  public var id: String
  public var instanceID: String
  public var configuration: ExecConfiguration
  public var running: Bool
  public var exitCode: Int32?
  /// On the host; 0 before it starts.
  public var pid: Int32
  public init(
    id: String, instanceID: String, configuration: ExecConfiguration, running: Bool, exitCode: Int32?, pid: Int32
  ) {
    self.id = id
    self.instanceID = instanceID
    self.configuration = configuration
    self.running = running
    self.exitCode = exitCode
    self.pid = pid
  }
}
