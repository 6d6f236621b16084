// Numbers of rtnetlink(7), from linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h and pkt_sched.h. They are the
// kernel's binary interface and never change.

enum RouteMessage {
  static let newLink: UInt16 = 16
  static let deleteLink: UInt16 = 17
  static let getLink: UInt16 = 18
  static let newAddress: UInt16 = 20
  static let deleteAddress: UInt16 = 21
  static let getAddress: UInt16 = 22
  static let newRoute: UInt16 = 24
  static let deleteRoute: UInt16 = 25
  static let getRoute: UInt16 = 26
  static let newNeighbour: UInt16 = 28
  static let deleteNeighbour: UInt16 = 29
  static let getNeighbour: UInt16 = 30
  static let newDiscipline: UInt16 = 36
  static let deleteDiscipline: UInt16 = 37
  static let getDiscipline: UInt16 = 38
  static let getMulticast: UInt16 = 58
}

/// IFLA_*.
enum LinkAttribute {
  static let address: UInt16 = 1
  static let name: UInt16 = 3
  static let mtu: UInt16 = 4
  static let link: UInt16 = 5
  static let master: UInt16 = 10
  static let information: UInt16 = 18
  static let alias: UInt16 = 20
  static let families: UInt16 = 26
  static let sendQueues: UInt16 = 31
  static let receiveQueues: UInt16 = 32
  static let namespace: UInt16 = 28
  static let extent: UInt16 = 29
  // Within `information`.
  static let kind: UInt16 = 1
  static let data: UInt16 = 2
  static let portKind: UInt16 = 4
  static let portData: UInt16 = 5
  // Within `data`, by kind.
  static let peer: UInt16 = 1
  static let macvlanMode: UInt16 = 1
  static let bridgeSnooping: UInt16 = 23
  // Within `portData`.
  static let portReflects: UInt16 = 4
  static let portIsolated: UInt16 = 33
  // Within `families`, of AF_INET6.
  static let generatedAddresses: UInt16 = 8
}

/// IFA_*.
enum AddressAttribute {
  static let address: UInt16 = 1
  static let local: UInt16 = 2
  static let broadcast: UInt16 = 4
  static let multicast: UInt16 = 7
}

/// RTA_*.
enum RouteAttribute {
  static let destination: UInt16 = 1
  static let interface: UInt16 = 4
  static let gateway: UInt16 = 5
  static let priority: UInt16 = 6
  static let source: UInt16 = 7
  static let table: UInt16 = 15
}

/// NDA_*.
enum NeighbourAttribute {
  static let destination: UInt16 = 1
  static let address: UInt16 = 2
}

/// TCA_*.
enum DisciplineAttribute {
  static let kind: UInt16 = 1
  static let options: UInt16 = 2
  // Of tbf, within `options`.
  static let parameters: UInt16 = 1
  static let rate64: UInt16 = 4
  static let burst: UInt16 = 6
}

extension NetlinkMessage {
  /// struct ifinfomsg: u8 family, u8 padding, u16 type, s32 index, u32 flags, u32 change.
  mutating func appendLinkHeader(index: Int32 = 0, isUp: Bool? = nil) {
    append(UInt32(0))
    append(index)
    append(UInt32(isUp == true ? 1 : 0))
    append(UInt32(isUp == nil ? 0 : 1))
  }
}
