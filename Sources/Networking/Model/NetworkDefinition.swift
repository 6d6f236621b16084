import Netlink

/// What a driver needs to know of one network; the engine keeps it in the state database.
public struct NetworkDefinition: Sendable, Codable, Equatable {
  public enum Driver: String, Sendable, Codable { case bridge, macvlan }

  /// How packets get from a family's addresses to the outside and back (Docker's `gateway_mode_ipv4`/`_ipv6`).
  public enum Routing: String, Sendable, Codable {
    /// Outgoing connections get the host's address; from outside only published ports are reached.
    case nat
    /// Addresses are routed as they are; from outside only published ports are reached, at the instance's own address.
    case routed
  }

  /// 64 lower-case hex digits.
  public var id: String
  public var name: String
  public var driver: Driver
  /// Of the host: the bridge that is made, or macvlan's parent. At most 15 bytes.
  public var interface: String
  /// bridge: the interface was named by the user, and one that is there already is used as it is; it stays when the
  /// network goes.
  public var adoptsInterface = false
  /// At most one of each family is used for addresses; the first is the one an instance gets.
  public var subnets: [Subnet]
  /// Nothing gets out or in, but the host itself.
  public var isInternal = false
  /// Whether instances of this network may talk to each other.
  public var allowsNeighbours = true
  public var routing4 = Routing.nat
  public var routing6 = Routing.nat
  /// Bytes; nil: as the kernel has it (1500, macvlan: the parent's).
  public var mtu: Int?
  /// macvlan: `bridge`, `private`, `vepa`, `passthru`.
  public var macvlanMode = "bridge"

  public struct Subnet: Sendable, Codable, Equatable {
    public var subnet: IPSubnet
    /// The address the host has on the bridge, and where instances send what is not for their own subnet; nil: none
    /// (macvlan without a gateway).
    public var gateway: IPAddress?
    public init(subnet: IPSubnet, gateway: IPAddress?) {
      self.subnet = subnet
      self.gateway = gateway
    }
  }

  public init(id: String, name: String, driver: Driver, interface: String, subnets: [Subnet]) {
    self.id = id
    self.name = name
    self.driver = driver
    self.interface = interface
    self.subnets = subnets
  }

  public func subnet(_ family: IPAddress.Family) -> Subnet? { subnets.first { $0.subnet.family == family } }
}
