import FoundationEssentials

/// One network.
public struct NetworkSummary: WireValue, Equatable, Sendable {
  @Field public var name: String
  @Field public var id: String
  @Field public var created: String
  @Field public var scope: String
  @Field public var driver: String
  @Field public var enableIPv4: Bool
  @Field public var enableIPv6: Bool
  @Field public var ipam: NetworkIPAM
  @Field public var isInternal: Bool
  @Field public var attachable: Bool
  @Field public var ingress: Bool
  @Field public var configFrom: NetworkReference
  @Field public var configOnly: Bool
  @Field public var containers: [String: NetworkEndpoint]
  @Field public var options: [String: String]
  @Field public var labels: [String: String]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
    case id = "Id"
    case created = "Created"
    case scope = "Scope"
    case driver = "Driver"
    case enableIPv4 = "EnableIPv4"
    case enableIPv6 = "EnableIPv6"
    case ipam = "IPAM"
    case isInternal = "Internal"
    case attachable = "Attachable"
    case ingress = "Ingress"
    case configFrom = "ConfigFrom"
    case configOnly = "ConfigOnly"
    case containers = "Containers"
    case options = "Options"
    case labels = "Labels"
  }
}

/// Address management of a network.
public struct NetworkIPAM: WireValue, Equatable, Sendable {
  @Field public var driver: String
  @Field public var options: [String: String]?
  @Field public var config: [NetworkIPAMPool]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case driver = "Driver"
    case options = "Options"
    case config = "Config"
  }
}

/// One subnet.
public struct NetworkIPAMPool: WireValue, Equatable, Sendable {
  public var subnet: String?
  public var ipRange: String?
  public var gateway: String?
  /// Addresses that are somebody else's, by any name.
  public var auxiliaryAddresses: [String: String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case subnet = "Subnet"
    case ipRange = "IPRange"
    case gateway = "Gateway"
    case auxiliaryAddresses = "AuxiliaryAddresses"
  }
}

/// The network whose settings are taken.
public struct NetworkReference: WireValue, Equatable, Sendable {
  @Field public var network: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case network = "Network"
  }
}

/// A container in a network.
public struct NetworkEndpoint: WireValue, Equatable, Sendable {
  @Field public var name: String
  @Field public var endpointID: String
  @Field public var macAddress: String
  @Field public var iPv4Address: String
  @Field public var iPv6Address: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
    case endpointID = "EndpointID"
    case macAddress = "MacAddress"
    case iPv4Address = "IPv4Address"
    case iPv6Address = "IPv6Address"
  }
}

/// Body of `POST /networks/create`.
public struct NetworkCreateRequest: WireValue, Equatable, Sendable {
  @Field public var name: String
  /// Obsolete: names are always unique.
  public var checkDuplicate: Bool?
  @Field public var driver: String
  @Field public var scope: String
  public var enableIPv4: Bool?
  public var enableIPv6: Bool?
  @Field public var ipam: NetworkIPAM?
  @Field public var isInternal: Bool
  @Field public var attachable: Bool
  @Field public var ingress: Bool
  @Field public var configOnly: Bool
  @Field public var configFrom: NetworkReference?
  @Field public var options: [String: String]?
  @Field public var labels: [String: String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
    case checkDuplicate = "CheckDuplicate"
    case driver = "Driver"
    case scope = "Scope"
    case enableIPv4 = "EnableIPv4"
    case enableIPv6 = "EnableIPv6"
    case ipam = "IPAM"
    case isInternal = "Internal"
    case attachable = "Attachable"
    case ingress = "Ingress"
    case configOnly = "ConfigOnly"
    case configFrom = "ConfigFrom"
    case options = "Options"
    case labels = "Labels"
  }
}

/// Answer of `POST /networks/create`.
public struct NetworkCreateResponse: WireValue, Equatable, Sendable {
  @Field public var id: String
  @Field public var warning: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "Id"
    case warning = "Warning"
  }
}

/// Body of `POST /networks/{id}/connect`.
public struct NetworkConnectRequest: WireValue, Equatable, Sendable {
  @Field public var container: String
  public var endpointConfig: EndpointSettings?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case container = "Container"
    case endpointConfig = "EndpointConfig"
  }
}

/// Body of `POST /networks/{id}/disconnect`.
public struct NetworkDisconnectRequest: WireValue, Equatable, Sendable {
  @Field public var container: String
  @Field public var force: Bool

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case container = "Container"
    case force = "Force"
  }
}

/// Answer of `POST /networks/prune`.
public struct NetworksPruneReport: WireValue, Equatable, Sendable {
  @Field public var networksDeleted: [String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case networksDeleted = "NetworksDeleted"
  }
}
