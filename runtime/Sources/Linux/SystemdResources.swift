/// Limits as properties of a unit (systemd.resource-control(5)): as far as systemd knows them. Otherwise it would
/// put its own idea of them in their place the next time it looks after the unit.
extension SystemdProperty {
  /// What every container's unit counts, whatever its limits.
  static func accounting(version: Int) -> [SystemdProperty] {
    ["CPUAccounting", "MemoryAccounting", "TasksAccounting", version == 2 ? "IOAccounting" : "BlockIOAccounting"]
      .map { SystemdProperty($0, .boolean(true)) }
  }

  static func resources(_ resources: CgroupResources, version: Int) -> [SystemdProperty] {
    var properties: [SystemdProperty] = []
    func add(_ name: String, _ value: UInt64?) {
      if let value { properties.append(SystemdProperty(name, .uint64(value))) }
    }
    let memory = resources.memory
    let processor = resources.processor
    if version == 2 {
      add("MemoryMax", memory.limit.map(Self.bounded))
      add("MemoryLow", memory.reservation.map(Self.bounded))
      if let swap = memory.swap, swap < 0 {
        add("MemorySwapMax", .max)
      } else if let swap = memory.swap, let limit = memory.limit {
        // OCI counts memory and swap together, systemd swap alone.
        add("MemorySwapMax", UInt64(max(0, swap - max(0, limit))))
      }
      add("CPUWeight", processor.shares.flatMap { $0 > 0 ? CgroupV2.weight(shares: $0) : nil })
      add("IOWeight", resources.blockIO.weight.flatMap { $0 > 0 ? CgroupV2.weight(blockIO: $0) : nil })
    } else {
      add("MemoryLimit", memory.limit.map(Self.bounded))
      add("CPUShares", processor.shares.flatMap { $0 > 0 ? $0 : nil })
      add("BlockIOWeight", resources.blockIO.weight.flatMap { $0 > 0 ? UInt64($0) : nil })
    }
    properties += quota(processor.quota, period: processor.period)
    add("TasksMax", resources.processes.map { $0 > 0 ? UInt64($0) : .max })
    for (name, list) in [("AllowedCPUs", processor.processors), ("AllowedMemoryNodes", processor.memoryNodes)] {
      if let mask = mask(of: list) { properties.append(SystemdProperty(name, .bytes(mask))) }
    }
    if version == 2 {
      for (file, value) in resources.unified.sorted(by: { $0.key < $1.key }) {
        properties += unified(file, value)
      }
    }
    if !resources.devices.isEmpty { properties += devices(resources.devices) }
    return properties
  }

  private static func bounded(_ value: Int64) -> UInt64 { value < 0 ? .max : UInt64(value) }

  /// Time of processors in each second, which systemd keeps in hundredths of a processor: rounded up, so that it never
  /// gives less than has been asked for.
  private static func quota(_ quota: Int64?, period: UInt64?) -> [SystemdProperty] {
    var properties: [SystemdProperty] = []
    if let period, period > 0 { properties.append(SystemdProperty("CPUQuotaPeriodUSec", .uint64(period))) }
    if let quota, quota != 0 {
      let (product, overflow) = UInt64(max(0, quota)).multipliedReportingOverflow(by: 1_000_000)
      let perSecond = product / (period.flatMap { $0 > 0 ? $0 : nil } ?? 100_000)
      let isUnlimited = quota < 0 || overflow
      properties.append(
        SystemdProperty(
          "CPUQuotaPerSecUSec",
          .uint64(isUnlimited ? .max : (perSecond / 10_000 + (perSecond % 10_000 > 0 ? 1 : 0)) * 10_000)))
    }
    return properties
  }

  private static func unified(_ file: String, _ value: String) -> [SystemdProperty] {
    let numbers = [
      "cpu.weight": "CPUWeight", "memory.high": "MemoryHigh", "memory.low": "MemoryLow", "memory.min": "MemoryMin",
      "memory.max": "MemoryMax", "memory.swap.max": "MemorySwapMax", "pids.max": "TasksMax",
    ]
    if let name = numbers[file] {
      guard let number = value == "max" ? .max : UInt64(value) else { return [] }
      return [SystemdProperty(name, .uint64(number))]
    }
    switch file {
    case "cpuset.cpus": return mask(of: value).map { [SystemdProperty("AllowedCPUs", .bytes($0))] } ?? []
    case "cpuset.mems": return mask(of: value).map { [SystemdProperty("AllowedMemoryNodes", .bytes($0))] } ?? []
    case "cpu.max":
      let parts = value.split(separator: " ")
      guard let first = parts.first, let amount = first == "max" ? -1 : Int64(first) else { return [] }
      return quota(amount, period: parts.count > 1 ? UInt64(parts[1]) : nil)
    default: return []
    }
  }

  /// `0-3,7` as bits, the first of the first byte being 0; nil for what is empty, or not such a list.
  static func mask(of list: String) -> [UInt8]? {
    var mask: [UInt8] = []
    for part in list.split(separator: ",") {
      let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map {
        Int($0.filter { $0 != "\n" && $0 != " " })
      }
      guard let first = bounds[0], let last = bounds.count == 2 ? bounds[1] : first, bounds.count < 3,
        first >= 0, first <= last, last < 8192
      else { return nil }
      if mask.count <= last / 8 { mask += [UInt8](repeating: 0, count: last / 8 + 1 - mask.count) }
      for number in first...last { mask[number / 8] |= 1 << UInt8(number % 8) }
    }
    return mask.isEmpty ? nil : mask
  }

  /// What the rules allow, and at times more: systemd has no exceptions. Our own rules stay in force beside its.
  private static func devices(_ rules: [CgroupResources.DeviceRule]) -> [SystemdProperty] {
    var allowed: [(path: String, access: String)] = []
    var allowsAll = true
    for rule in rules {
      if rule.kind == .all {
        allowsAll = rule.allow
        allowed = []
        continue
      }
      guard rule.allow, !allowsAll else { continue }
      let kind = rule.kind == .block ? "block" : "char"
      let path =
        switch (rule.major, rule.minor) {
        case (nil, _): "\(kind)-*"
        case (let major?, nil): "\(kind)-\(major)"
        case (let major?, let minor?): "/dev/\(kind)/\(major):\(minor)"
        }
      if let index = allowed.firstIndex(where: { $0.path == path }) {
        // The last one said of a path would be the only one.
        allowed[index].access = "rwm".filter { allowed[index].access.contains($0) || rule.access.contains($0) }
      } else {
        allowed.append((path, rule.access))
      }
    }
    return [
      SystemdProperty("DevicePolicy", .string(allowsAll ? "auto" : "strict")),
      SystemdProperty("DeviceAllow", .array("(ss)", [])),
      SystemdProperty(
        "DeviceAllow", .array("(ss)", allowed.map { .structure([.string($0.path), .string($0.access)]) })),
    ]
  }
}
