import Errors
import Glibc
import Linux
import Netlink

/// Networks that are a bridge of the host: every instance has one end of a pair of virtual Ethernet interfaces, the other
/// is a port of the bridge, and the host routes for them.
///
/// Whose a bridge is stands on it (ifalias), so that neither another engine's nor the user's own is ever changed.
public struct BridgeDriver: NetworkDriver {
  /// What is written on every bridge that is this engine's.
  let alias: String
  let report: @Sendable (KernelParameter.Change) -> Void

  /// - Parameters:
  ///   - identity: tells this engine's interfaces from those of another on the same host.
  ///   - report: hears of every parameter of the kernel that is changed.
  public init(identity: String, report: @escaping @Sendable (KernelParameter.Change) -> Void) {
    alias = HostLinks.alias(of: identity)
    self.report = report
  }

  public func prepare(_ network: NetworkDefinition) throws(ApusError) {
    var socket = try NetlinkSocket()
    let name = network.interface
    var link = try socket.link(name)
    if let link {
      try check(link, of: network)
    } else {
      guard (1...Link.nameLimit).contains(name.utf8.count) else {
        throw ApusError(
          .invalidArgument, "cannot make the bridge \(name): the name of an interface has 1 to \(Link.nameLimit) bytes")
      }
      try socket.perform([
        .makeBridge(name, mac: Self.mac(of: network), mtu: network.mtu),
        .change(.name(name), LinkChange(alias: alias, generatesAddresses: false)),
      ])
      link = try socket.link(name)
    }
    guard let link else { throw ApusError(.conflict, "the bridge \(name) was deleted while it was set up") }

    if let change = try KernelParameter.acceptRouterAdvertisements(0, on: name).set() { report(change) }
    if network.subnet(.v6) != nil, let change = try KernelParameter.allowIPv6(on: name).set() { report(change) }
    try socket.perform(
      try addressRequests(network, link, &socket) + [
        .change(.index(link.index), LinkChange(mtu: network.mtu, isUp: true))
      ])

    guard !network.isInternal else { return }
    for family in IPAddress.Family.allCases where network.subnet(family) != nil {
      try KernelParameter.forward(family).forEach(report)
    }
  }

  public func remove(_ network: NetworkDefinition) throws(ApusError) {
    var socket = try NetlinkSocket()
    guard let link = try socket.link(network.interface) else { return }
    let ports = try socket.links().filter { $0.master == link.index && $0.name.hasPrefix(Endpoint.hostPrefix) }
    var requests = ports.map { NetlinkRequest.delete(.index($0.index)) }
    if link.alias == alias {
      requests.append(.delete(.index(link.index)))
    } else if network.adoptsInterface {
      requests += Self.addresses(of: network, on: link).map { .deleteAddress($0, from: link.index) }
    } else {
      return
    }
    try socket.perform(requests)
  }

  /// Refuses an interface of the bridge's name that is somebody else's.
  private func check(_ link: Link, of network: NetworkDefinition) throws(ApusError) {
    if link.kind == "bridge", link.alias == alias || network.adoptsInterface { return }
    let what =
      switch link {
      case _ where link.kind != "bridge": "is there already, and is no bridge"
      case _ where HostLinks.isOfAnEngine(link): "belongs to another engine on this host"
      default: "is there already, and was not made by this engine"
      }
    throw ApusError(
      .conflict,
      "cannot make the network \(network.name): the interface \(link.name) \(what); delete it (ip link delete "
        + "\(link.name)), or let the network use another name")
  }

  /// What makes the addresses of the bridge those of the network.
  private func addressRequests(
    _ network: NetworkDefinition, _ link: Link, _ socket: inout NetlinkSocket
  ) throws(ApusError) -> [NetlinkRequest] {
    let wanted = Self.addresses(of: network, on: link)
    let present = try socket.addresses().filter { $0.index == link.index }.map(\.address)
    // A bridge that the user has made keeps what he gave it.
    let surplus = network.adoptsInterface ? [] : present.filter { !wanted.contains($0) }
    return surplus.map { .deleteAddress($0, from: link.index) }
      + wanted.filter { !present.contains($0) }.map { .addAddress($0, to: link.index) }
  }

  private static func addresses(of network: NetworkDefinition, on link: Link) -> [IPSubnet] {
    var addresses = network.subnets.compactMap { subnet in
      subnet.gateway.map { IPSubnet($0, prefixLength: subnet.subnet.prefixLength) }
    }
    // Neighbour discovery asks with it.
    if network.subnet(.v6) != nil, let mac = link.mac { addresses.append(.linkLocal(of: mac)) }
    return addresses
  }

  /// The same whenever the bridge is made: instances and machines remember it. Without one of its own a bridge takes
  /// that of a port, and changes it with them.
  private static func mac(of network: NetworkDefinition) -> MACAddress? {
    var digits = network.id.utf8.prefix(10).compactMap { Character(UnicodeScalar($0)).hexDigitValue.map { UInt8($0) } }
    guard digits.count == 10 else { return .random() }
    var bytes: [UInt8] = [0x02]
    while digits.count >= 2 {
      bytes.append(digits[0] << 4 | digits[1])
      digits.removeFirst(2)
    }
    return MACAddress(bytes: bytes)
  }
}
