import Errors
import Glibc

/// Limits and figures of cgroup v2.
extension CgroupV2 {
  func apply(_ resources: CgroupResources, to path: String) throws(ApusError) {
    try applyMemory(resources.memory, to: path)
    try applyProcessor(resources.processor, to: path)
    if let limit = resources.processes { try set(path, "pids.max", limit > 0 ? String(limit) : "max") }
    try applyBlockIO(resources.blockIO, to: path)
    for (size, limit) in resources.hugePages { try set(path, "hugetlb.\(size).max", String(limit)) }
    guard resources.networkClass == nil, resources.networkPriorities.isEmpty else {
      throw ApusError(.unsupported, "linux.resources.network is for cgroup v1, and this host has v2")
    }
    for (device, limits) in resources.rdma.sorted(by: { $0.key < $1.key }) {
      try set(path, "rdma.max", "\(device) \(limits)")
    }
    for (file, value) in resources.unified.sorted(by: { $0.key < $1.key }) {
      guard !file.contains("/"), file.contains(".") else {
        throw ApusError(.invalidArgument, "\"\(file)\" is not a file of a control group")
      }
      try set(path, file, value)
    }
  }

  private func set(_ path: String, _ file: String, _ value: String) throws(ApusError) {
    do {
      try Files.write(value, toExisting: "\(root)/\(path)/\(file)")
    } catch  where error.errno == ENOENT || error.errno == EACCES {
      throw ApusError(
        .unsupported, "cannot set \(file) to \(value): this host's kernel does not offer that limit", cause: error.cause
      )
    }
  }

  private func applyMemory(_ memory: CgroupResources.Memory, to path: String) throws(ApusError) {
    func text(_ value: Int64) -> String { value < 0 ? "max" : String(value) }
    if let swap = memory.swap {
      // OCI counts memory and swap together, v2 swap alone.
      let alone: Int64 = swap < 0 ? -1 : max(0, swap - max(0, memory.limit ?? currentMemoryLimit(path)))
      do {
        try set(path, "memory.swap.max", text(alone))
      } catch  where error.errno == ENOENT && alone <= 0 {
        // A kernel without swap accounting; nothing is asked of it.
      }
    }
    if let limit = memory.limit { try set(path, "memory.max", text(limit)) }
    if let reservation = memory.reservation { try set(path, "memory.low", text(reservation)) }
  }

  private func currentMemoryLimit(_ path: String) -> Int64 {
    Int64(clamping: Cgroups.number("\(root)/\(path)/memory.max") ?? 0)
  }

  private func applyProcessor(_ processor: CgroupResources.Processor, to path: String) throws(ApusError) {
    if let shares = processor.shares, shares > 0 {
      try set(path, "cpu.weight", String(Self.weight(shares: shares)))
    }
    if processor.quota != nil || processor.period != nil {
      let quota = processor.quota.flatMap { $0 > 0 ? String($0) : "max" }
      let period = processor.period ?? 100_000
      if let quota {
        try set(path, "cpu.max", "\(quota) \(period)")
      } else if let current = try? Files.read("\(root)/\(path)/cpu.max", limit: 256) {
        try set(path, "cpu.max", "\(String(decoding: current.prefix { $0 != 0x20 }, as: UTF8.self)) \(period)")
      }
    }
    if let burst = processor.burst { try set(path, "cpu.max.burst", String(burst)) }
    if let idle = processor.idle { try set(path, "cpu.idle", String(idle)) }
    if processor.realtimeRuntime ?? 0 != 0 {
      throw ApusError(.unsupported, "real-time processor limits need cgroup v1; this host has cgroup v2")
    }
    if !processor.processors.isEmpty { try set(path, "cpuset.cpus", processor.processors) }
    if !processor.memoryNodes.isEmpty { try set(path, "cpuset.mems", processor.memoryNodes) }
  }

  /// v1 shares (2 to 262144) as v2 weight (1 to 10000), linearly, as the OCI specification's users expect.
  static func weight(shares: UInt64) -> UInt64 {
    let bounded = min(max(shares, 2), 262_144)
    return 1 + (bounded - 2) * 9999 / 262_142
  }

  /// v1 weight of block devices (10 to 1000) as v2 weight (1 to 10000).
  static func weight(blockIO value: UInt16) -> UInt64 { 1 + (UInt64(max(value, 10)) - 10) * 9999 / 990 }

  private func applyBlockIO(_ blockIO: CgroupResources.BlockIO, to path: String) throws(ApusError) {
    let bfq = Files.exists("\(root)/\(path)/io.bfq.weight")
    func weight(_ value: UInt16) -> UInt64 { bfq ? UInt64(value) : Self.weight(blockIO: value) }
    let file = bfq ? "io.bfq.weight" : "io.weight"
    if let value = blockIO.weight, value > 0 { try set(path, file, "default \(weight(value))") }
    for device in blockIO.deviceWeights {
      try set(path, file, "\(device.major):\(device.minor) \(weight(device.value))")
    }
    let throttles = [
      ("rbps", blockIO.readBytes), ("wbps", blockIO.writeBytes), ("riops", blockIO.readOperations),
      ("wiops", blockIO.writeOperations),
    ]
    for (key, devices) in throttles {
      for device in devices {
        // 0 means no limit in OCI and in v1.
        let value = device.value == 0 ? "max" : String(device.value)
        try set(path, "io.max", "\(device.major):\(device.minor) \(key)=\(value)")
      }
    }
  }

  public func statistics(_ path: String) throws(ApusError) -> CgroupStatistics {
    func file(_ name: String) -> String { "\(root)/\(path)/\(name)" }
    guard Files.exists(file("cgroup.procs")) else {
      throw ApusError(.notFound, "there is no control group \(path)")
    }
    var figures = CgroupStatistics()
    let cpu = Cgroups.table(file("cpu.stat"))
    figures.processorTime = (cpu["usage_usec"] ?? 0) &* 1000
    figures.userTime = (cpu["user_usec"] ?? 0) &* 1000
    figures.systemTime = (cpu["system_usec"] ?? 0) &* 1000
    figures.throttlingPeriods = cpu["nr_periods"] ?? 0
    figures.throttledPeriods = cpu["nr_throttled"] ?? 0
    figures.throttledTime = (cpu["throttled_usec"] ?? 0) &* 1000
    figures.memory = Cgroups.number(file("memory.current")) ?? 0
    figures.maximumMemory = Cgroups.number(file("memory.peak")) ?? 0
    figures.memoryLimit = Cgroups.number(file("memory.max")) ?? .max
    let events = Cgroups.table(file("memory.events"))
    figures.memoryFailures = events["max"] ?? 0
    figures.oomKills = events["oom_kill"] ?? 0
    figures.memoryDetails = Cgroups.table(file("memory.stat"))
    figures.swap = Cgroups.number(file("memory.swap.current")) ?? 0
    figures.processes = Cgroups.number(file("pids.current")) ?? 0
    figures.processLimit = Cgroups.number(file("pids.max")) ?? .max
    if let bytes = try? Files.read(file("io.stat"), limit: 1 << 20) { figures.devices = Self.devices(ioStat: bytes) }
    return figures
  }

  /// Lines such as `259:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
  static func devices(ioStat bytes: [UInt8]) -> [CgroupStatistics.DeviceUsage] {
    bytes.split(separator: 0x0a).compactMap { line in
      let fields = line.split(separator: 0x20)
      guard let name = fields.first, let colon = name.firstIndex(of: 0x3a),
        let major = Cgroups.number(of: name[..<colon]), let minor = Cgroups.number(of: name[(colon + 1)...])
      else { return nil }
      var usage = CgroupStatistics.DeviceUsage(major: major, minor: minor)
      for field in fields.dropFirst() {
        guard let equals = field.firstIndex(of: 0x3d), let value = Cgroups.number(of: field[(equals + 1)...]) else {
          continue
        }
        switch String(decoding: field[..<equals], as: UTF8.self) {
        case "rbytes": usage.readBytes = value
        case "wbytes": usage.writeBytes = value
        case "rios": usage.readOperations = value
        case "wios": usage.writeOperations = value
        default: break
        }
      }
      return usage
    }
  }
}
