import FoundationEssentials

/// Answer of `GET /containers/{id}/json`.
public struct ContainerInspect: WireValue, Equatable, Sendable {
  @Field public var id: String
  @Field public var created: String
  @Field public var path: String
  @Field public var args: [String]
  @Field public var state: ContainerState
  /// The image's ID.
  @Field public var image: String
  @Field public var resolvConfPath: String
  @Field public var hostnamePath: String
  @Field public var hostsPath: String
  @Field public var logPath: String
  /// With its leading slash.
  @Field public var name: String
  @Field public var restartCount: Int
  @Field public var driver: String
  @Field public var platform: String
  @Field public var mountLabel: String
  @Field public var processLabel: String
  @Field public var appArmorProfile: String
  @Field public var execIDs: [String]?
  @Field public var hostConfig: HostConfig
  @Field public var graphDriver: GraphDriverData
  /// Bytes of the writable layer; only with `size=1`.
  public var sizeRw: Int?
  public var sizeRootFs: Int?
  @Field public var mounts: [MountSummary]
  @Field public var config: ContainerConfig
  @Field public var networkSettings: NetworkSettings
  public var imageManifestDescriptor: DescriptorSummary?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "Id"
    case created = "Created"
    case path = "Path"
    case args = "Args"
    case state = "State"
    case image = "Image"
    case resolvConfPath = "ResolvConfPath"
    case hostnamePath = "HostnamePath"
    case hostsPath = "HostsPath"
    case logPath = "LogPath"
    case name = "Name"
    case restartCount = "RestartCount"
    case driver = "Driver"
    case platform = "Platform"
    case mountLabel = "MountLabel"
    case processLabel = "ProcessLabel"
    case appArmorProfile = "AppArmorProfile"
    case execIDs = "ExecIDs"
    case hostConfig = "HostConfig"
    case graphDriver = "GraphDriver"
    case sizeRw = "SizeRw"
    case sizeRootFs = "SizeRootFs"
    case mounts = "Mounts"
    case config = "Config"
    case networkSettings = "NetworkSettings"
    case imageManifestDescriptor = "ImageManifestDescriptor"
  }
}

/// What a container is doing.
public struct ContainerState: WireValue, Equatable, Sendable {
  /// `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
  @Field public var status: String
  @Field public var running: Bool
  @Field public var paused: Bool
  @Field public var restarting: Bool
  @Field public var oomKilled: Bool
  @Field public var dead: Bool
  @Field public var pid: Int
  @Field public var exitCode: Int
  @Field public var error: String
  @Field public var startedAt: String
  @Field public var finishedAt: String
  public var health: HealthSummary?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case status = "Status"
    case running = "Running"
    case paused = "Paused"
    case restarting = "Restarting"
    case oomKilled = "OOMKilled"
    case dead = "Dead"
    case pid = "Pid"
    case exitCode = "ExitCode"
    case error = "Error"
    case startedAt = "StartedAt"
    case finishedAt = "FinishedAt"
    case health = "Health"
  }
}

/// The outcome of the last health checks.
public struct HealthSummary: WireValue, Equatable, Sendable {
  @Field public var status: String
  @Field public var failingStreak: Int
  @Field public var log: [HealthProbe]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case status = "Status"
    case failingStreak = "FailingStreak"
    case log = "Log"
  }
}

/// One run of a health check.
public struct HealthProbe: WireValue, Equatable, Sendable {
  @Field public var start: String
  @Field public var end: String
  @Field public var exitCode: Int
  @Field public var output: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case start = "Start"
    case end = "End"
    case exitCode = "ExitCode"
    case output = "Output"
  }
}

/// Where the layers are.
public struct GraphDriverData: WireValue, Equatable, Sendable {
  @Field public var name: String
  @Field public var data: [String: String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
    case data = "Data"
  }
}

/// A mount as it is.
public struct MountSummary: WireValue, Equatable, Sendable {
  @Field public var type: String
  public var name: String?
  @Field public var source: String
  @Field public var destination: String
  public var driver: String?
  @Field public var mode: String
  @Field public var rw: Bool
  @Field public var propagation: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case type = "Type"
    case name = "Name"
    case source = "Source"
    case destination = "Destination"
    case driver = "Driver"
    case mode = "Mode"
    case rw = "RW"
    case propagation = "Propagation"
  }
}

/// A container's addresses.
public struct NetworkSettings: WireValue, Equatable, Sendable {
  @Field public var bridge: String
  @Field public var sandboxID: String
  @Field public var sandboxKey: String
  @Field public var ports: [String: [PortBindingConfig]?]
  @Field public var hairpinMode: Bool
  @Field public var linkLocalIPv6Address: String
  @Field public var linkLocalIPv6PrefixLen: Int
  @Field public var secondaryIPAddresses: [EmptyObject]?
  @Field public var secondaryIPv6Addresses: [EmptyObject]?
  @Field public var endpointID: String
  @Field public var gateway: String
  @Field public var globalIPv6Address: String
  @Field public var globalIPv6PrefixLen: Int
  @Field public var ipAddress: String
  @Field public var ipPrefixLen: Int
  @Field public var iPv6Gateway: String
  @Field public var macAddress: String
  @Field public var networks: [String: EndpointSettings]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case bridge = "Bridge"
    case sandboxID = "SandboxID"
    case sandboxKey = "SandboxKey"
    case ports = "Ports"
    case hairpinMode = "HairpinMode"
    case linkLocalIPv6Address = "LinkLocalIPv6Address"
    case linkLocalIPv6PrefixLen = "LinkLocalIPv6PrefixLen"
    case secondaryIPAddresses = "SecondaryIPAddresses"
    case secondaryIPv6Addresses = "SecondaryIPv6Addresses"
    case endpointID = "EndpointID"
    case gateway = "Gateway"
    case globalIPv6Address = "GlobalIPv6Address"
    case globalIPv6PrefixLen = "GlobalIPv6PrefixLen"
    case ipAddress = "IPAddress"
    case ipPrefixLen = "IPPrefixLen"
    case iPv6Gateway = "IPv6Gateway"
    case macAddress = "MacAddress"
    case networks = "Networks"
  }
}

/// A container's place in one network: what is asked for, and while it runs what it got.
public struct EndpointSettings: WireValue, Equatable, Sendable {
  @Field public var ipamConfig: EndpointIPAMConfig?
  @Field public var links: [String]?
  @Field public var aliases: [String]?
  @Field public var macAddress: String
  @Field public var driverOpts: [String: String]?
  @Field public var gwPriority: Int
  @Field public var networkID: String
  @Field public var endpointID: String
  @Field public var gateway: String
  @Field public var ipAddress: String
  @Field public var ipPrefixLen: Int
  @Field public var iPv6Gateway: String
  @Field public var globalIPv6Address: String
  @Field public var globalIPv6PrefixLen: Int
  @Field public var dnsNames: [String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case ipamConfig = "IPAMConfig"
    case links = "Links"
    case aliases = "Aliases"
    case macAddress = "MacAddress"
    case driverOpts = "DriverOpts"
    case gwPriority = "GwPriority"
    case networkID = "NetworkID"
    case endpointID = "EndpointID"
    case gateway = "Gateway"
    case ipAddress = "IPAddress"
    case ipPrefixLen = "IPPrefixLen"
    case iPv6Gateway = "IPv6Gateway"
    case globalIPv6Address = "GlobalIPv6Address"
    case globalIPv6PrefixLen = "GlobalIPv6PrefixLen"
    case dnsNames = "DNSNames"
  }
}

/// Addresses asked for.
public struct EndpointIPAMConfig: WireValue, Equatable, Sendable {
  public var iPv4Address: String?
  public var iPv6Address: String?
  public var linkLocalIPs: [String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case iPv4Address = "IPv4Address"
    case iPv6Address = "IPv6Address"
    case linkLocalIPs = "LinkLocalIPs"
  }
}

/// One line of `GET /containers/json`.
public struct ContainerSummary: WireValue, Equatable, Sendable {
  @Field public var id: String
  /// Each with its leading slash.
  @Field public var names: [String]
  /// As the user wrote it; the ID where the name now means another image.
  @Field public var image: String
  @Field public var imageID: String
  public var imageManifestDescriptor: DescriptorSummary?
  @Field public var command: String
  /// Seconds since 1970.
  @Field public var created: Int
  @Field public var ports: [PortSummary]
  public var sizeRw: Int?
  public var sizeRootFs: Int?
  @Field public var labels: [String: String]
  @Field public var state: String
  /// `Up 2 minutes (healthy)`.
  @Field public var status: String
  @Field public var hostConfig: ContainerSummaryHostConfig
  @Field public var networkSettings: ContainerSummaryNetworks
  @Field public var mounts: [MountSummary]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "Id"
    case names = "Names"
    case image = "Image"
    case imageID = "ImageID"
    case imageManifestDescriptor = "ImageManifestDescriptor"
    case command = "Command"
    case created = "Created"
    case ports = "Ports"
    case sizeRw = "SizeRw"
    case sizeRootFs = "SizeRootFs"
    case labels = "Labels"
    case state = "State"
    case status = "Status"
    case hostConfig = "HostConfig"
    case networkSettings = "NetworkSettings"
    case mounts = "Mounts"
  }
}

/// The part of the host settings that a list shows.
public struct ContainerSummaryHostConfig: WireValue, Equatable, Sendable {
  public var networkMode: String?
  public var annotations: [String: String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case networkMode = "NetworkMode"
    case annotations = "Annotations"
  }
}

/// The part of the network settings that a list shows.
public struct ContainerSummaryNetworks: WireValue, Equatable, Sendable {
  @Field public var networks: [String: EndpointSettings]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case networks = "Networks"
  }
}

/// A port that is exposed or published.
public struct PortSummary: WireValue, Equatable, Sendable {
  public var ip: String?
  @Field public var privatePort: UInt16
  public var publicPort: UInt16?
  @Field public var type: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case ip = "IP"
    case privatePort = "PrivatePort"
    case publicPort = "PublicPort"
    case type = "Type"
  }
}
