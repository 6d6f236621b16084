import Errors
import Glibc

/// An address of an interface.
public struct LinkAddress: Sendable, Hashable {
  /// Of the interface.
  public var index: Int32
  public var address: IPSubnet
  /// Whether it is being, or has been, found taken (IPv6): it cannot be used.
  public var isTentative: Bool

  public init(index: Int32, address: IPSubnet, isTentative: Bool = false) {
    self.index = index
    self.address = address
    self.isTentative = isTentative
  }

  /// struct ifaddrmsg: u8 family, u8 prefix length, u8 flags, u8 scope, u32 index.
  init?(_ reply: NetlinkReply) {
    guard reply.type == RouteMessage.newAddress, let length = reply.payload.integer(at: 1, as: UInt8.self),
      let flags = reply.payload.integer(at: 2, as: UInt8.self), let index = reply.payload.integer(at: 4, as: Int32.self)
    else { return nil }
    let attributes = reply.attributes(after: 8)
    // IPv4 has both, and on point-to-point interfaces `address` is the other side's.
    guard let bytes = attributes[AddressAttribute.local] ?? attributes[AddressAttribute.address],
      let address = IPAddress(bytes: bytes), Int(length) <= address.width
    else { return nil }
    self.index = index
    self.address = IPSubnet(address, prefixLength: Int(length))
    // IFA_F_TENTATIVE, IFA_F_DADFAILED.
    isTentative = flags & 0x48 != 0
  }
}

extension NetlinkSocket {
  /// Every address of every interface of the namespace.
  public mutating func addresses() throws(ApusError) -> [LinkAddress] {
    var message = NetlinkMessage(RouteMessage.getAddress)
    message.append(UInt64(0))
    return try dump(NetlinkRequest(message, stage: "cannot list the addresses")).compactMap(LinkAddress.init)
  }
}

extension NetlinkSocket {
  /// The IPv6 groups that an interface listens to.
  public mutating func multicastGroups(of index: Int32) throws(ApusError) -> [IPAddress] {
    var message = NetlinkMessage(RouteMessage.getMulticast)
    message.append(bytes: [IPAddress.Family.v6.rawValue, 0, 0, 0, 0, 0, 0, 0])
    let request = NetlinkRequest(message, stage: "cannot list the multicast groups", tolerating: [EOPNOTSUPP])
    return try dump(request).compactMap { reply in
      // struct ifaddrmsg.
      guard reply.payload.integer(at: 4, as: Int32.self) == index else { return nil }
      return reply.attributes(after: 8)[AddressAttribute.multicast].flatMap { IPAddress(bytes: $0) }
    }
  }
}

extension NetlinkRequest {
  /// Gives an interface an address, which can be used at once: whoever hands out the address knows that nobody else has
  /// it (IFA_F_NODAD). One that is there already is fine.
  public static func addAddress(_ address: IPSubnet, to index: Int32) -> NetlinkRequest {
    NetlinkRequest(
      addressMessage(RouteMessage.newAddress, [.create, .replace], address, index),
      stage: "cannot add the address \(address)", tolerating: [EEXIST])
  }

  /// Takes an address from an interface. One that is gone already is fine.
  public static func deleteAddress(_ address: IPSubnet, from index: Int32) -> NetlinkRequest {
    NetlinkRequest(
      addressMessage(RouteMessage.deleteAddress, [], address, index),
      stage: "cannot delete the address \(address)", tolerating: [EADDRNOTAVAIL, ENODEV])
  }

  private static func addressMessage(
    _ type: UInt16, _ flags: NetlinkMessage.Flags, _ address: IPSubnet, _ index: Int32
  ) -> NetlinkMessage {
    var message = NetlinkMessage(type, flags)
    let family = address.family
    message.append(family.rawValue)
    message.append(UInt8(address.prefixLength))
    message.append(UInt8(family == .v6 ? 0x02 : 0))
    // RT_SCOPE_LINK or RT_SCOPE_UNIVERSE; the kernel knows by itself for IPv6.
    message.append(UInt8(family == .v4 && address.address.isLinkLocal ? 253 : 0))
    message.append(index)
    let bytes = address.address.bytes
    message.attribute(AddressAttribute.local, bytes: bytes)
    message.attribute(AddressAttribute.address, bytes: bytes)
    if family == .v4, address.prefixLength < 31, type == RouteMessage.newAddress {
      message.attribute(AddressAttribute.broadcast, bytes: address.last.bytes)
    }
    return message
  }
}
