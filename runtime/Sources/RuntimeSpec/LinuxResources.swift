/// The limits of a cgroup (config-linux.md, Control groups). Unset means unchanged.
public struct LinuxResources: JSONObject, Equatable {
  /// Rules in order; the last that matches decides.
  public var devices: [LinuxDeviceCgroup]
  public var memory: LinuxMemory?
  public var cpu: LinuxCPU?
  public var pids: LinuxPids?
  public var blockIO: LinuxBlockIO?
  public var hugepageLimits: [LinuxHugepageLimit]
  public var network: LinuxNetwork?
  /// By device.
  public var rdma: [String: LinuxRdma]
  /// Files of cgroup v2 and what to write to them.
  public var unified: [String: String]

  public init(
    devices: [LinuxDeviceCgroup] = [], memory: LinuxMemory? = nil, cpu: LinuxCPU? = nil,
    pids: LinuxPids? = nil, blockIO: LinuxBlockIO? = nil, hugepageLimits: [LinuxHugepageLimit] = [],
    network: LinuxNetwork? = nil, rdma: [String: LinuxRdma] = [:], unified: [String: String] = [:]
  ) {
    self.devices = devices
    self.memory = memory
    self.cpu = cpu
    self.pids = pids
    self.blockIO = blockIO
    self.hugepageLimits = hugepageLimits
    self.network = network
    self.rdma = rdma
    self.unified = unified
  }

  public init() { self.init(devices: []) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "devices": try reader.read(&devices)
    case "memory": try reader.read(&memory)
    case "cpu": try reader.read(&cpu)
    case "pids": try reader.read(&pids)
    case "blockIO": try reader.read(&blockIO)
    case "hugepageLimits": try reader.read(&hugepageLimits)
    case "network": try reader.read(&network)
    case "rdma": try reader.read(&rdma)
    case "unified": try reader.read(&unified)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("devices", devices)
    writer.putIfSet("memory", memory)
    writer.putIfSet("cpu", cpu)
    writer.putIfSet("pids", pids)
    writer.putIfSet("blockIO", blockIO)
    writer.putIfSet("hugepageLimits", hugepageLimits)
    writer.putIfSet("network", network)
    writer.putIfSet("rdma", rdma)
    writer.putIfSet("unified", unified)
  }
}

/// A rule of the device controller.
public struct LinuxDeviceCgroup: JSONObject, Equatable {
  public var allow: Bool
  /// `a`, `b` or `c`; empty means all.
  public var type: String
  /// Any where nil.
  public var major: Int64?
  /// Any where nil.
  public var minor: Int64?
  /// Of the letters `rwm`.
  public var access: String

  public init(allow: Bool = false, type: String = "", major: Int64? = nil, minor: Int64? = nil, access: String = "") {
    self.allow = allow
    self.type = type
    self.major = major
    self.minor = minor
    self.access = access
  }

  public init() { self.init(allow: false) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "allow": try reader.read(&allow)
    case "type": try reader.read(&type)
    case "major": try reader.read(&major)
    case "minor": try reader.read(&minor)
    case "access": try reader.read(&access)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("allow", allow)
    writer.putIfSet("type", type)
    writer.putIfSet("major", major)
    writer.putIfSet("minor", minor)
    writer.putIfSet("access", access)
  }
}

/// Limits of memory, in bytes; -1 means none.
public struct LinuxMemory: JSONObject, Equatable {
  public var limit: Int64?
  public var reservation: Int64?
  /// Of memory and swap together.
  public var swap: Int64?
  /// Ignored by current kernels.
  public var kernel: Int64?
  public var kernelTCP: Int64?
  /// From 0 to 100.
  public var swappiness: UInt64?
  public var disableOOMKiller: Bool?
  public var useHierarchy: Bool?
  public var checkBeforeUpdate: Bool?

  public init(
    limit: Int64? = nil, reservation: Int64? = nil, swap: Int64? = nil, kernel: Int64? = nil,
    kernelTCP: Int64? = nil, swappiness: UInt64? = nil, disableOOMKiller: Bool? = nil,
    useHierarchy: Bool? = nil, checkBeforeUpdate: Bool? = nil
  ) {
    self.limit = limit
    self.reservation = reservation
    self.swap = swap
    self.kernel = kernel
    self.kernelTCP = kernelTCP
    self.swappiness = swappiness
    self.disableOOMKiller = disableOOMKiller
    self.useHierarchy = useHierarchy
    self.checkBeforeUpdate = checkBeforeUpdate
  }

  public init() { self.init(limit: nil) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "limit": try reader.read(&limit)
    case "reservation": try reader.read(&reservation)
    case "swap": try reader.read(&swap)
    case "kernel": try reader.read(&kernel)
    case "kernelTCP": try reader.read(&kernelTCP)
    case "swappiness": try reader.read(&swappiness)
    case "disableOOMKiller": try reader.read(&disableOOMKiller)
    case "useHierarchy": try reader.read(&useHierarchy)
    case "checkBeforeUpdate": try reader.read(&checkBeforeUpdate)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("limit", limit)
    writer.putIfSet("reservation", reservation)
    writer.putIfSet("swap", swap)
    writer.putIfSet("kernel", kernel)
    writer.putIfSet("kernelTCP", kernelTCP)
    writer.putIfSet("swappiness", swappiness)
    writer.putIfSet("disableOOMKiller", disableOOMKiller)
    writer.putIfSet("useHierarchy", useHierarchy)
    writer.putIfSet("checkBeforeUpdate", checkBeforeUpdate)
  }
}

/// Limits of processor time.
public struct LinuxCPU: JSONObject, Equatable {
  public var shares: UInt64?
  /// In microseconds per period; -1 means none.
  public var quota: Int64?
  /// In microseconds.
  public var burst: UInt64?
  /// In microseconds.
  public var period: UInt64?
  /// In microseconds.
  public var realtimeRuntime: Int64?
  /// In microseconds.
  public var realtimePeriod: UInt64?
  /// A list such as `0-3,7`.
  public var cpus: String
  /// A list of memory nodes.
  public var mems: String
  public var idle: Int64?

  public init(
    shares: UInt64? = nil, quota: Int64? = nil, burst: UInt64? = nil, period: UInt64? = nil,
    realtimeRuntime: Int64? = nil, realtimePeriod: UInt64? = nil, cpus: String = "", mems: String = "",
    idle: Int64? = nil
  ) {
    self.shares = shares
    self.quota = quota
    self.burst = burst
    self.period = period
    self.realtimeRuntime = realtimeRuntime
    self.realtimePeriod = realtimePeriod
    self.cpus = cpus
    self.mems = mems
    self.idle = idle
  }

  public init() { self.init(shares: nil) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "shares": try reader.read(&shares)
    case "quota": try reader.read(&quota)
    case "burst": try reader.read(&burst)
    case "period": try reader.read(&period)
    case "realtimeRuntime": try reader.read(&realtimeRuntime)
    case "realtimePeriod": try reader.read(&realtimePeriod)
    case "cpus": try reader.read(&cpus)
    case "mems": try reader.read(&mems)
    case "idle": try reader.read(&idle)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("shares", shares)
    writer.putIfSet("quota", quota)
    writer.putIfSet("burst", burst)
    writer.putIfSet("period", period)
    writer.putIfSet("realtimeRuntime", realtimeRuntime)
    writer.putIfSet("realtimePeriod", realtimePeriod)
    writer.putIfSet("cpus", cpus)
    writer.putIfSet("mems", mems)
    writer.putIfSet("idle", idle)
  }
}

/// The limit of the number of processes.
public struct LinuxPids: JSONObject, Equatable {
  /// 0 or less means none.
  public var limit: Int64

  public init(limit: Int64 = 0) {
    self.limit = limit
  }

  public init() { self.init(limit: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "limit": try reader.read(&limit)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("limit", limit)
  }
}
