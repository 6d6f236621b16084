import FoundationEssentials

/// The host-dependent half of a container's settings.
public struct HostConfig: WireValue, Equatable, Sendable {
  /// `source:target[:options]`.
  @Field public var binds: [String]?
  @Field public var containerIDFile: String
  @Field public var logConfig: LogConfig
  @Field public var networkMode: String
  @Field public var portBindings: [String: [PortBindingConfig]?]?
  @Field public var restartPolicy: RestartPolicyConfig
  @Field public var autoRemove: Bool
  @Field public var volumeDriver: String
  @Field public var volumesFrom: [String]?
  /// Rows, columns.
  @Field public var consoleSize: [Int]
  public var annotations: [String: String]?
  @Field public var capAdd: StringList?
  @Field public var capDrop: StringList?
  @Field public var cgroupnsMode: String
  @Field public var dns: [String]?
  @Field public var dnsOptions: [String]?
  @Field public var dnsSearch: [String]?
  @Field public var extraHosts: [String]?
  @Field public var groupAdd: [String]?
  @Field public var ipcMode: String
  @Field public var cgroup: String
  @Field public var links: [String]?
  @Field public var oomScoreAdj: Int
  @Field public var pidMode: String
  @Field public var privileged: Bool
  @Field public var publishAllPorts: Bool
  @Field public var readonlyRootfs: Bool
  @Field public var securityOpt: [String]?
  public var storageOpt: [String: String]?
  /// Target → mount options.
  public var tmpfs: [String: String]?
  @Field public var utsMode: String
  @Field public var usernsMode: String
  /// Bytes.
  @Field public var shmSize: Int
  public var sysctls: [String: String]?
  public var runtime: String?
  /// `container` or `vm`; empty is the daemon's default.
  @Field public var isolation: String
  public var resources = ContainerResources()
  public var mounts: [MountPoint]?
  @Field public var maskedPaths: [String]?
  @Field public var readonlyPaths: [String]?
  public var useInit: Bool?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case binds = "Binds"
    case containerIDFile = "ContainerIDFile"
    case logConfig = "LogConfig"
    case networkMode = "NetworkMode"
    case portBindings = "PortBindings"
    case restartPolicy = "RestartPolicy"
    case autoRemove = "AutoRemove"
    case volumeDriver = "VolumeDriver"
    case volumesFrom = "VolumesFrom"
    case consoleSize = "ConsoleSize"
    case annotations = "Annotations"
    case capAdd = "CapAdd"
    case capDrop = "CapDrop"
    case cgroupnsMode = "CgroupnsMode"
    case dns = "Dns"
    case dnsOptions = "DnsOptions"
    case dnsSearch = "DnsSearch"
    case extraHosts = "ExtraHosts"
    case groupAdd = "GroupAdd"
    case ipcMode = "IpcMode"
    case cgroup = "Cgroup"
    case links = "Links"
    case oomScoreAdj = "OomScoreAdj"
    case pidMode = "PidMode"
    case privileged = "Privileged"
    case publishAllPorts = "PublishAllPorts"
    case readonlyRootfs = "ReadonlyRootfs"
    case securityOpt = "SecurityOpt"
    case storageOpt = "StorageOpt"
    case tmpfs = "Tmpfs"
    case utsMode = "UTSMode"
    case usernsMode = "UsernsMode"
    case shmSize = "ShmSize"
    case sysctls = "Sysctls"
    case runtime = "Runtime"
    case isolation = "Isolation"
    case mounts = "Mounts"
    case maskedPaths = "MaskedPaths"
    case readonlyPaths = "ReadonlyPaths"
    case useInit = "Init"
  }

  public init(from decoder: any Decoder) throws {
    resources = try ContainerResources(from: decoder)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    _binds = try fields.decode(Field<[String]?>.self, forKey: .binds)
    _containerIDFile = try fields.decode(Field<String>.self, forKey: .containerIDFile)
    _logConfig = try fields.decode(Field<LogConfig>.self, forKey: .logConfig)
    _networkMode = try fields.decode(Field<String>.self, forKey: .networkMode)
    _portBindings = try fields.decode(Field<[String: [PortBindingConfig]?]?>.self, forKey: .portBindings)
    _restartPolicy = try fields.decode(Field<RestartPolicyConfig>.self, forKey: .restartPolicy)
    _autoRemove = try fields.decode(Field<Bool>.self, forKey: .autoRemove)
    _volumeDriver = try fields.decode(Field<String>.self, forKey: .volumeDriver)
    _volumesFrom = try fields.decode(Field<[String]?>.self, forKey: .volumesFrom)
    _consoleSize = try fields.decode(Field<[Int]>.self, forKey: .consoleSize)
    annotations = try fields.decodeIfPresent([String: String].self, forKey: .annotations)
    _capAdd = try fields.decode(Field<StringList?>.self, forKey: .capAdd)
    _capDrop = try fields.decode(Field<StringList?>.self, forKey: .capDrop)
    _cgroupnsMode = try fields.decode(Field<String>.self, forKey: .cgroupnsMode)
    _dns = try fields.decode(Field<[String]?>.self, forKey: .dns)
    _dnsOptions = try fields.decode(Field<[String]?>.self, forKey: .dnsOptions)
    _dnsSearch = try fields.decode(Field<[String]?>.self, forKey: .dnsSearch)
    _extraHosts = try fields.decode(Field<[String]?>.self, forKey: .extraHosts)
    _groupAdd = try fields.decode(Field<[String]?>.self, forKey: .groupAdd)
    _ipcMode = try fields.decode(Field<String>.self, forKey: .ipcMode)
    _cgroup = try fields.decode(Field<String>.self, forKey: .cgroup)
    _links = try fields.decode(Field<[String]?>.self, forKey: .links)
    _oomScoreAdj = try fields.decode(Field<Int>.self, forKey: .oomScoreAdj)
    _pidMode = try fields.decode(Field<String>.self, forKey: .pidMode)
    _privileged = try fields.decode(Field<Bool>.self, forKey: .privileged)
    _publishAllPorts = try fields.decode(Field<Bool>.self, forKey: .publishAllPorts)
    _readonlyRootfs = try fields.decode(Field<Bool>.self, forKey: .readonlyRootfs)
    _securityOpt = try fields.decode(Field<[String]?>.self, forKey: .securityOpt)
    storageOpt = try fields.decodeIfPresent([String: String].self, forKey: .storageOpt)
    tmpfs = try fields.decodeIfPresent([String: String].self, forKey: .tmpfs)
    _utsMode = try fields.decode(Field<String>.self, forKey: .utsMode)
    _usernsMode = try fields.decode(Field<String>.self, forKey: .usernsMode)
    _shmSize = try fields.decode(Field<Int>.self, forKey: .shmSize)
    sysctls = try fields.decodeIfPresent([String: String].self, forKey: .sysctls)
    runtime = try fields.decodeIfPresent(String.self, forKey: .runtime)
    _isolation = try fields.decode(Field<String>.self, forKey: .isolation)
    mounts = try fields.decodeIfPresent([MountPoint].self, forKey: .mounts)
    _maskedPaths = try fields.decode(Field<[String]?>.self, forKey: .maskedPaths)
    _readonlyPaths = try fields.decode(Field<[String]?>.self, forKey: .readonlyPaths)
    useInit = try fields.decodeIfPresent(Bool.self, forKey: .useInit)
  }

  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(_binds, forKey: .binds)
    try fields.encode(_containerIDFile, forKey: .containerIDFile)
    try fields.encode(_logConfig, forKey: .logConfig)
    try fields.encode(_networkMode, forKey: .networkMode)
    try fields.encode(_portBindings, forKey: .portBindings)
    try fields.encode(_restartPolicy, forKey: .restartPolicy)
    try fields.encode(_autoRemove, forKey: .autoRemove)
    try fields.encode(_volumeDriver, forKey: .volumeDriver)
    try fields.encode(_volumesFrom, forKey: .volumesFrom)
    try fields.encode(_consoleSize, forKey: .consoleSize)
    try fields.encodeIfPresent(annotations, forKey: .annotations)
    try fields.encode(_capAdd, forKey: .capAdd)
    try fields.encode(_capDrop, forKey: .capDrop)
    try fields.encode(_cgroupnsMode, forKey: .cgroupnsMode)
    try fields.encode(_dns, forKey: .dns)
    try fields.encode(_dnsOptions, forKey: .dnsOptions)
    try fields.encode(_dnsSearch, forKey: .dnsSearch)
    try fields.encode(_extraHosts, forKey: .extraHosts)
    try fields.encode(_groupAdd, forKey: .groupAdd)
    try fields.encode(_ipcMode, forKey: .ipcMode)
    try fields.encode(_cgroup, forKey: .cgroup)
    try fields.encode(_links, forKey: .links)
    try fields.encode(_oomScoreAdj, forKey: .oomScoreAdj)
    try fields.encode(_pidMode, forKey: .pidMode)
    try fields.encode(_privileged, forKey: .privileged)
    try fields.encode(_publishAllPorts, forKey: .publishAllPorts)
    try fields.encode(_readonlyRootfs, forKey: .readonlyRootfs)
    try fields.encode(_securityOpt, forKey: .securityOpt)
    try fields.encodeIfPresent(storageOpt, forKey: .storageOpt)
    try fields.encodeIfPresent(tmpfs, forKey: .tmpfs)
    try fields.encode(_utsMode, forKey: .utsMode)
    try fields.encode(_usernsMode, forKey: .usernsMode)
    try fields.encode(_shmSize, forKey: .shmSize)
    try fields.encodeIfPresent(sysctls, forKey: .sysctls)
    try fields.encodeIfPresent(runtime, forKey: .runtime)
    try fields.encode(_isolation, forKey: .isolation)
    try resources.encode(to: encoder)
    try fields.encodeIfPresent(mounts, forKey: .mounts)
    try fields.encode(_maskedPaths, forKey: .maskedPaths)
    try fields.encode(_readonlyPaths, forKey: .readonlyPaths)
    try fields.encodeIfPresent(useInit, forKey: .useInit)
  }
}

/// Limits of a container; 0 is none (embedded in `HostConfig` and in `POST /containers/{id}/update`).
public struct ContainerResources: WireValue, Equatable, Sendable {
  @Field public var cpuShares: Int
  /// Bytes.
  @Field public var memory: Int
  /// Billionths of a CPU.
  @Field public var nanoCpus: Int
  @Field public var cgroupParent: String
  @Field public var blkioWeight: UInt16
  @Field public var blkioWeightDevice: [WeightDevice]?
  @Field public var blkioDeviceReadBps: [ThrottleDevice]?
  @Field public var blkioDeviceWriteBps: [ThrottleDevice]?
  @Field public var blkioDeviceReadIOps: [ThrottleDevice]?
  @Field public var blkioDeviceWriteIOps: [ThrottleDevice]?
  /// Microseconds.
  @Field public var cpuPeriod: Int
  /// Microseconds.
  @Field public var cpuQuota: Int
  @Field public var cpuRealtimePeriod: Int
  @Field public var cpuRealtimeRuntime: Int
  @Field public var cpusetCpus: String
  @Field public var cpusetMems: String
  @Field public var devices: [DeviceConfig]?
  @Field public var deviceCgroupRules: [String]?
  @Field public var deviceRequests: [DeviceRequest]?
  /// Obsolete; accepted and ignored.
  public var kernelMemory: Int?
  /// Obsolete; accepted and ignored.
  public var kernelMemoryTCP: Int?
  @Field public var memoryReservation: Int
  /// Memory and swap together in bytes; −1: unlimited swap.
  @Field public var memorySwap: Int
  @Field public var memorySwappiness: Int?
  @Field public var oomKillDisable: Bool?
  @Field public var pidsLimit: Int?
  @Field public var ulimits: [UlimitConfig]?
  @Field public var cpuCount: Int
  @Field public var cpuPercent: Int
  @Field public var ioMaximumIOps: UInt64
  @Field public var ioMaximumBandwidth: UInt64

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case cpuShares = "CpuShares"
    case memory = "Memory"
    case nanoCpus = "NanoCpus"
    case cgroupParent = "CgroupParent"
    case blkioWeight = "BlkioWeight"
    case blkioWeightDevice = "BlkioWeightDevice"
    case blkioDeviceReadBps = "BlkioDeviceReadBps"
    case blkioDeviceWriteBps = "BlkioDeviceWriteBps"
    case blkioDeviceReadIOps = "BlkioDeviceReadIOps"
    case blkioDeviceWriteIOps = "BlkioDeviceWriteIOps"
    case cpuPeriod = "CpuPeriod"
    case cpuQuota = "CpuQuota"
    case cpuRealtimePeriod = "CpuRealtimePeriod"
    case cpuRealtimeRuntime = "CpuRealtimeRuntime"
    case cpusetCpus = "CpusetCpus"
    case cpusetMems = "CpusetMems"
    case devices = "Devices"
    case deviceCgroupRules = "DeviceCgroupRules"
    case deviceRequests = "DeviceRequests"
    case kernelMemory = "KernelMemory"
    case kernelMemoryTCP = "KernelMemoryTCP"
    case memoryReservation = "MemoryReservation"
    case memorySwap = "MemorySwap"
    case memorySwappiness = "MemorySwappiness"
    case oomKillDisable = "OomKillDisable"
    case pidsLimit = "PidsLimit"
    case ulimits = "Ulimits"
    case cpuCount = "CpuCount"
    case cpuPercent = "CpuPercent"
    case ioMaximumIOps = "IOMaximumIOps"
    case ioMaximumBandwidth = "IOMaximumBandwidth"
  }
}

/// Where a container's output goes.
public struct LogConfig: WireValue, Equatable, Sendable {
  /// `json-file`, `local`, `none`; empty: the default.
  @Field public var type: String
  @Field public var config: [String: String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case type = "Type"
    case config = "Config"
  }
}

/// When a container is started again.
public struct RestartPolicyConfig: WireValue, Equatable, Sendable {
  /// `no`, `always`, `unless-stopped`, `on-failure`; empty is `no`.
  @Field public var name: String
  @Field public var maximumRetryCount: Int

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
    case maximumRetryCount = "MaximumRetryCount"
  }
}

/// One host address that a container's port is published on.
public struct PortBindingConfig: WireValue, Equatable, Sendable {
  @Field public var hostIP: String
  @Field public var hostPort: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case hostIP = "HostIp"
    case hostPort = "HostPort"
  }
}

/// The block I/O weight of one device.
public struct WeightDevice: WireValue, Equatable, Sendable {
  @Field public var path: String
  @Field public var weight: UInt16

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case path = "Path"
    case weight = "Weight"
  }
}

/// The block I/O rate of one device, in bytes or operations per second.
public struct ThrottleDevice: WireValue, Equatable, Sendable {
  @Field public var path: String
  @Field public var rate: UInt64

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case path = "Path"
    case rate = "Rate"
  }
}

/// A host device given to a container.
public struct DeviceConfig: WireValue, Equatable, Sendable {
  @Field public var pathOnHost: String
  @Field public var pathInContainer: String
  @Field public var cgroupPermissions: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case pathOnHost = "PathOnHost"
    case pathInContainer = "PathInContainer"
    case cgroupPermissions = "CgroupPermissions"
  }
}

/// A request to a device driver (GPUs).
public struct DeviceRequest: WireValue, Equatable, Sendable {
  @Field public var driver: String
  @Field public var count: Int
  @Field public var deviceIDs: [String]?
  @Field public var capabilities: [[String]]?
  @Field public var options: [String: String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case driver = "Driver"
    case count = "Count"
    case deviceIDs = "DeviceIDs"
    case capabilities = "Capabilities"
    case options = "Options"
  }
}

/// A resource limit of a container's processes.
public struct UlimitConfig: WireValue, Equatable, Sendable {
  @Field public var name: String
  @Field public var hard: Int
  @Field public var soft: Int

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
    case hard = "Hard"
    case soft = "Soft"
  }
}

/// A mount as asked for (`HostConfig.Mounts`).
public struct MountPoint: WireValue, Equatable, Sendable {
  /// `bind`, `volume`, `tmpfs`.
  public var type: String?
  public var source: String?
  public var target: String?
  public var readOnly: Bool?
  public var consistency: String?
  public var bindOptions: BindOptions?
  public var volumeOptions: VolumeOptions?
  public var imageOptions: ImageMountOptions?
  public var tmpfsOptions: TmpfsOptions?
  public var clusterOptions: EmptyObject?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case type = "Type"
    case source = "Source"
    case target = "Target"
    case readOnly = "ReadOnly"
    case consistency = "Consistency"
    case bindOptions = "BindOptions"
    case volumeOptions = "VolumeOptions"
    case imageOptions = "ImageOptions"
    case tmpfsOptions = "TmpfsOptions"
    case clusterOptions = "ClusterOptions"
  }
}

/// Options of a bind mount.
public struct BindOptions: WireValue, Equatable, Sendable {
  public var propagation: String?
  public var nonRecursive: Bool?
  public var createMountpoint: Bool?
  public var readOnlyNonRecursive: Bool?
  public var readOnlyForceRecursive: Bool?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case propagation = "Propagation"
    case nonRecursive = "NonRecursive"
    case createMountpoint = "CreateMountpoint"
    case readOnlyNonRecursive = "ReadOnlyNonRecursive"
    case readOnlyForceRecursive = "ReadOnlyForceRecursive"
  }
}

/// Options of a volume mount.
public struct VolumeOptions: WireValue, Equatable, Sendable {
  public var noCopy: Bool?
  public var labels: [String: String]?
  public var subpath: String?
  public var driverConfig: VolumeDriverConfig?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case noCopy = "NoCopy"
    case labels = "Labels"
    case subpath = "Subpath"
    case driverConfig = "DriverConfig"
  }
}

/// Options of an image mount.
public struct ImageMountOptions: WireValue, Equatable, Sendable {
  public var subpath: String?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case subpath = "Subpath"
  }
}

/// The driver of a volume made on the way.
public struct VolumeDriverConfig: WireValue, Equatable, Sendable {
  public var name: String?
  public var options: [String: String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
    case options = "Options"
  }
}

/// Options of a tmpfs mount.
public struct TmpfsOptions: WireValue, Equatable, Sendable {
  public var sizeBytes: Int?
  public var mode: Int?
  public var options: [[String]]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case sizeBytes = "SizeBytes"
    case mode = "Mode"
    case options = "Options"
  }
}
