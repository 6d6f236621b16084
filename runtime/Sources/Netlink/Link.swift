import CLinux
import Errors
import Glibc
import Linux

/// A network interface, as the kernel lists it.
public struct Link: Sendable, Equatable {
  /// Bytes of a name, at most (IFNAMSIZ without its zero byte).
  public static let nameLimit = 15

  public var index: Int32
  public var name: String
  public var isUp: Bool
  /// Whether packets pass: it is up, and so is what it is connected to.
  public var isRunning: Bool
  public var mtu: UInt32
  /// nil where it has none, or none of Ethernet's.
  public var mac: MACAddress?
  /// Of the bridge it is a port of.
  public var master: Int32?
  /// `bridge`, `veth`, `macvlan`, `tun`, …; nil for hardware and the loopback.
  public var kind: String?
  /// Free text (ifalias).
  public var alias: String?

  /// nil where the reply is not one of a link.
  init?(_ reply: NetlinkReply) {
    // struct ifinfomsg, see appendLinkHeader.
    guard reply.type == RouteMessage.newLink, let index = reply.payload.integer(at: 4, as: Int32.self),
      let flags = reply.payload.integer(at: 8, as: UInt32.self)
    else { return nil }
    let attributes = reply.attributes(after: 16)
    guard let name = attributes.text(LinkAttribute.name) else { return nil }
    self.index = index
    self.name = name
    isUp = flags & 0x1 != 0
    isRunning = flags & 0x40 != 0
    mtu = attributes[LinkAttribute.mtu, as: UInt32.self] ?? 0
    mac = attributes[LinkAttribute.address].flatMap { MACAddress(bytes: $0) }
    master = attributes[LinkAttribute.master, as: Int32.self]
    kind = attributes.nested(LinkAttribute.information)?.text(LinkAttribute.kind)
    alias = attributes.text(LinkAttribute.alias)
  }
}

extension NetlinkSocket {
  /// RTEXT_FILTER_SKIP_STATS: counters are the greater part of a reply.
  private static let withoutStatistics: UInt32 = 1 << 3

  /// Every interface of the namespace.
  public mutating func links() throws(ApusError) -> [Link] {
    var message = NetlinkMessage(RouteMessage.getLink)
    message.appendLinkHeader()
    message.attribute(LinkAttribute.extent, Self.withoutStatistics)
    return try dump(NetlinkRequest(message, stage: "cannot list the network interfaces")).compactMap(Link.init)
  }

  /// The interface of a name; nil where there is none.
  public mutating func link(_ name: String) throws(ApusError) -> Link? {
    var message = NetlinkMessage(RouteMessage.getLink)
    message.appendLinkHeader()
    message.attribute(LinkAttribute.name, text: name)
    message.attribute(LinkAttribute.extent, Self.withoutStatistics)
    return try query(
      NetlinkRequest(message, stage: "cannot examine the interface \(name)", tolerating: [ENODEV])
    ).flatMap(Link.init)
  }

  /// The interface of an index; nil where there is none.
  public mutating func link(_ index: Int32) throws(ApusError) -> Link? {
    var message = NetlinkMessage(RouteMessage.getLink)
    message.appendLinkHeader(index: index)
    message.attribute(LinkAttribute.extent, Self.withoutStatistics)
    return try query(
      NetlinkRequest(message, stage: "cannot examine the interface \(index)", tolerating: [ENODEV])
    ).flatMap(Link.init)
  }

  /// The index of a name, nil where there is no such interface. Cheaper than ``link(_:)``: it takes no lock.
  public func index(of name: String) throws(ApusError) -> Int32? {
    // struct ifreq: 16 bytes of name, then the index; SIOCGIFINDEX works on any socket.
    var request = [UInt8](repeating: 0, count: 40)
    guard !name.isEmpty, name.utf8.count <= Link.nameLimit else { return nil }
    request.replaceSubrange(0..<name.utf8.count, with: name.utf8)
    let result = request.withUnsafeMutableBytes { clinux_ioctl(descriptor, 0x8933, $0.baseAddress) }
    if result < 0, errno == ENODEV { return nil }
    try check(result, "cannot find the interface \(name)")
    return request[16...].integer(at: 0, as: Int32.self)
  }
}
