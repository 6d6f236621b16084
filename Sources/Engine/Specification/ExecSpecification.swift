import Errors
import Linux
import RuntimeSpec
import SandboxProtocol

extension InstanceRecord {
  /// The request for a further process: with the instance's variables, directory, user and capabilities unless it says
  /// otherwise (Docker's `POST /containers/{id}/exec`).
  ///
  /// - Throws: `invalidArgument` where nothing is to be run.
  public func execRequest(
    _ exec: ExecConfiguration, id: String, size: TerminalSize? = nil, host: HostFacts = .current
  ) throws(ApusError) -> ExecRequest {
    guard !exec.arguments.isEmpty, exec.arguments[0] != "" else {
      throw ApusError(.invalidArgument, "No exec command specified")
    }
    for text in exec.arguments + exec.environment where text.utf8.contains(0) {
      throw ApusError(.invalidArgument, "'\(text.prefix(40))' contains a NUL character")
    }
    var security = configuration.security
    if exec.privileged { security.privileged = true }
    let capabilities = try CapabilityChoice(security, host: host).capabilities
    let base = resolved.processEnvironment(
      hostname: configuration.hostname(id: self.id), terminal: exec.terminal)
    var process = ProcessSpec(
      terminal: exec.terminal, args: exec.arguments,
      env: exec.environment.isEmpty ? base : ResolvedProcess.override(base, with: exec.environment),
      cwd: exec.workingDirectory.flatMap { $0.isEmpty ? nil : $0 } ?? resolved.workingDirectory,
      capabilities: LinuxCapabilities(capabilities), rlimits: configuration.resources.ulimits.map(POSIXRlimit.init),
      noNewPrivileges: configuration.security.noNewPrivileges,
      apparmorProfile: configuration.security.confinement(on: host) ?? "")
    let size = size ?? exec.terminalSize
    if let size { process.consoleSize = ConsoleSize(height: UInt32(size.rows), width: UInt32(size.columns)) }
    let user = exec.user.flatMap { $0.isEmpty ? nil : $0 } ?? resolved.user
    return ExecRequest(
      id: id, process: process, user: user.isEmpty ? "0" : user,
      additionalGroups: exec.user == nil ? configuration.process.groups : [], stdin: exec.attachStdin,
      stdout: exec.attachStdout, stderr: exec.attachStderr, rows: size?.rows ?? 0, columns: size?.columns ?? 0)
  }
}
