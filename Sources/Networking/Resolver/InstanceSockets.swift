import Errors
import Glibc
import Linux
import Netlink

/// The two sockets on which one instance asks, open in its network namespace.
///
/// While they are open the namespace stays, even where no process is left in it.
final class InstanceSockets: Sendable {
  let datagrams: OwnedDescriptor
  let streams: OwnedDescriptor
  /// Of no use but to be closed late (``NameServerRules/install(datagrams:streams:)``).
  private let rules: NetlinkSocket?

  /// Opens them, and leads port 53 to them.
  init(in namespace: NetworkNamespace) throws(ApusError) {
    let opened = try namespace.run { () throws(ApusError) in
      let datagrams = try Self.open(SOCK_DGRAM)
      // What has no room is lost, and asked again after five seconds: a burst of a thousand queries has. As root it may
      // be more than the system's limit (SO_RCVBUFFORCE).
      var room: Int32 = 1 << 20
      setsockopt(datagrams.raw, SOL_SOCKET, 33, &room, socklen_t(MemoryLayout<Int32>.size))
      let streams = try Self.open(SOCK_STREAM)
      try check(listen(streams.raw, 64), "cannot listen for name queries")
      let rules = try NameServerRules.install(
        datagrams: try Self.port(of: datagrams.raw), streams: try Self.port(of: streams.raw))
      return Opened(datagrams: datagrams, streams: streams, rules: rules)
    }
    datagrams = opened.datagrams
    streams = opened.streams
    rules = opened.rules
  }

  /// Sockets that are open already, in whatever namespace.
  init(datagrams: consuming OwnedDescriptor, streams: consuming OwnedDescriptor) {
    self.datagrams = datagrams
    self.streams = streams
    rules = nil
  }

  private struct Opened: ~Copyable {
    let datagrams: OwnedDescriptor
    let streams: OwnedDescriptor
    let rules: NetlinkSocket?
  }

  private static func open(_ kind: __socket_type) throws(ApusError) -> OwnedDescriptor {
    let type = Int32(kind.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let socket = OwnedDescriptor(owning: try check(Glibc.socket(AF_INET, type, 0), "cannot open a socket for names"))
    var address = SocketAddress(NameServerRules.address, port: 0)
    try check(
      address.withPointer { bind(socket.raw, $0, $1) }, "cannot bind to \(NameServerRules.address) for name queries")
    return socket
  }

  private static func port(of socket: Int32) throws(ApusError) -> UInt16 {
    var address = SocketAddress()
    try check(address.receive { getsockname(socket, $0, $1) }, "cannot tell the port for name queries")
    return address.port
  }
}
