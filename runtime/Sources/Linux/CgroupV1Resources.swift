import Errors
import Glibc

/// Limits and figures of cgroup v1 (the kernel's Documentation/admin-guide/cgroup-v1).
extension CgroupV1 {
  func apply(_ resources: CgroupResources, to path: String) throws(ApusError) {
    try applyMemory(resources.memory, to: path)
    try applyProcessor(resources.processor, to: path)
    if let limit = resources.processes {
      try set("pids", path, "pids.max", limit > 0 ? String(limit) : "max")
    }
    try applyBlockIO(resources.blockIO, to: path)
    try applyDevices(resources.devices, to: path)
    for (size, limit) in resources.hugePages {
      try set("hugetlb", path, "hugetlb.\(size).limit_in_bytes", String(limit))
    }
    if let number = resources.networkClass { try set("net_cls", path, "net_cls.classid", String(number)) }
    for (interface, priority) in resources.networkPriorities.sorted(by: { $0.key < $1.key }) {
      try set("net_prio", path, "net_prio.ifpriomap", "\(interface) \(priority)")
    }
    for (device, limits) in resources.rdma.sorted(by: { $0.key < $1.key }) {
      try set("rdma", path, "rdma.max", "\(device) \(limits)")
    }
    if let file = resources.unified.keys.min() {
      throw ApusError(
        .unsupported, "cannot set \(file): linux.resources.unified is for cgroup v2, and this host has v1")
    }
  }

  private func set(_ hierarchy: String, _ path: String, _ file: String, _ value: String) throws(ApusError) {
    do {
      try Files.write(value, toExisting: "\(Cgroups.root)/\(hierarchy)/\(path)/\(file)")
    } catch  where error.errno == ENOENT || error.errno == EACCES {
      throw ApusError(
        .unsupported, "cannot set \(file) to \(value): this host's kernel does not offer that limit", cause: error.cause
      )
    }
  }

  private func applyMemory(_ memory: CgroupResources.Memory, to path: String) throws(ApusError) {
    if let limit = memory.limit, let swap = memory.swap {
      // Memory may never exceed memory+swap, not for a moment: which goes first depends on which way both move.
      do {
        try set("memory", path, "memory.limit_in_bytes", String(limit))
        try set("memory", path, "memory.memsw.limit_in_bytes", String(swap))
      } catch  where error.errno == EINVAL {
        try set("memory", path, "memory.memsw.limit_in_bytes", String(swap))
        try set("memory", path, "memory.limit_in_bytes", String(limit))
      }
    } else if let limit = memory.limit {
      do {
        try set("memory", path, "memory.limit_in_bytes", String(limit))
      } catch  where error.errno == EBUSY {
        throw ApusError(
          .conflict, "cannot set the memory limit to \(limit) bytes: more than that is in use", cause: error.cause)
      }
    } else if let swap = memory.swap {
      try set("memory", path, "memory.memsw.limit_in_bytes", String(swap))
    }
    if let reservation = memory.reservation {
      try set("memory", path, "memory.soft_limit_in_bytes", String(reservation))
    }
    if let swappiness = memory.swappiness { try set("memory", path, "memory.swappiness", String(swappiness)) }
    if memory.disableOOMKiller { try set("memory", path, "memory.oom_control", "1") }
  }

  private func applyProcessor(_ processor: CgroupResources.Processor, to path: String) throws(ApusError) {
    if let shares = processor.shares, shares > 0 { try set("cpu", path, "cpu.shares", String(shares)) }
    if let burst = processor.burst { try set("cpu", path, "cpu.cfs_burst_us", String(burst)) }
    if let period = processor.period, period > 0 { try set("cpu", path, "cpu.cfs_period_us", String(period)) }
    if let quota = processor.quota, quota != 0 { try set("cpu", path, "cpu.cfs_quota_us", String(quota)) }
    if let idle = processor.idle { try set("cpu", path, "cpu.idle", String(idle)) }
    if let period = processor.realtimePeriod, period > 0 { try set("cpu", path, "cpu.rt_period_us", String(period)) }
    if let runtime = processor.realtimeRuntime, runtime != 0 {
      try set("cpu", path, "cpu.rt_runtime_us", String(runtime))
    }
    for (file, value) in [("cpuset.cpus", processor.processors), ("cpuset.mems", processor.memoryNodes)]
    where !value.isEmpty {
      if (try? Files.write(value, toExisting: "\(Cgroups.root)/cpuset/\(path)/\(file)")) != nil { continue }
      try? fillCpusets(path)
      try set("cpuset", path, file, value)
    }
  }

  private func applyBlockIO(_ blockIO: CgroupResources.BlockIO, to path: String) throws(ApusError) {
    let directory = "\(Cgroups.root)/blkio/\(path)"
    if let weight = blockIO.weight, weight > 0 {
      let file = Files.exists("\(directory)/blkio.weight") ? "blkio.weight" : "blkio.bfq.weight"
      try set("blkio", path, file, String(weight))
    }
    for device in blockIO.deviceWeights {
      let file = Files.exists("\(directory)/blkio.weight_device") ? "blkio.weight_device" : "blkio.bfq.weight_device"
      try set("blkio", path, file, "\(device.major):\(device.minor) \(device.value)")
    }
    let throttles = [
      ("blkio.throttle.read_bps_device", blockIO.readBytes),
      ("blkio.throttle.write_bps_device", blockIO.writeBytes),
      ("blkio.throttle.read_iops_device", blockIO.readOperations),
      ("blkio.throttle.write_iops_device", blockIO.writeOperations),
    ]
    for (file, devices) in throttles {
      for device in devices { try set("blkio", path, file, "\(device.major):\(device.minor) \(device.value)") }
    }
  }

  private func applyDevices(_ rules: [CgroupResources.DeviceRule], to path: String) throws(ApusError) {
    guard !rules.isEmpty else { return }
    let directory = "\(Cgroups.root)/devices/\(path)"
    let allow = try Files.open("\(directory)/devices.allow", flags: O_WRONLY)
    let deny = try Files.open("\(directory)/devices.deny", flags: O_WRONLY)
    for rule in rules {
      let major = rule.major.map { String($0) } ?? "*"
      let minor = rule.minor.map { String($0) } ?? "*"
      // `a` alone switches between "all but" and "none but", whatever else follows it.
      let text = rule.kind == .all ? "a" : "\(rule.kind.rawValue) \(major):\(minor) \(rule.access)"
      try Files.write(Array(text.utf8), to: rule.allow ? allow.raw : deny.raw, name: "the device rule \"\(text)\"")
    }
  }

  public func statistics(_ path: String) throws(ApusError) -> CgroupStatistics {
    func file(_ hierarchy: String, _ name: String) -> String { "\(Cgroups.root)/\(hierarchy)/\(path)/\(name)" }
    guard Files.exists(file("pids", "pids.current")) || Files.exists(file("memory", "memory.stat")) else {
      throw ApusError(.notFound, "there is no control group \(path)")
    }
    var figures = CgroupStatistics()
    figures.processorTime = Cgroups.number(file("cpuacct", "cpuacct.usage")) ?? 0
    figures.userTime = Cgroups.number(file("cpuacct", "cpuacct.usage_user")) ?? 0
    figures.systemTime = Cgroups.number(file("cpuacct", "cpuacct.usage_sys")) ?? 0
    if let bytes = try? Files.read(file("cpuacct", "cpuacct.usage_percpu"), limit: 1 << 16) {
      figures.timeByProcessor = bytes.split(separator: 0x20).compactMap { Cgroups.number(of: $0) }
    }
    let cpu = Cgroups.table(file("cpu", "cpu.stat"))
    figures.throttlingPeriods = cpu["nr_periods"] ?? 0
    figures.throttledPeriods = cpu["nr_throttled"] ?? 0
    figures.throttledTime = cpu["throttled_time"] ?? 0

    figures.memory = Cgroups.number(file("memory", "memory.usage_in_bytes")) ?? 0
    figures.maximumMemory = Cgroups.number(file("memory", "memory.max_usage_in_bytes")) ?? 0
    let limit = Cgroups.number(file("memory", "memory.limit_in_bytes")) ?? .max
    // "None" is the largest multiple of a page in 63 bits.
    figures.memoryLimit = limit >= UInt64(Int64.max) - 65536 ? .max : limit
    figures.memoryFailures = Cgroups.number(file("memory", "memory.failcnt")) ?? 0
    figures.memoryDetails = Cgroups.table(file("memory", "memory.stat"))
    figures.swap = figures.memoryDetails["swap"] ?? 0
    figures.oomKills = oomKills(path)

    figures.processes = Cgroups.number(file("pids", "pids.current")) ?? 0
    figures.processLimit = Cgroups.number(file("pids", "pids.max")) ?? .max

    if let bytes = try? Files.read(file("blkio", "blkio.throttle.io_service_bytes_recursive"), limit: 1 << 20) {
      Self.addBlockIO(bytes, to: &figures.devices, read: \.readBytes, write: \.writeBytes)
    }
    if let bytes = try? Files.read(file("blkio", "blkio.throttle.io_serviced_recursive"), limit: 1 << 20) {
      Self.addBlockIO(bytes, to: &figures.devices, read: \.readOperations, write: \.writeOperations)
    }
    return figures
  }

  /// Lines such as `259:0 Read 4096`.
  static func addBlockIO(
    _ bytes: [UInt8], to devices: inout [CgroupStatistics.DeviceUsage],
    read: WritableKeyPath<CgroupStatistics.DeviceUsage, UInt64>,
    write: WritableKeyPath<CgroupStatistics.DeviceUsage, UInt64>
  ) {
    for line in bytes.split(separator: 0x0a) {
      let fields = line.split(separator: 0x20)
      guard fields.count == 3, let colon = fields[0].firstIndex(of: 0x3a),
        let major = Cgroups.number(of: fields[0][..<colon]), let minor = Cgroups.number(of: fields[0][(colon + 1)...]),
        let value = Cgroups.number(of: fields[2])
      else { continue }
      let isRead = fields[1].elementsEqual("Read".utf8)
      guard isRead || fields[1].elementsEqual("Write".utf8) else { continue }
      let index =
        devices.firstIndex { $0.major == major && $0.minor == minor }
        ?? {
          devices.append(CgroupStatistics.DeviceUsage(major: major, minor: minor))
          return devices.count - 1
        }()
      devices[index][keyPath: isRead ? read : write] &+= value
    }
  }
}
