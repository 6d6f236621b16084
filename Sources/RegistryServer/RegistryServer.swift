import Errors
import Glibc
import HummingbirdCore
import Layers
import Linux
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A registry of OCI images and artifacts (distribution-spec 1.1): pull, push, content discovery, content management.
public final class RegistryServer: Sendable {
  private let configuration: RegistryServerConfiguration
  private let content: ContentStore
  private let uploads: UploadSessions
  private let passwords: Passwords?
  private let tls: NIOSSLContext?
  private let connections: HTTP1Channel
  private let logger: Logger
  private let group = MultiThreadedEventLoopGroup(numberOfThreads: min(4, System.coreCount))
  private let listener = Mutex<(any Channel)?>(nil)
  private let open = Atomic<Int>(0)
  private let disk: DiskWriter
  /// Held as long as the server lives, so that no other one has the same root.
  private let lock: OwnedDescriptor

  /// Opens what is kept, and looks after what an unclean end has left. Blocks.
  ///
  /// - Throws: `conflict` when another server has the same root, `invalidArgument` for certificates or passwords that
  ///   cannot be used.
  public init(_ configuration: RegistryServerConfiguration, logger: Logger) throws(ApusError) {
    self.configuration = configuration
    self.logger = logger
    try Files.makeDirectories(configuration.root, mode: 0o700)
    lock = try Self.lock(configuration.root)
    content = try ContentStore(root: "\(configuration.root)/content")
    let lost = try content.recover()
    for digest in lost { logger.warning("content \(digest) was damaged by an unclean end and is gone: push it again") }
    let metadata = try Metadata(root: configuration.root, content: content)
    try metadata.recover(without: lost)
    uploads = UploadSessions(content: content, limits: configuration.limits)
    passwords = try configuration.htpasswd.map { path throws(ApusError) in try Passwords(file: path) }
    tls = try configuration.tls.map { files throws(ApusError) in
      try ServerCertificate.context(certificate: files.certificate, key: files.key)
    }
    let disk = DiskWriter(content: content, logger: logger)
    self.disk = disk
    let responder = RegistryResponder(
      resources: RegistryResources(
        content: content, metadata: metadata, uploads: uploads, isReadOnly: configuration.isReadOnly,
        limits: configuration.limits, stored: { disk.wake() }),
      passwords: passwords, logger: logger)
    let patience = TimeAmount.seconds(configuration.limits.idle)
    connections = HTTP1Channel(
      responder: { request, writer, channel in try await responder.respond(request, writer, channel) },
      configuration: HTTP1Channel.Configuration(
        additionalChannelHandlers: [StallGuard(patience: patience)],
        httpDecoderConfiguration: .init(
          maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100)))
  }

  private static func lock(_ root: String) throws(ApusError) -> OwnedDescriptor {
    let file = try Files.open("\(root)/lock", flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
    guard flock(file.raw, LOCK_EX | LOCK_NB) == 0 else {
      throw ApusError(.conflict, "another registry serves \(root): stop it, or give this one another --root")
    }
    return file
  }

  /// Begins to listen.
  ///
  /// - Returns: the port.
  /// - Throws: `conflict` when the address is taken, `unavailable` when it is not this host's.
  public func listen() async throws -> Int {
    let (connections, logger, tls, limit) = (connections, logger, tls, configuration.limits.connections)
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 512)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { [self] channel in
        guard open.add(1, ordering: .relaxed).newValue <= limit else {
          open.subtract(1, ordering: .relaxed)
          return channel.eventLoop.makeFailedFuture(ChannelError.inputClosed)
        }
        channel.closeFuture.whenComplete { [self] _ in open.subtract(1, ordering: .relaxed) }
        if let tls {
          do {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
          } catch {
            return channel.eventLoop.makeFailedFuture(error)
          }
        }
        return connections.setup(channel: channel, logger: logger).map { connection in
          Task { await connections.handle(value: connection, logger: logger) }
        }
      }
    do {
      let channel = try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
      listener.withLock { $0 = channel }
      return channel.localAddress?.port ?? configuration.port
    } catch {
      let address = "\(configuration.host):\(configuration.port)"
      if (error as? IOError)?.errnoCode == EADDRINUSE {
        throw ApusError(
          .conflict, "\(address) is in use: stop what listens there, or give another --listen", cause: error)
      }
      throw ApusError(.unavailable, "cannot listen on \(address): is it an address of this host?", cause: error)
    }
  }

  /// Serves until the task is cancelled; looks after abandoned uploads meanwhile. After ``listen()``.
  public func run() async {
    while !Task.isCancelled {
      do {
        try await Task.sleep(for: .seconds(60))
      } catch {
        return
      }
      await uploads.collect()
    }
  }

  /// Stops listening, drops every connection, and flushes what has been stored.
  public func shutdown() async {
    let channel = listener.withLock { listener in
      defer { listener = nil }
      return listener
    }
    try? await channel?.close()
    try? await group.shutdownGracefully()
    await passwords?.shutdown()
    await disk.finish()
  }
}
