import Netlink

/// What the rules need to know of one network on the host.
public struct FirewallNetwork: Sendable, Hashable {
  /// The bridge; a network is known by it.
  public var interface: String
  public var subnet4: IPSubnet?
  public var subnet6: IPSubnet?
  /// Addresses of the host on the bridge.
  public var gateway4: IPAddress?
  public var gateway6: IPAddress?
  /// Neither in nor out, but for the host itself.
  public var isInternal = false
  /// Whether instances of this network may talk to each other.
  ///
  /// What keeps frames apart on the bridge is its ports' isolation; this refuses the way around it, by packets that are
  /// sent to the host to be routed back.
  public var allowsNeighbours = true
  public var routing4 = NetworkDefinition.Routing.nat
  public var routing6 = NetworkDefinition.Routing.nat
  /// Whether outgoing connections get an address of the host.
  public var masquerades4 = true
  public var masquerades6 = true

  public init(
    interface: String, subnet4: IPSubnet? = nil, subnet6: IPSubnet? = nil, gateway4: IPAddress? = nil,
    gateway6: IPAddress? = nil, isInternal: Bool = false, allowsNeighbours: Bool = true,
    routing4: NetworkDefinition.Routing = .nat, routing6: NetworkDefinition.Routing = .nat, masquerades4: Bool = true,
    masquerades6: Bool = true
  ) {
    self.interface = interface
    self.subnet4 = subnet4
    self.subnet6 = subnet6
    self.gateway4 = gateway4
    self.gateway6 = gateway6
    self.isInternal = isInternal
    self.allowsNeighbours = allowsNeighbours
    self.routing4 = routing4
    self.routing6 = routing6
    self.masquerades4 = masquerades4
    self.masquerades6 = masquerades6
  }

  /// Of what is defined; masquerading goes with ``NetworkDefinition/Routing/nat`` only.
  public init(_ network: NetworkDefinition, masquerades4: Bool = true, masquerades6: Bool = true) {
    let subnets = (network.subnet(.v4), network.subnet(.v6))
    self.init(
      interface: network.interface, subnet4: subnets.0?.subnet, subnet6: subnets.1?.subnet,
      gateway4: subnets.0?.gateway, gateway6: subnets.1?.gateway, isInternal: network.isInternal,
      allowsNeighbours: network.allowsNeighbours, routing4: network.routing4, routing6: network.routing6,
      masquerades4: masquerades4 && network.routing4 == .nat, masquerades6: masquerades6 && network.routing6 == .nat)
  }

  func subnet(_ family: IPAddress.Family) -> IPSubnet? { family == .v4 ? subnet4 : subnet6 }
  func routing(_ family: IPAddress.Family) -> NetworkDefinition.Routing { family == .v4 ? routing4 : routing6 }
  func masquerades(_ family: IPAddress.Family) -> Bool {
    (family == .v4 ? masquerades4 : masquerades6) && routing(family) == .nat
  }
}
