import FoundationEssentials
import Netlink
import Networking

/// A network as it is stored.
struct NetworkRecord: Sendable, Codable {
  var definition: NetworkDefinition
  var created: Date
  /// With every subnet and gateway said.
  var pools: [PoolRequest]
  var addressOptions: [String: String] = [:]
  var options: [String: String]
  var labels: [String: String]
  var isAttachable = false
  /// IPv6 was asked for. Where it was not, instances have it for what is published, and names lead to IPv4 alone: many
  /// programs try the IPv6 address that a name has first, and many servers listen on none.
  var namesIPv6 = false
  /// The network `bridge`.
  var isDefault = false

  /// Where ports are published that name no address of the host (`com.docker.network.bridge.host_binding_ipv4`).
  var hostBinding: IPAddress? { options[NetworkOption.hostBinding].flatMap { IPAddress($0) } }

  /// Outgoing connections get the host's address (`com.docker.network.bridge.enable_ip_masquerade`).
  var masquerades: Bool { options[NetworkOption.masquerade].map(NetworkOption.isTrue) ?? true }

  /// `eth`, unless `com.docker.network.container_iface_prefix` says otherwise.
  var interfacePrefix: String { options[NetworkOption.interfacePrefix] ?? "eth" }

  func information(_ members: [NetworkMember]) -> NetworkInformation {
    var information = NetworkInformation(
      id: definition.id, name: definition.name, created: created, driver: definition.driver.rawValue)
    information.isInternal = definition.isInternal
    information.enableIPv4 = definition.subnet(.v4) != nil
    information.enableIPv6 = definition.subnet(.v6) != nil
    information.pools = pools
    information.addressOptions = addressOptions
    information.options = options
    information.labels = labels
    information.isAttachable = isAttachable
    information.isPredefined = isDefault
    information.members = members
    return information
  }

  /// Addresses of one family.
  func pool(_ family: IPAddress.Family) -> AddressPool? {
    guard let subnet = definition.subnet(family) else { return nil }
    let asked = pools.first { $0.subnet.flatMap { IPSubnet($0) }?.family == family }
    return AddressPool(
      subnet: subnet.subnet, range: asked?.range.flatMap { IPSubnet($0) },
      reserved: (asked?.auxiliary.values.compactMap { IPAddress($0) } ?? []) + [subnet.gateway].compactMap { $0 })
  }
}

/// Docker's names of options (`docker network create --opt`) and Apus's own.
enum NetworkOption {
  static let bridgeName = "com.docker.network.bridge.name"
  static let neighbours = "com.docker.network.bridge.enable_icc"
  static let masquerade = "com.docker.network.bridge.enable_ip_masquerade"
  static let hostBinding = "com.docker.network.bridge.host_binding_ipv4"
  static let gatewayMode4 = "com.docker.network.bridge.gateway_mode_ipv4"
  static let gatewayMode6 = "com.docker.network.bridge.gateway_mode_ipv6"
  static let mtu = "com.docker.network.driver.mtu"
  static let interfacePrefix = "com.docker.network.container_iface_prefix"
  static let parent = "parent"
  static let macvlanMode = "macvlan_mode"
  /// Of an endpoint.
  static let interfaceName = "com.docker.network.endpoint.ifname"
  static let ingressRate = "apus.rate.ingress"
  static let egressRate = "apus.rate.egress"

  static func isTrue(_ text: String) -> Bool { ["1", "t", "true"].contains(text.lowercased()) }
}

/// `host` and `none`: nothing is made for them.
enum PlainNetwork: String, CaseIterable, Sendable {
  case host, none

  /// 64 hex digits, the same everywhere: nothing about these networks is particular to one host.
  var id: String { String(repeating: self == .host ? "a9c5ad1e" : "a9c50d1e", count: 8) }

  func information(_ members: [NetworkMember] = []) -> NetworkInformation {
    var information = NetworkInformation(
      id: id, name: rawValue, created: Date(timeIntervalSince1970: 0), driver: self == .none ? "null" : rawValue)
    information.isPredefined = true
    information.members = members
    return information
  }
}
