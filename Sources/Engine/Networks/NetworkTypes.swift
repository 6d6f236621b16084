import FoundationEssentials
import Netlink
import Networking

/// What a user asks for with `POST /networks/create`. Empty and nil mean "as is usual".
public struct NetworkRequest: Sendable, Equatable {
  public var name: String
  /// `bridge` or `macvlan`; nil: bridge.
  public var driver: String?
  public var isInternal = false
  /// nil: yes.
  public var enableIPv4: Bool?
  /// nil: yes, for bridge; only where a subnet says so, for macvlan.
  public var enableIPv6: Bool?
  public var pools: [PoolRequest] = []
  /// Of IPAM; nil or `default`.
  public var addressDriver: String?
  /// Of IPAM: kept and shown, for its driver has none.
  public var addressOptions: [String: String] = [:]
  /// `com.docker.network.bridge.name`, `.enable_icc`, `.enable_ip_masquerade`, `com.docker.network.driver.mtu`, `parent`, …
  public var options: [String: String] = [:]
  public var labels: [String: String] = [:]
  /// Kept and shown; it has no meaning on one machine.
  public var isAttachable = false
  public init(name: String) { self.name = name }
}

/// One subnet as it is asked for; what is nil is chosen.
public struct PoolRequest: Sendable, Codable, Equatable {
  public var subnet: String?
  /// Where addresses are leased from: within the subnet.
  public var range: String?
  public var gateway: String?
  /// Addresses that are somebody else's, by any name.
  public var auxiliary: [String: String] = [:]
  public init(
    subnet: String? = nil, range: String? = nil, gateway: String? = nil, auxiliary: [String: String] = [:]
  ) {
    self.subnet = subnet
    self.range = range
    self.gateway = gateway
    self.auxiliary = auxiliary
  }
}

/// A network as it is now. A value: a copy taken at one moment.
public struct NetworkInformation: Sendable, Equatable {
  /// 64 lower-case hex digits.
  public var id: String
  public var name: String
  public var created: Date
  /// `bridge`, `macvlan`, `host` or `null`.
  public var driver: String
  public var isInternal = false
  public var enableIPv4 = true
  public var enableIPv6 = false
  /// With every subnet and gateway said.
  public var pools: [PoolRequest] = []
  public var addressOptions: [String: String] = [:]
  public var options: [String: String] = [:]
  public var labels: [String: String] = [:]
  public var isAttachable = false
  /// `bridge`, `host`, `none`: there without being made.
  public var isPredefined = false
  /// Running instances in it.
  public var members: [NetworkMember] = []

  public init(id: String, name: String, created: Date, driver: String) {
    self.id = id
    self.name = name
    self.created = created
    self.driver = driver
  }
}

/// A running instance in a network.
public struct NetworkMember: Sendable, Equatable {
  public var instanceID: String
  public var instanceName: String
  public var endpoint: Endpoint
  public init(instanceID: String, instanceName: String, endpoint: Endpoint) {
    self.instanceID = instanceID
    self.instanceName = instanceName
    self.endpoint = endpoint
  }
}

/// How an instance is to be in one network: what a user asks for.
public struct EndpointConfiguration: Sendable, Codable, Equatable {
  /// Its name or id, as asked; in a stored record the network's name.
  public var network: String
  /// Fixed once the instance is stored; empty in a request.
  public var networkID = ""
  /// Other names of the instance in this network.
  public var aliases: [String] = []
  /// `instance:alias`: another instance, by a name that only this one knows it by.
  public var links: [String] = []
  /// Addresses of its own choice; nil: leased.
  public var ipv4: String?
  public var ipv6: String?
  public var linkLocal: [String] = []
  public var mac: String?
  /// `com.docker.network.endpoint.ifname`, `apus.rate.ingress` and `apus.rate.egress` (bits per second: `10mbit`).
  public var driverOptions: [String: String] = [:]
  /// The network with the highest one has the default route.
  public var gatewayPriority = 0
  public init(network: String) { self.network = network }

  /// Nothing is asked for but a network.
  init(id: String) {
    self.init(network: "")
    networkID = id
  }
}

/// A port of an instance that the host is to publish: what a user asks for.
public struct PortBinding: Sendable, Codable, Hashable, CustomStringConvertible {
  public var proto: PortProtocol
  public var port: UInt16
  /// Of the host; empty: every address of both families.
  public var hostAddress = ""
  /// The first free one of these; nil: any free one.
  public var hostPorts: ClosedRange<UInt16>?
  /// As `--publish` has it: `127.0.0.1:8080:80/tcp`.
  public var description: String {
    var host =
      hostAddress.utf8.contains(UInt8(ascii: ":")) ? "[\(hostAddress)]:" : hostAddress.isEmpty ? "" : hostAddress + ":"
    if let hostPorts {
      host += hostPorts.count == 1 ? "\(hostPorts.lowerBound):" : "\(hostPorts.lowerBound)-\(hostPorts.upperBound):"
    }
    return "\(host)\(port)/\(proto.rawValue)"
  }

  public init(proto: PortProtocol, port: UInt16, hostAddress: String = "", hostPorts: ClosedRange<UInt16>? = nil) {
    self.proto = proto
    self.port = port
    self.hostAddress = hostAddress
    self.hostPorts = hostPorts
  }
}

/// An endpoint while its instance runs, or waits to be started where only the configuration is known.
public struct AttachedEndpoint: Sendable, Codable, Equatable {
  public var networkName: String
  public var endpoint: Endpoint
  /// Names lead to its IPv6 address too.
  public var namesIPv6: Bool
  public init(networkName: String, endpoint: Endpoint, namesIPv6: Bool = false) {
    self.networkName = networkName
    self.endpoint = endpoint
    self.namesIPv6 = namesIPv6
  }
}
