import FoundationEssentials

/// Answer of `GET /info`.
public struct SystemInfo: WireValue, Equatable, Sendable {
  @Field public var id: String
  @Field public var containers: Int
  @Field public var containersRunning: Int
  @Field public var containersPaused: Int
  @Field public var containersStopped: Int
  @Field public var images: Int
  @Field public var driver: String
  @Field public var driverStatus: [[String]]
  public var systemStatus: [[String]]?
  @Field public var plugins: PluginsInfo
  @Field public var memoryLimit: Bool
  @Field public var swapLimit: Bool
  public var kernelMemoryTCP: Bool?
  @Field public var cpuCfsPeriod: Bool
  @Field public var cpuCfsQuota: Bool
  @Field public var cpuShares: Bool
  @Field public var cpuSet: Bool
  @Field public var pidsLimit: Bool
  @Field public var ipv4Forwarding: Bool
  /// Only meaningful before API 1.50.
  @Field public var bridgeNfIptables: Bool
  @Field public var bridgeNfIp6tables: Bool
  @Field public var debug: Bool
  @Field public var nFd: Int
  @Field public var oomKillDisable: Bool
  @Field public var nGoroutines: Int
  @Field public var systemTime: String
  @Field public var loggingDriver: String
  @Field public var cgroupDriver: String
  @Field public var cgroupVersion: String
  @Field public var nEventsListener: Int
  @Field public var kernelVersion: String
  @Field public var operatingSystem: String
  @Field public var osVersion: String
  @Field public var osType: String
  @Field public var architecture: String
  @Field public var indexServerAddress: String
  @Field public var registryConfig: RegistryServiceConfig?
  @Field public var ncpu: Int
  @Field public var memTotal: Int
  @Field public var genericResources: [EmptyObject]?
  @Field public var dockerRootDir: String
  @Field public var httpProxy: String
  @Field public var httpsProxy: String
  @Field public var noProxy: String
  @Field public var name: String
  @Field public var labels: [String]
  @Field public var experimentalBuild: Bool
  @Field public var serverVersion: String
  @Field public var runtimes: [String: RuntimeInfo]
  @Field public var defaultRuntime: String
  @Field public var swarm: SwarmInfo
  @Field public var liveRestoreEnabled: Bool
  @Field public var isolation: String
  @Field public var initBinary: String
  @Field public var containerdCommit: CommitInfo
  @Field public var runcCommit: CommitInfo
  @Field public var initCommit: CommitInfo
  @Field public var securityOptions: [String]
  public var productLicense: String?
  @Field public var cdiSpecDirs: [String]
  @Field public var warnings: [String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "ID"
    case containers = "Containers"
    case containersRunning = "ContainersRunning"
    case containersPaused = "ContainersPaused"
    case containersStopped = "ContainersStopped"
    case images = "Images"
    case driver = "Driver"
    case driverStatus = "DriverStatus"
    case systemStatus = "SystemStatus"
    case plugins = "Plugins"
    case memoryLimit = "MemoryLimit"
    case swapLimit = "SwapLimit"
    case kernelMemoryTCP = "KernelMemoryTCP"
    case cpuCfsPeriod = "CpuCfsPeriod"
    case cpuCfsQuota = "CpuCfsQuota"
    case cpuShares = "CPUShares"
    case cpuSet = "CPUSet"
    case pidsLimit = "PidsLimit"
    case ipv4Forwarding = "IPv4Forwarding"
    case bridgeNfIptables = "BridgeNfIptables"
    case bridgeNfIp6tables = "BridgeNfIp6tables"
    case debug = "Debug"
    case nFd = "NFd"
    case oomKillDisable = "OomKillDisable"
    case nGoroutines = "NGoroutines"
    case systemTime = "SystemTime"
    case loggingDriver = "LoggingDriver"
    case cgroupDriver = "CgroupDriver"
    case cgroupVersion = "CgroupVersion"
    case nEventsListener = "NEventsListener"
    case kernelVersion = "KernelVersion"
    case operatingSystem = "OperatingSystem"
    case osVersion = "OSVersion"
    case osType = "OSType"
    case architecture = "Architecture"
    case indexServerAddress = "IndexServerAddress"
    case registryConfig = "RegistryConfig"
    case ncpu = "NCPU"
    case memTotal = "MemTotal"
    case genericResources = "GenericResources"
    case dockerRootDir = "DockerRootDir"
    case httpProxy = "HttpProxy"
    case httpsProxy = "HttpsProxy"
    case noProxy = "NoProxy"
    case name = "Name"
    case labels = "Labels"
    case experimentalBuild = "ExperimentalBuild"
    case serverVersion = "ServerVersion"
    case runtimes = "Runtimes"
    case defaultRuntime = "DefaultRuntime"
    case swarm = "Swarm"
    case liveRestoreEnabled = "LiveRestoreEnabled"
    case isolation = "Isolation"
    case initBinary = "InitBinary"
    case containerdCommit = "ContainerdCommit"
    case runcCommit = "RuncCommit"
    case initCommit = "InitCommit"
    case securityOptions = "SecurityOptions"
    case productLicense = "ProductLicense"
    case cdiSpecDirs = "CDISpecDirs"
    case warnings = "Warnings"
  }
}

/// What the engine has built in.
public struct PluginsInfo: WireValue, Equatable, Sendable {
  @Field public var volume: [String]
  @Field public var network: [String]
  @Field public var authorization: [String]?
  @Field public var log: [String]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case volume = "Volume"
    case network = "Network"
    case authorization = "Authorization"
    case log = "Log"
  }
}

/// Registries and how they are reached.
public struct RegistryServiceConfig: WireValue, Equatable, Sendable {
  @Field public var indexConfigs: [String: RegistryIndex]
  @Field public var insecureRegistryCIDRs: [String]
  @Field public var mirrors: [String]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case indexConfigs = "IndexConfigs"
    case insecureRegistryCIDRs = "InsecureRegistryCIDRs"
    case mirrors = "Mirrors"
  }
}

/// One registry.
public struct RegistryIndex: WireValue, Equatable, Sendable {
  @Field public var name: String
  @Field public var mirrors: [String]
  @Field public var secure: Bool
  @Field public var official: Bool

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
    case mirrors = "Mirrors"
    case secure = "Secure"
    case official = "Official"
  }
}

/// One way to run an instance.
public struct RuntimeInfo: WireValue, Equatable, Sendable {
  @Field public var path: String
  public var status: [String: String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case path, status
  }
}

/// Always inactive.
public struct SwarmInfo: WireValue, Equatable, Sendable {
  @Field public var nodeID: String
  @Field public var nodeAddr: String
  @Field public var localNodeState: String
  @Field public var controlAvailable: Bool
  @Field public var error: String
  @Field public var remoteManagers: [EmptyObject]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case nodeID = "NodeID"
    case nodeAddr = "NodeAddr"
    case localNodeState = "LocalNodeState"
    case controlAvailable = "ControlAvailable"
    case error = "Error"
    case remoteManagers = "RemoteManagers"
  }
}

/// The version of a component.
public struct CommitInfo: WireValue, Equatable, Sendable {
  @Field public var id: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "ID"
  }
}
