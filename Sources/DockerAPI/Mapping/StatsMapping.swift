import DockerTypes
import Engine

extension ContainerStats {
  /// `sample` as the present, `previous` (nil: none) as the past against which clients compute rates.
  init(_ sample: StatsSample?, previous: StatsSample?, record: InstanceRecord) {
    self.init()
    name = "/" + record.name
    id = record.id
    read = GoTime.string(sample?.read)
    preread = GoTime.string(previous?.read)
    guard let sample else { return }
    cpuStats = CPUStats(sample)
    if let previous { precpuStats = CPUStats(previous) }
    pidsStats.current = sample.pids
    pidsStats.limit = sample.pidsLimit == 0 ? UInt64.max : sample.pidsLimit
    memoryStats.usage = sample.memoryUsage
    memoryStats.maxUsage = sample.memoryMaximum == 0 ? nil : sample.memoryMaximum
    memoryStats.limit = sample.memoryLimit
    memoryStats.failcnt = sample.memoryFailures == 0 ? nil : sample.memoryFailures
    memoryStats.stats = sample.memoryDetails
    blkioStats.ioServiceBytesRecursive = sample.blockBytes.map(BlkioEntry.init)
    networks = sample.interfaces.isEmpty ? nil : sample.interfaces.mapValues(NetworkStats.init)
    blkioStats.ioServicedRecursive = sample.blockOperations.isEmpty ? nil : sample.blockOperations.map(BlkioEntry.init)
  }
}

extension CPUStats {
  init(_ sample: StatsSample) {
    self.init()
    cpuUsage.totalUsage = sample.cpuTotal
    cpuUsage.percpuUsage = sample.perCPU.isEmpty ? nil : sample.perCPU
    cpuUsage.usageInKernelmode = sample.cpuKernel
    cpuUsage.usageInUsermode = sample.cpuUser
    systemCpuUsage = sample.systemCPU
    onlineCpus = sample.onlineCPUs
    throttlingData.periods = sample.throttledPeriods
    throttlingData.throttledPeriods = sample.throttledCount
    throttlingData.throttledTime = sample.throttledTime
  }
}

extension NetworkStats {
  init(_ counters: InterfaceCounters) {
    self.init()
    rxBytes = counters.receivedBytes
    rxPackets = counters.receivedPackets
    rxErrors = counters.receiveErrors
    rxDropped = counters.receiveDrops
    txBytes = counters.sentBytes
    txPackets = counters.sentPackets
    txErrors = counters.sendErrors
    txDropped = counters.sendDrops
  }
}

extension BlkioEntry {
  init(_ entry: StatsSample.BlockIO) {
    self.init()
    major = entry.major
    minor = entry.minor
    op = entry.operation.lowercased()
    value = entry.value
  }
}
