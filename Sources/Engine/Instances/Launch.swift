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
  /// What the instance has of the networks.
  let attachment: Attachment
  /// Whose namespace has the endpoints already; nil: they are to be plugged before the start.
  let plugged: pid_t?

  /// Blocks; to be called on a ``BlockingPool``.
  ///
  /// Where none stands by, the shim is started first: it comes up on another CPU while its orders are written. Whatever
  /// fails, it ends by itself when its connection closes, and what was taken is given back.
  ///
  /// The start is asked for at once where nothing has to be done between create and start: nobody is to be connected, and
  /// the networks are there. It names the process they were plugged for: should the shim have made another one, it
  /// refuses.
  /// - Parameters:
  ///   - standby: the shim that has been started for this instance ahead.
  ///   - attachment: what the instance has of the networks.
  ///   - plugged: the process whose namespace has that already.
  static func begin(
    _ record: InstanceRecord, standby: StartedShim?, peers: [String: SandboxContext.Peer], linked: [LinkedInstance],
    attachment: Attachment, plugged: pid_t?, services: EngineServices, startAtOnce: Bool,
    onEvent: @escaping @Sendable (ShimConnection.Event) -> Void
  ) throws -> Launch {
    let paths = services.paths.instance(record.id)
    let shim = if let standby { standby } else { try StartedShim(id: record.id, services: services) }
    shim.listen(onEvent)
    var lease: LayerLease?
    do {
      if unlink(paths.exit) < 0, errno != ENOENT { try check(-1 as Int32, "cannot remove \(paths.exit)") }
      let layers = try services.layers.acquire(record.layers)
      lease = layers
      try services.volumes.prepare(record)
      var record = record
      record.state.endpoints = attachment.endpoints
      let specification = SandboxSpecification(
        record,
        context: SandboxContext(
          paths: paths, cgroupParent: services.configuration.cgroupParent, peers: peers, linked: linked,
          hostGateway: services.networks.hostGateway(of: attachment.endpoints),
          servesNames: services.networks.hasNames(attachment.endpoints)))
      try specification.prepare()
      var request = try specification.createRequest()
      request.root?.lower = layers.paths
      request.root?.isTemporary = record.configuration.removeOnExit
      request.seccompCacheDirectory = services.paths.seccompCache
      services.seccomp.place(&request)
      let created = try shim.connection.post(.create, request.json())
      let subscribed = try shim.connection.post(.subscribe)
      let isPlugged = plugged != nil || attachment.endpoints.isEmpty
      if isPlugged { try services.networks.announce(attachment, of: record) }
      var started: UInt16?
      if startAtOnce, isPlugged {
        started = try shim.connection.post(.start, plugged.map { ProcessStarted(pid: $0).json() } ?? [])
      }
      return Launch(
        connection: shim.connection, lease: layers, shimPID: shim.process, shimStartTime: shim.startTime,
        created: created, subscribed: subscribed, started: started, attachment: attachment, plugged: plugged)
    } catch {
      shim.connection.close()
      lease?.release()
      ShimReaper.reap(shim.process, startTime: shim.startTime, child: true, logger: services.logger)
      throw error
    }
  }
}
