import DockerAPI
import Engine
import Errors
import Linux
import Logging
import Synchronization

/// The life of the daemon: opens the engine, serves it, and lets go of it. Containers go on without it.
final class Daemon: Sendable {
  private let configuration: EngineConfiguration
  private let socket: String
  private let group: String?
  private let logger: Logger
  private let failure = Mutex<ApusError?>(nil)

  init(configuration: EngineConfiguration, socket: String, group: String?, logger: Logger) {
    self.configuration = configuration
    self.socket = socket
    self.group = group
    self.logger = logger
  }

  /// Returns when a signal has asked for the end, and everything is put away.
  ///
  /// - Throws: why it could not start.
  func run(until signals: borrowing TerminationSignals) throws(ApusError) {
    let ended = try Latch()
    // Before any other thread: the environment is not theirs to read while it changes.
    let activated = ListeningSocket.activated()
    let life = Task.detached { [self] in
      do {
        try await serve(activated)
      } catch {
        let reason = (error as? ApusError) ?? ApusError(.internal, "the daemon cannot start: \(error)", cause: error)
        failure.withLock { $0 = reason }
      }
      ended.open()
    }
    if signals.wait(or: ended) {
      life.cancel()
      // A second signal does not wait for anybody.
      _ = signals.wait(or: ended)
    }
    if let reason = failure.withLock({ $0 }) { throw reason }
  }

  private func serve(_ activated: [Int32]) async throws {
    let engine = try await Engine.open(configuration, logger: logger)
    let server = DockerServer(engine: engine, logger: logger)
    var identity: UInt64?
    defer { ListeningSocket.remove(socket, identity: identity) }
    do {
      if activated.isEmpty {
        try await server.listen(on: ListeningSocket.open(at: socket, group: group ?? Self.usualGroup).release())
        identity = ListeningSocket.identity(of: socket)
        logger.info("apusd \(ApusVersion.current) listens on \(socket)")
      } else {
        for descriptor in activated { try await server.listen(on: descriptor) }
        logger.info("apusd \(ApusVersion.current) listens on \(activated.count) socket(s) of the service manager")
      }
      try await IdleMemory.release(for: server)
    } catch is CancellationError {
      logger.info("apusd stops; containers go on")
    } catch {
      await Self.close(server, engine)
      throw error
    }
    await Self.close(server, engine)
  }

  /// In a task of its own: this one is cancelled, and what is put away must not be.
  private static func close(_ server: DockerServer, _ engine: Engine) async {
    await Task {
      await server.shutdown()
      await engine.shutdown()
    }.value
  }

  private static var usualGroup: String? {
    ["apus", "docker"].first { ListeningSocket.existing($0) != nil }
  }
}
