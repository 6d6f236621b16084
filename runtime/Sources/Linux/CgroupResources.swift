/// The limits of one cgroup. Unset means unchanged. Independent of the OCI types, which the container library maps.
public struct CgroupResources: Sendable, Equatable {
  /// Bytes; -1 means no limit.
  public struct Memory: Sendable, Equatable {
    public var limit: Int64?
    public var reservation: Int64?
    /// Of memory and swap together; -1 means no limit.
    public var swap: Int64?
    public var swappiness: UInt64?
    public var disableOOMKiller = false

    public init() {}
  }

  public struct Processor: Sendable, Equatable {
    /// Relative weight, 2 to 262144; 1024 is the usual one.
    public var shares: UInt64?
    /// Microseconds per period; -1 means no limit.
    public var quota: Int64?
    public var period: UInt64?
    public var burst: UInt64?
    public var realtimeRuntime: Int64?
    public var realtimePeriod: UInt64?
    /// Lists such as `0-3,7`; empty means unchanged.
    public var processors = ""
    public var memoryNodes = ""
    public var idle: Int64?

    public init() {}
  }

  /// A rate or weight of one block device.
  public struct Device<Value: Sendable & Equatable>: Sendable, Equatable {
    public var major: Int64
    public var minor: Int64
    public var value: Value

    public init(major: Int64, minor: Int64, value: Value) {
      self.major = major
      self.minor = minor
      self.value = value
    }
  }

  public struct BlockIO: Sendable, Equatable {
    /// 10 to 1000.
    public var weight: UInt16?
    public var deviceWeights: [Device<UInt16>] = []
    /// Bytes per second.
    public var readBytes: [Device<UInt64>] = []
    public var writeBytes: [Device<UInt64>] = []
    /// Operations per second.
    public var readOperations: [Device<UInt64>] = []
    public var writeOperations: [Device<UInt64>] = []

    public init() {}
  }

  /// One rule of the device controller; the last that matches decides.
  public struct DeviceRule: Sendable, Equatable {
    public enum Kind: String, Sendable {
      case all = "a"
      case block = "b"
      case character = "c"
    }
    public var allow: Bool
    public var kind: Kind
    /// Any where nil.
    public var major: Int64?
    public var minor: Int64?
    /// Of the letters `rwm`.
    public var access: String

    public init(allow: Bool, kind: Kind = .all, major: Int64? = nil, minor: Int64? = nil, access: String = "rwm") {
      self.allow = allow
      self.kind = kind
      self.major = major
      self.minor = minor
      self.access = access
    }
  }

  public var memory = Memory()
  public var processor = Processor()
  /// Processes; 0 or less means no limit.
  public var processes: Int64?
  public var blockIO = BlockIO()
  public var devices: [DeviceRule] = []
  /// Bytes by page size, such as `2MB`.
  public var hugePages: [String: UInt64] = [:]
  /// Of packets, for the host's traffic control and firewall (cgroup v1 only).
  public var networkClass: UInt32?
  /// Of traffic by interface (cgroup v1 only).
  public var networkPriorities: [String: UInt32] = [:]
  /// `hca_handle=N hca_object=N` by device, either or both.
  public var rdma: [String: String] = [:]
  /// Files of cgroup v2 and what to write to them.
  public var unified: [String: String] = [:]

  public init() {}
}

/// What a cgroup has used. Nil or empty where the kernel does not count it.
public struct CgroupStatistics: Sendable, Equatable {
  public struct DeviceUsage: Sendable, Equatable {
    public var major: UInt64
    public var minor: UInt64
    public var readBytes: UInt64 = 0
    public var writeBytes: UInt64 = 0
    public var readOperations: UInt64 = 0
    public var writeOperations: UInt64 = 0
  }

  /// Nanoseconds.
  public var processorTime: UInt64 = 0
  public var userTime: UInt64 = 0
  public var systemTime: UInt64 = 0
  /// Nanoseconds by processor (cgroup v1 only).
  public var timeByProcessor: [UInt64] = []
  public var throttlingPeriods: UInt64 = 0
  public var throttledPeriods: UInt64 = 0
  /// Nanoseconds.
  public var throttledTime: UInt64 = 0
  /// Bytes.
  public var memory: UInt64 = 0
  public var maximumMemory: UInt64 = 0
  /// UInt64.max: none.
  public var memoryLimit: UInt64 = .max
  public var memoryFailures: UInt64 = 0
  /// The lines of `memory.stat`.
  public var memoryDetails: [String: UInt64] = [:]
  public var swap: UInt64 = 0
  public var processes: UInt64 = 0
  /// UInt64.max: none.
  public var processLimit: UInt64 = .max
  public var devices: [DeviceUsage] = []
  /// How many processes the kernel has killed for lack of memory.
  public var oomKills: UInt64 = 0

  public init() {}
}
