import Netlink

/// One element of a set or map of the table: as nft(8) reads it, and as the kernel takes it.
struct SetElement: Hashable, Sendable {
  /// The table's sets and maps. All are plain hash sets, so one change costs the same however many there are.
  enum Name: String, Sendable, CaseIterable {
    case bridges, neighbours, masqueraded, routed
    case isolated = "internal"
    case any4 = "published4"
    case any6 = "published6"
    case at4 = "published_at4"
    case at6 = "published_at6"
    case opened4, opened6

    /// As nft(8) declares it.
    var type: String {
      switch self {
      case .bridges, .isolated: "ifname"
      case .neighbours: "ifname . ifname"
      case .masqueraded, .routed: "nf_proto . ifname"
      case .any4: "inet_proto . inet_service : ipv4_addr . inet_service"
      case .any6: "inet_proto . inet_service : ipv6_addr . inet_service"
      case .at4: "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service"
      case .at6: "ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service"
      case .opened4: "ipv4_addr . inet_proto . inet_service"
      case .opened6: "ipv6_addr . inet_proto . inet_service"
      }
    }

    var isMap: Bool { [.any4, .any6, .at4, .at6].contains(self) }
    var declaration: String { "\(isMap ? "map" : "set") \(rawValue)" }
  }

  /// One part of a concatenation.
  enum Field: Hashable, Sendable {
    case interface(String)
    case family(IPAddress.Family)
    case proto(PortProtocol)
    case address(IPAddress)
    case port(UInt16)

    var text: String {
      switch self {
      case .interface(let name): "\"\(name)\""
      case .family(let family): family == .v4 ? "ipv4" : "ipv6"
      case .proto(let proto): proto.rawValue
      case .address(let address): "\(address)"
      case .port(let port): "\(port)"
      }
    }

    /// As in the kernel's registers, which are 4 bytes each: every part begins with a register of its own.
    var bytes: [UInt8] {
      switch self {
      case .interface(let name): Array((Array(name.utf8) + [UInt8](repeating: 0, count: 16)).prefix(16))
      case .family(let family): [family.rawValue, 0, 0, 0]
      case .proto(let proto): [proto.number, 0, 0, 0]
      case .address(let address): address.bytes
      case .port(let port): [UInt8(port >> 8), UInt8(port & 0xff), 0, 0]
      }
    }
  }

  let set: Name
  let key: [Field]
  /// What a map has under the key.
  var data: [Field] = []

  var text: String {
    func concatenation(_ fields: [Field]) -> String { fields.map(\.text).joined(separator: " . ") }
    return data.isEmpty ? concatenation(key) : "\(concatenation(key)) : \(concatenation(data))"
  }

  var keyBytes: [UInt8] { key.flatMap(\.bytes) }
  var dataBytes: [UInt8] { data.flatMap(\.bytes) }
}

extension FirewallNetwork {
  /// What the table has of this network.
  var elements: [SetElement] {
    let bridge = SetElement.Field.interface(interface)
    var elements = [SetElement(set: .bridges, key: [bridge])]
    if isInternal { elements.append(SetElement(set: .isolated, key: [bridge])) }
    if allowsNeighbours { elements.append(SetElement(set: .neighbours, key: [bridge, bridge])) }
    for family in [IPAddress.Family.v4, .v6] where subnet(family) != nil && !isInternal {
      if masquerades(family) { elements.append(SetElement(set: .masqueraded, key: [.family(family), bridge])) }
      if routing(family) == .routed { elements.append(SetElement(set: .routed, key: [.family(family), bridge])) }
    }
    return elements
  }
}

extension PublishedPort {
  /// What the table has of this port.
  ///
  /// - Parameter isRouted: whether its target is in a network whose addresses are routed as they are: the port is then
  ///   opened at the instance's own address, and the host's leads nowhere.
  func element(isRouted: Bool) -> SetElement {
    let isV4 = address.family == .v4
    let target: [SetElement.Field] = [.address(address), .port(port)]
    if isRouted {
      return SetElement(set: isV4 ? .opened4 : .opened6, key: [.address(address), .proto(proto), .port(port)])
    }
    if hostAddress.isUnspecified {
      return SetElement(set: isV4 ? .any4 : .any6, key: [.proto(proto), .port(hostPort)], data: target)
    }
    return SetElement(
      set: isV4 ? .at4 : .at6, key: [.address(hostAddress), .proto(proto), .port(hostPort)], data: target)
  }
}
