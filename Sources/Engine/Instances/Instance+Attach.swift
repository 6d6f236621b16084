import Errors
import Linux
import SandboxProtocol

extension Instance {
  /// Connects to the first process's streams. Before the start it returns at once and connects when that comes.
  ///
  /// - Throws: `conflict` where the instance is paused, `invalidArgument` for wrong detach keys.
  public func attach(_ options: AttachOptions) async throws -> any StreamSession {
    if current.state.status == .paused {
      throw ApusError(.conflict, "container \(id) is paused, unpause the container before attach")
    }
    if current.state.status == .restarting {
      throw ApusError(.conflict, "container \(id) is restarting, wait until the container is running")
    }
    var options = options
    options.stdin = options.stdin && current.configuration.process.openStdin
    var prologue: AsyncThrowingStream<LogEntry, any Error>?
    if options.logs {
      var past = LogOptions()
      past.stdout = options.stdout
      past.stderr = options.stderr
      prologue = try await logs(past)
    }
    let session = try AttachSession(
      terminal: current.configuration.process.terminal, options: options, prologue: prologue
    ) { [weak self] in
      Task { await self?.publish("detach") }
    }
    publish("attach")
    if options.stream {
      if isUp {
        await connect(session)
      } else {
        waitingSessions.removeAll { $0.isOver }
        waitingSessions.append(session)
      }
    }
    return session
  }

  public func resize(_ size: TerminalSize) async throws {
    let request = ResizeRequest(rows: size.rows, columns: size.columns)
    guard isUp else {
      // Between create and start: it begins with this size.
      guard current.state.status == .created else {
        throw ApusError(.conflict, "Container \(id) is not running")
      }
      current.configuration.process.terminalSize = size
      return
    }
    _ = try await running().connection.request(.resize, request.json())
    publish("resize", ["height": String(size.rows), "width": String(size.columns)])
  }

  func takeWaitingSessions() -> [AttachSession] {
    defer { waitingSessions = [] }
    return waitingSessions
  }

  /// Connects a session to the sandbox. Where that fails, the session ends; the instance does not mind.
  func connect(_ session: AttachSession) async {
    do {
      let stream = try await openStream()
      let request = AttachRequest(
        stdin: session.options.stdin, stdout: session.options.stdout, stderr: session.options.stderr)
      _ = try await stream.begin(.attach, request.json())
      session.connect(stream)
    } catch {
      logger.debug("instance \(id): attach: \(error)")
      session.end()
    }
  }

  /// A new connection to the shim, for one stream.
  nonisolated func openStream(onExit: @escaping @Sendable (Int32?) -> Void = { _ in }) async throws -> ShimStream {
    try await services.blocking.run { [paths, services] in
      ShimStream(
        socket: try UnixSocket.connect(to: paths.socket, nonBlocking: true), reactor: services.reactor, onExit: onExit)
    }
  }
}
