import Errors
import Glibc
import Layers
import Linux
import NIOCore
import RuntimeSpec
import SandboxProtocol

/// The part of a start that blocks: a shim is spawned and has got its first requests.
struct Launch: Sendable {
  let connection: ShimConnection
  let lease: LayerLease
  let shimPID: Int32
  let shimStartTime: UInt64
  let created: UInt16
  let subscribed: UInt16
  /// nil: the start is to be asked for separately.
  let started: UInt16?

  /// Blocks; to be called on a ``BlockingPool``.
  ///
  /// The shim is spawned first: it comes up on another CPU while its orders are written. Whatever fails, it ends by
  /// itself when its connection closes, and what was taken is given back.
  static func begin(
    _ record: InstanceRecord, peers: [String: SandboxContext.Peer], services: EngineServices, startAtOnce: Bool,
    onEvent: @escaping @Sendable (ShimConnection.Event) -> Void
  ) throws -> Launch {
    let paths = services.paths.instance(record.id)
    let pair = try UnixSocket.pair(nonBlocking: true)
    let pid = try services.runtime.spawnShim(id: record.id, socket: pair.second.raw)
    let connection = ShimConnection(socket: pair.takeFirst(), reactor: services.reactor, onEvent: onEvent)
    var lease: LayerLease?
    do {
      let startTime = try Processes.startTime(of: pid)
      if unlink(paths.exit) < 0, errno != ENOENT { try check(-1 as Int32, "cannot remove \(paths.exit)") }
      try Files.makeDirectory(paths.runDirectory, mode: 0o711)
      let layers = try services.layers.acquire(record.layers)
      lease = layers
      try services.volumes.prepare(record)
      let specification = SandboxSpecification(
        record,
        context: SandboxContext(paths: paths, cgroupParent: services.configuration.cgroupParent, peers: peers))
      try specification.prepare()
      var request = try specification.createRequest()
      request.root?.lower = layers.paths
      request.seccompCacheDirectory = services.paths.seccompCache
      let created = try connection.post(.create, request.json())
      let subscribed = try connection.post(.subscribe)
      let started = startAtOnce ? try connection.post(.start) : nil
      return Launch(
        connection: connection, lease: layers, shimPID: pid, shimStartTime: startTime, created: created,
        subscribed: subscribed, started: started)
    } catch {
      connection.close()
      lease?.release()
      ShimReaper.reap(pid, startTime: 0, child: true, logger: services.logger)
      throw error
    }
  }
}

extension SocketPair {
  /// The first end; the second is closed.
  consuming func takeFirst() -> OwnedDescriptor { first }
}
