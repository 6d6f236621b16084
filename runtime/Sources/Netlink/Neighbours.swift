import Errors
import Glibc

/// What the kernel knows of an address's place on a link (arp(7)).
public struct Neighbour: Sendable, Hashable {
  /// Of the interface.
  public var index: Int32
  public var address: IPAddress
  /// nil while nobody has answered.
  public var mac: MACAddress?

  /// struct ndmsg: u8 family, padding to 4, s32 index, u16 state, u8 flags, u8 type.
  init?(_ reply: NetlinkReply) {
    guard reply.type == RouteMessage.newNeighbour, let index = reply.payload.integer(at: 4, as: Int32.self) else {
      return nil
    }
    let attributes = reply.attributes(after: 12)
    guard let address = attributes[NeighbourAttribute.destination].flatMap({ IPAddress(bytes: $0) }) else { return nil }
    self.index = index
    self.address = address
    mac = attributes[NeighbourAttribute.address].flatMap { MACAddress(bytes: $0) }
  }
}

extension NetlinkSocket {
  /// Every neighbour of both families.
  public mutating func neighbours() throws(ApusError) -> [Neighbour] {
    var message = NetlinkMessage(RouteMessage.getNeighbour)
    message.append(bytes: [UInt8](repeating: 0, count: 12))
    return try dump(NetlinkRequest(message, stage: "cannot list the neighbours")).compactMap(Neighbour.init)
  }
}

extension NetlinkRequest {
  /// Forgets who has an address, so that the next who gets it is found at once. One that is not known is fine.
  public static func deleteNeighbour(_ address: IPAddress, on index: Int32) -> NetlinkRequest {
    var message = NetlinkMessage(RouteMessage.deleteNeighbour)
    message.append(bytes: [address.family.rawValue, 0, 0, 0])
    message.append(index)
    message.append(UInt32(0))
    message.attribute(NeighbourAttribute.destination, bytes: address.bytes)
    return NetlinkRequest(
      message, stage: "cannot forget the neighbour \(address)", tolerating: [ENOENT, ENODEV, ENXIO])
  }
}
