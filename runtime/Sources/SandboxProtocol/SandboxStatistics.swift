import RuntimeSpec

/// What the cgroup counted so far. Times in nanoseconds, sizes in bytes.
public struct SandboxStatistics: JSONObject, Equatable {
  public var cpuTotal: UInt64
  public var cpuUser: UInt64
  public var cpuKernel: UInt64
  /// cgroup v1 only.
  public var perCPU: [UInt64]
  /// Periods in which a quota applied.
  public var throttledPeriods: UInt64
  /// Periods in which it was used up.
  public var throttledCount: UInt64
  public var throttledTime: UInt64
  public var memoryUsage: UInt64
  public var memoryMaximum: UInt64
  /// Huge where there is none.
  public var memoryLimit: UInt64
  /// How often the limit was met.
  public var memoryFailures: UInt64
  /// `memory.stat` as the kernel gives it.
  public var memoryDetails: [String: UInt64]
  public var pids: UInt64
  /// 0 where there is none.
  public var pidsLimit: UInt64
  public var blockBytes: [BlockIO]
  public var blockOperations: [BlockIO]

  public init(
    cpuTotal: UInt64 = 0, cpuUser: UInt64 = 0, cpuKernel: UInt64 = 0, perCPU: [UInt64] = [],
    throttledPeriods: UInt64 = 0, throttledCount: UInt64 = 0, throttledTime: UInt64 = 0,
    memoryUsage: UInt64 = 0, memoryMaximum: UInt64 = 0, memoryLimit: UInt64 = 0, memoryFailures: UInt64 = 0,
    memoryDetails: [String: UInt64] = [:], pids: UInt64 = 0, pidsLimit: UInt64 = 0,
    blockBytes: [BlockIO] = [], blockOperations: [BlockIO] = []
  ) {
    self.cpuTotal = cpuTotal
    self.cpuUser = cpuUser
    self.cpuKernel = cpuKernel
    self.perCPU = perCPU
    self.throttledPeriods = throttledPeriods
    self.throttledCount = throttledCount
    self.throttledTime = throttledTime
    self.memoryUsage = memoryUsage
    self.memoryMaximum = memoryMaximum
    self.memoryLimit = memoryLimit
    self.memoryFailures = memoryFailures
    self.memoryDetails = memoryDetails
    self.pids = pids
    self.pidsLimit = pidsLimit
    self.blockBytes = blockBytes
    self.blockOperations = blockOperations
  }

  public init() { self.init(cpuTotal: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "cpuTotal": try reader.read(&cpuTotal)
    case "cpuUser": try reader.read(&cpuUser)
    case "cpuKernel": try reader.read(&cpuKernel)
    case "perCPU": try reader.read(&perCPU)
    case "throttledPeriods": try reader.read(&throttledPeriods)
    case "throttledCount": try reader.read(&throttledCount)
    case "throttledTime": try reader.read(&throttledTime)
    case "memoryUsage": try reader.read(&memoryUsage)
    case "memoryMaximum": try reader.read(&memoryMaximum)
    case "memoryLimit": try reader.read(&memoryLimit)
    case "memoryFailures": try reader.read(&memoryFailures)
    case "memoryDetails": try reader.read(&memoryDetails)
    case "pids": try reader.read(&pids)
    case "pidsLimit": try reader.read(&pidsLimit)
    case "blockBytes": try reader.read(&blockBytes)
    case "blockOperations": try reader.read(&blockOperations)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("cpuTotal", cpuTotal)
    writer.putIfSet("cpuUser", cpuUser)
    writer.putIfSet("cpuKernel", cpuKernel)
    writer.putIfSet("perCPU", perCPU)
    writer.putIfSet("throttledPeriods", throttledPeriods)
    writer.putIfSet("throttledCount", throttledCount)
    writer.putIfSet("throttledTime", throttledTime)
    writer.put("memoryUsage", memoryUsage)
    writer.putIfSet("memoryMaximum", memoryMaximum)
    writer.putIfSet("memoryLimit", memoryLimit)
    writer.putIfSet("memoryFailures", memoryFailures)
    writer.putIfSet("memoryDetails", memoryDetails)
    writer.put("pids", pids)
    writer.putIfSet("pidsLimit", pidsLimit)
    writer.putIfSet("blockBytes", blockBytes)
    writer.putIfSet("blockOperations", blockOperations)
  }
}

/// A counter of one block device.
public struct BlockIO: JSONObject, Equatable {
  public var major: UInt64
  public var minor: UInt64
  /// `Read`, `Write`, `Sync`, `Async`, `Discard` or `Total`.
  public var operation: String
  public var value: UInt64

  public init(major: UInt64 = 0, minor: UInt64 = 0, operation: String = "", value: UInt64 = 0) {
    self.major = major
    self.minor = minor
    self.operation = operation
    self.value = value
  }

  public init() { self.init(major: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "major": try reader.read(&major)
    case "minor": try reader.read(&minor)
    case "operation": try reader.read(&operation)
    case "value": try reader.read(&value)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("major", major)
    writer.put("minor", minor)
    writer.put("operation", operation)
    writer.put("value", value)
  }
}
