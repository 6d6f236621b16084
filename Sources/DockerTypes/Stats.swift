import FoundationEssentials

/// One sample of `GET /containers/{id}/stats`. Times in nanoseconds, sizes in bytes, all since the start.
public struct ContainerStats: WireValue, Equatable, Sendable {
  @Field public var name: String
  @Field public var id: String
  @Field public var read: String
  @Field public var preread: String
  @Field public var pidsStats: PidsStats
  @Field public var blkioStats: BlkioStats
  @Field public var numProcs: UInt32
  @Field public var storageStats: EmptyObject
  @Field public var cpuStats: CPUStats
  @Field public var precpuStats: CPUStats
  @Field public var memoryStats: MemoryStats
  public var networks: [String: NetworkStats]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name, id, read, preread, networks
    case pidsStats = "pids_stats"
    case blkioStats = "blkio_stats"
    case numProcs = "num_procs"
    case storageStats = "storage_stats"
    case cpuStats = "cpu_stats"
    case precpuStats = "precpu_stats"
    case memoryStats = "memory_stats"
  }
}

/// Tasks.
public struct PidsStats: WireValue, Equatable, Sendable {
  public var current: UInt64?
  public var limit: UInt64?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case current, limit
  }
}

/// Block I/O.
public struct BlkioStats: WireValue, Equatable, Sendable {
  @Field public var ioServiceBytesRecursive: [BlkioEntry]?
  @Field public var ioServicedRecursive: [BlkioEntry]?
  @Field public var ioQueueRecursive: [BlkioEntry]?
  @Field public var ioServiceTimeRecursive: [BlkioEntry]?
  @Field public var ioWaitTimeRecursive: [BlkioEntry]?
  @Field public var ioMergedRecursive: [BlkioEntry]?
  @Field public var ioTimeRecursive: [BlkioEntry]?
  @Field public var sectorsRecursive: [BlkioEntry]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case ioServiceBytesRecursive = "io_service_bytes_recursive"
    case ioServicedRecursive = "io_serviced_recursive"
    case ioQueueRecursive = "io_queue_recursive"
    case ioServiceTimeRecursive = "io_service_time_recursive"
    case ioWaitTimeRecursive = "io_wait_time_recursive"
    case ioMergedRecursive = "io_merged_recursive"
    case ioTimeRecursive = "io_time_recursive"
    case sectorsRecursive = "sectors_recursive"
  }
}

/// One device and operation.
public struct BlkioEntry: WireValue, Equatable, Sendable {
  @Field public var major: UInt64
  @Field public var minor: UInt64
  @Field public var op: String
  @Field public var value: UInt64

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case major, minor, op, value
  }
}

/// Processor time, of the container and of the host.
public struct CPUStats: WireValue, Equatable, Sendable {
  @Field public var cpuUsage: CPUUsage
  public var systemCpuUsage: UInt64?
  public var onlineCpus: UInt32?
  @Field public var throttlingData: ThrottlingData

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case cpuUsage = "cpu_usage"
    case systemCpuUsage = "system_cpu_usage"
    case onlineCpus = "online_cpus"
    case throttlingData = "throttling_data"
  }
}

/// Processor time of the container.
public struct CPUUsage: WireValue, Equatable, Sendable {
  @Field public var totalUsage: UInt64
  public var percpuUsage: [UInt64]?
  @Field public var usageInKernelmode: UInt64
  @Field public var usageInUsermode: UInt64

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case totalUsage = "total_usage"
    case percpuUsage = "percpu_usage"
    case usageInKernelmode = "usage_in_kernelmode"
    case usageInUsermode = "usage_in_usermode"
  }
}

/// How often the quota held it back.
public struct ThrottlingData: WireValue, Equatable, Sendable {
  @Field public var periods: UInt64
  @Field public var throttledPeriods: UInt64
  @Field public var throttledTime: UInt64

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case periods
    case throttledPeriods = "throttled_periods"
    case throttledTime = "throttled_time"
  }
}

/// Memory; `stats` is the kernel's memory.stat.
public struct MemoryStats: WireValue, Equatable, Sendable {
  public var usage: UInt64?
  public var maxUsage: UInt64?
  public var stats: [String: UInt64]?
  public var failcnt: UInt64?
  public var limit: UInt64?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case usage, stats, failcnt, limit
    case maxUsage = "max_usage"
  }
}

/// One interface.
public struct NetworkStats: WireValue, Equatable, Sendable {
  @Field public var rxBytes: UInt64
  @Field public var rxPackets: UInt64
  @Field public var rxErrors: UInt64
  @Field public var rxDropped: UInt64
  @Field public var txBytes: UInt64
  @Field public var txPackets: UInt64
  @Field public var txErrors: UInt64
  @Field public var txDropped: UInt64

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case rxBytes = "rx_bytes"
    case rxPackets = "rx_packets"
    case rxErrors = "rx_errors"
    case rxDropped = "rx_dropped"
    case txBytes = "tx_bytes"
    case txPackets = "tx_packets"
    case txErrors = "tx_errors"
    case txDropped = "tx_dropped"
  }
}
