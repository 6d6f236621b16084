import DockerTypes
import Engine
import Errors
import Hummingbird
import NIOCore

/// `/exec`: further processes in running containers.
extension DockerAPI {
  func addExecs(to router: Router<APIContext>) {
    router.add(.post, "exec/:id/start", startExec)
    router.add(.post, "exec/:id/resize", resizeExec)
    router.add(.get, "exec/:id/json", inspectExec)
  }

  @Sendable func createExec(_ request: APIRequest) async throws -> Response {
    let body = try await request.body(ExecCreateRequest.self)
    guard let arguments = body.cmd?.values, !arguments.isEmpty else {
      throw ApusError(.invalidArgument, "No exec command specified")
    }
    var configuration = ExecConfiguration()
    configuration.arguments = arguments
    configuration.environment = body.env ?? []
    configuration.workingDirectory = body.workingDir.nonEmpty
    configuration.user = body.user.nonEmpty
    configuration.terminal = body.tty
    configuration.terminalSize = TerminalSize(consoleSize: body.consoleSize)
    configuration.attachStdin = body.attachStdin
    configuration.attachStdout = body.attachStdout
    configuration.attachStderr = body.attachStderr
    configuration.privileged = body.privileged
    configuration.detachKeys = body.detachKeys.nonEmpty
    var response = IDResponse()
    response.id = try await instance(request).createExec(configuration)
    return .json(response, status: .created)
  }

  @Sendable func startExec(_ request: APIRequest) async throws -> Response {
    let exec = try engine.exec(try request.parameter("id"))
    let body = try await request.body(ExecStartRequest.self)
    let configuration = exec.record.configuration
    let size = TerminalSize(consoleSize: body.consoleSize) ?? configuration.terminalSize
    var options = AttachOptions()
    guard !body.detach else {
      _ = try await exec.start(options, size: size)
      return .empty(.ok)
    }
    options.stdin = configuration.attachStdin
    options.stdout = configuration.attachStdout
    options.stderr = configuration.attachStderr
    options.detachKeys = configuration.detachKeys
    try await requireStartable(exec)
    let hijack = Hijack(
      connection: try await request.connection(), upgrade: request.asksForUpgrade, multiplexed: !configuration.terminal,
      input: options.stdin, version: request.version)
    // Before the start: some clients lose output that comes along with the headers.
    try await hijack.begin()
    do {
      let session = try await exec.start(options, size: size)
      await hijack.carry(session ?? NoStreams(terminal: configuration.terminal))
    } catch {
      // Clients find the sentence in the output, and the status in the exec's record.
      await hijack.fail(ErrorTable.sentence(error))
    }
    return .empty(.ok)
  }

  /// What can be told with a status must be told before the connection is hijacked.
  private func requireStartable(_ exec: Exec) async throws {
    let record = exec.record
    if record.running { throw ApusError(.conflict, "Error: Exec command \(exec.id) is already running") }
    if record.exitCode != nil { throw ApusError(.conflict, "Error: Exec command \(exec.id) has already run") }
    let instance = try await engine.instance(exec.instanceID).record
    switch instance.state.status {
    case .running: return
    case .paused: throw ApusError(.conflict, "Container \(instance.id) is paused, unpause the container before exec")
    default: throw ApusError(.conflict, "Container \(instance.id) is not running")
    }
  }

  @Sendable func resizeExec(_ request: APIRequest) async throws -> Response {
    try await engine.exec(try request.parameter("id")).resize(try TerminalSize(request.query))
    return .empty(.ok)
  }

  @Sendable func inspectExec(_ request: APIRequest) async throws -> Response {
    .json(ExecInspect(try engine.exec(try request.parameter("id")).record))
  }
}

extension ExecInspect {
  init(_ record: ExecRecord) {
    self.init()
    let configuration = record.configuration
    id = record.id
    running = record.running
    exitCode = record.exitCode.map { Int($0) }
    processConfig.tty = configuration.terminal
    processConfig.entrypoint = configuration.arguments.first ?? ""
    processConfig.arguments = Array(configuration.arguments.dropFirst())
    processConfig.privileged = configuration.privileged
    processConfig.user = configuration.user
    openStdin = configuration.attachStdin
    openStdout = configuration.attachStdout
    openStderr = configuration.attachStderr
    containerID = record.instanceID
    pid = Int(record.pid)
  }
}

/// An exec without streams whose client did not ask to detach: the connection ends at once.
private struct NoStreams: StreamSession {
  let terminal: Bool
  func read() async throws -> OutputChunk? { nil }
  func write(_ bytes: ByteBuffer) async throws {}
  func closeInput() async {}
  func close() async {}
}
