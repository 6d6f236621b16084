import DockerTypes
import Engine
import Errors
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// The version of Apus.
public enum ApusVersion {
  public static let current = "0.1.0"
}

/// Serves the Docker Engine API of one engine on listening sockets.
public final class DockerServer: Sendable {
  private let group: MultiThreadedEventLoopGroup
  private let connections: HTTP1Channel
  private let logger: Logger
  private let listeners = Mutex<[any Channel]>([])

  private let requests = RequestCounter()

  /// How many requests there were so far.
  public var requestCount: UInt64 { requests.value }

  /// - Parameter threads: event loops; one serves thousands of requests a second.
  public init(engine: Engine, logger: Logger, threads: Int = 1) {
    self.logger = logger
    group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
    let requests = requests
    let responder = Responder(api: DockerAPI(engine: engine, logger: logger), logger: logger)
    connections = HTTP1Channel(
      responder: { request, writer, channel in
        requests.add()
        try await responder.respond(request, writer, channel)
      },
      configuration: HTTP1Channel.Configuration(
        httpDecoderConfiguration: .init(
          maxHeaderFieldSize: 80 << 10, maxHeaderListSize: 256 << 10, maxHeaderFieldCount: 100)))
  }

  /// Accepts connections from a socket that listens already; it is owned from here on.
  public func listen(on descriptor: CInt) async throws {
    let connections = connections
    let logger = logger
    let channel = try await ServerBootstrap(group: group)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        do {
          try channel.pipeline.syncOperations.addHandler(ConnectionHandler())
        } catch {
          return channel.eventLoop.makeFailedFuture(error)
        }
        let executor = EventLoopTaskExecutor(channel.eventLoop)
        return connections.setup(channel: channel, logger: logger).map { connection in
          Task(executorPreference: executor) { await connections.handle(value: connection, logger: logger) }
        }
      }
      .withBoundSocket(descriptor)
      .get()
    listeners.withLock { $0.append(channel) }
  }

  /// Stops listening and drops every connection.
  public func shutdown() async {
    let open = listeners.withLock { listeners in
      defer { listeners = [] }
      return listeners
    }
    for channel in open { try? await channel.close() }
    try? await group.shutdownGracefully()
  }
}

/// Counts across event loops.
private final class RequestCounter: Sendable {
  private let count = Atomic<UInt64>(0)

  var value: UInt64 { count.load(ordering: .relaxed) }
  func add() { count.add(1, ordering: .relaxed) }
}
