import FoundationEssentials

/// One sample of what an instance uses. Byte and nanosecond totals since its start.
public struct StatsSample: Sendable {
  public struct BlockIO: Sendable {
    public var major: UInt64
    public var minor: UInt64
    public var operation: String
    public var value: UInt64
    public init(major: UInt64, minor: UInt64, operation: String, value: UInt64) {
      self.major = major
      self.minor = minor
      self.operation = operation
      self.value = value
    }
  }
  public var read = Date()
  public var cpuTotal: UInt64 = 0
  public var cpuKernel: UInt64 = 0
  public var cpuUser: UInt64 = 0
  public var perCPU: [UInt64] = []
  public var throttledPeriods: UInt64 = 0
  public var throttledCount: UInt64 = 0
  public var throttledTime: UInt64 = 0
  /// The host's CPU time (all states) in nanoseconds, and its online CPUs.
  public var systemCPU: UInt64 = 0
  public var onlineCPUs: UInt32 = 0
  public var memoryUsage: UInt64 = 0
  public var memoryMaximum: UInt64 = 0
  public var memoryLimit: UInt64 = 0
  public var memoryFailures: UInt64 = 0
  /// memory.stat as it is.
  public var memoryDetails: [String: UInt64] = [:]
  public var pids: UInt64 = 0
  public var pidsLimit: UInt64 = 0
  public var blockBytes: [BlockIO] = []
  public var blockOperations: [BlockIO] = []
  /// By interface; empty where it has the host's.
  public var interfaces: [String: InterfaceCounters] = [:]
  public init() {}
}

public struct ProcessTable: Sendable {
  public var titles: [String]
  public var rows: [[String]]
  public init(titles: [String], rows: [[String]]) { self.titles = titles; self.rows = rows }
}
