import Errors
import FoundationEssentials
import Glibc
import Linux
import SandboxProtocol

extension Instance {
  /// What the instance uses now. An empty sample where it does not run.
  public func stats() async throws -> StatsSample {
    guard isUp, let sandbox else { return StatsSample() }
    let reply: [UInt8]
    do {
      reply = try await sandbox.connection.request(.stats)
    } catch {
      // It ended while it was asked.
      guard isUp else { return StatsSample() }
      throw error
    }
    var sample = StatsSample(try SandboxStatistics(json: reply, subject: "The shim's statistics"))
    let (process, sharesHostNetwork) = (current.state.pid, current.configuration.network.mode == "host")
    let (host, interfaces) = try await services.blocking.run {
      // A process that has just ended has no interfaces to tell of.
      (try HostUsage(), sharesHostNetwork ? [:] : (try? InterfaceCounters.all(of: process)) ?? [:])
    }
    sample.interfaces = interfaces
    sample.systemCPU = host.cpuTotal
    sample.onlineCPUs = host.onlineCPUs
    // "No limit" is all there is.
    if sample.memoryLimit == 0 || sample.memoryLimit > host.memory { sample.memoryLimit = host.memory }
    return sample
  }
}

extension StatsSample {
  init(_ statistics: SandboxStatistics) {
    self.init()
    read = Date()
    cpuTotal = statistics.cpuTotal
    cpuKernel = statistics.cpuKernel
    cpuUser = statistics.cpuUser
    perCPU = statistics.perCPU
    throttledPeriods = statistics.throttledPeriods
    throttledCount = statistics.throttledCount
    throttledTime = statistics.throttledTime
    memoryUsage = statistics.memoryUsage
    memoryMaximum = statistics.memoryMaximum
    memoryLimit = statistics.memoryLimit
    memoryFailures = statistics.memoryFailures
    memoryDetails = statistics.memoryDetails
    pids = statistics.pids
    pidsLimit = statistics.pidsLimit
    blockBytes = statistics.blockBytes.map(BlockIO.init)
    blockOperations = statistics.blockOperations.map(BlockIO.init)
  }
}

extension StatsSample.BlockIO {
  init(_ counter: SandboxProtocol.BlockIO) {
    self.init(major: counter.major, minor: counter.minor, operation: counter.operation, value: counter.value)
  }
}

/// What of the host is put beside an instance's figures.
struct HostUsage {
  /// Nanoseconds of all CPUs in all states but steal and guest, as Docker counts them.
  var cpuTotal: UInt64 = 0
  var onlineCPUs: UInt32 = 0
  /// Bytes.
  var memory: UInt64 = 0

  init() throws(ApusError) {
    let ticks = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
    self.init(
      statistics: String(decoding: try Files.read("/proc/stat", limit: 16 << 20), as: UTF8.self),
      memory: String(decoding: try Files.read("/proc/meminfo", limit: 1 << 16), as: UTF8.self),
      nanosecondsPerTick: 1_000_000_000 / ticks)
  }

  init(statistics: String, memory: String, nanosecondsPerTick: UInt64) {
    for line in statistics.split(separator: "\n") {
      guard line.hasPrefix("cpu") else { break }
      let fields = line.split(separator: " ")
      if fields.first == "cpu" {
        cpuTotal = fields.dropFirst().prefix(7).reduce(0) { $0 + (UInt64($1) ?? 0) } * nanosecondsPerTick
      } else {
        onlineCPUs += 1
      }
    }
    for line in memory.split(separator: "\n") where line.hasPrefix("MemTotal:") {
      let fields = line.split(separator: " ")
      if fields.count > 1 { self.memory = (UInt64(fields[1]) ?? 0) * 1024 }
    }
  }
}
