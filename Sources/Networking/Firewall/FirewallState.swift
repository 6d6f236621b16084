import Errors
import Netlink

/// What the table is to contain.
struct FirewallState: Sendable {
  typealias Change = NetfilterMessages.ElementChange

  enum Request: Sendable {
    case restore(networks: [FirewallNetwork], ports: [PublishedPort])
    case add(FirewallNetwork)
    case remove(interface: String)
    case publish([PublishedPort])
    case withdraw([PublishedPort])
  }

  /// What a published port is known by.
  struct HostPort: Hashable, Sendable {
    let proto: PortProtocol
    let address: IPAddress
    let port: UInt16

    init(_ port: PublishedPort) {
      proto = port.proto
      address = port.hostAddress
      self.port = port.hostPort
    }
  }

  private(set) var networks: [String: FirewallNetwork] = [:]
  private(set) var ports: [HostPort: PublishedPort] = [:]
  /// In use by how many ports: a routed instance's port is one element, by however many ports of the host it is
  /// published.
  private var elements: [SetElement: Int] = [:]

  /// Everything that the table has to have.
  var all: some Collection<SetElement> { elements.keys }

  /// Follows the request.
  ///
  /// - Returns: what has to change in the table; nil: make all of it anew.
  /// - Throws: conflict, when one of the ports leads elsewhere already. The state is then as it was.
  mutating func follow(_ request: Request) throws(ApusError) -> [Change]? {
    var changes: [Change] = []
    switch request {
    case .restore(let networks, let ports):
      for network in networks { try Self.check(network) }
      self = FirewallState()
      for network in networks { self.networks[network.interface] = network }
      for port in ports { self.ports[HostPort(port)] = port }
      countElements()
      return nil
    case .add(let network):
      try Self.check(network)
      guard networks[network.interface] != network else { return [] }
      return replace(network.interface, by: network)
    case .remove(let interface):
      guard networks[interface] != nil else { return [] }
      return replace(interface, by: nil)
    case .publish(let new):
      let before = self
      for port in new {
        if let taken = ports[HostPort(port)], taken != port {
          self = before
          throw ApusError(
            .conflict,
            "cannot publish port \(port.hostPort)/\(port.proto.rawValue) of \(port.hostAddress): it leads to "
              + "\(taken.address) already")
        }
        guard ports.updateValue(port, forKey: HostPort(port)) == nil else { continue }
        add(element(of: port), to: &changes)
      }
    case .withdraw(let old):
      for port in old where ports[HostPort(port)] == port {
        ports[HostPort(port)] = nil
        remove(element(of: port), to: &changes)
      }
    }
    return changes
  }

  /// What nft(8) would read as more than a name: a quotation mark ends one, an asterisk stands for others.
  private static func check(_ network: FirewallNetwork) throws(ApusError) {
    let name = network.interface
    guard !name.isEmpty, name.utf8.count < 16,
      name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && !"\"*\\{};".utf8.contains($0) })
    else {
      throw ApusError(
        .invalidArgument,
        "cannot set up the firewall for the interface \"\(name)\": choose a name of letters, digits and -")
    }
  }

  private func element(of port: PublishedPort) -> SetElement {
    let family = port.address.family
    return port.element(
      isRouted: networks.values.contains {
        $0.routing(family) == .routed && $0.subnet(family)?.contains(port.address) == true
      })
  }

  private mutating func add(_ element: SetElement, to changes: inout [Change]) {
    elements[element, default: 0] += 1
    if elements[element] == 1 { changes.append(.add(element)) }
  }

  private mutating func remove(_ element: SetElement, to changes: inout [Change]) {
    guard let count = elements[element] else { return }
    elements[element] = count > 1 ? count - 1 : nil
    if count == 1 { changes.append(.delete(element)) }
  }

  /// Networks come and go rarely: what is different is found by comparison, ports whose network is now routed included.
  private mutating func replace(_ interface: String, by network: FirewallNetwork?) -> [Change] {
    let before = elements
    networks[interface] = network
    countElements()
    return before.keys.filter { elements[$0] == nil }.map { .delete($0) }
      + elements.keys.filter { before[$0] == nil }.map { .add($0) }
  }

  private mutating func countElements() {
    elements = [:]
    var changes: [Change] = []
    for network in networks.values { for element in network.elements { add(element, to: &changes) } }
    for port in ports.values { add(element(of: port), to: &changes) }
  }
}
