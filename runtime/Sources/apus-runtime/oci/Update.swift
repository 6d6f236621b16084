import Container
import Errors
import Linux
import RuntimeSpec

extension Command {
  static let update = Command(
    name: "update", summary: "update container resource constraints",
    options: [
      Option(
        "resources", "r", "path to the file containing the resources to update or '-' to read from the standard input"),
      Option("blkio-weight", "Specifies per cgroup weight, range is from 10 to 1000"),
      Option("cpu-period", "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default"),
      Option("cpu-quota", "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period"),
      Option(
        "cpu-burst", "CPU CFS hardcap burst limit (in usecs). Allowed accumulated cpu time additionally for burst"),
      Option("cpu-share", "CPU shares (relative weight vs. other containers)"),
      Option("cpu-rt-period", "CPU realtime period to be used for hardcapping (in usecs). 0 to use system default"),
      Option("cpu-rt-runtime", "CPU realtime hardcap limit (in usecs). Allowed cpu time in a given period"),
      Option("cpuset-cpus", "CPU(s) to use"),
      Option("cpuset-mems", "Memory node(s) to use"),
      Option("cpu-idle", "set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE"),
      Option("memory", "Memory limit (in bytes)"),
      Option("memory-reservation", "Memory reservation or soft_limit (in bytes)"),
      Option("memory-swap", "Total memory usage (memory + swap); set '-1' to enable unlimited swap"),
      Option("kernel-memory", "(obsolete; do not use)"),
      Option("kernel-memory-tcp", "(obsolete; do not use)"),
      Option("pids-limit", "Maximum number of pids allowed in the container"),
      Option("l3-cache-schema", "The string of Intel RDT/CAT L3 cache schema"),
      Option("mem-bw-schema", "The string of Intel RDT/MBA memory bandwidth schema"),
    ]
  ) { (invocation) throws(ApusError) in
    let options = invocation.options
    let stored = try StoredContainer(invocation.id, root: invocation.global.root, locked: true)
    guard try stored.status() != .stopped else {
      throw ApusError(.conflict, "cannot update a container that is not running")
    }
    let shares = LinuxIntelRdt(
      l3CacheSchema: options.value("l3-cache-schema") ?? "", memBwSchema: options.value("mem-bw-schema") ?? "")
    guard shares == LinuxIntelRdt() || !stored.record.sharesGroup.isEmpty else {
      throw ApusError(
        .conflict,
        "cannot change the shares of caches and memory bandwidth: the container was made without linux.intelRdt")
    }
    try stored.open().update(LinuxResources(options).withoutZeros)
    if shares != LinuxIntelRdt() { try ResourceControl().set(shares, of: stored.record.sharesGroup) }
    return 0
  }
}

extension LinuxResources {
  /// Of a file, where one is given, otherwise of the single options.
  fileprivate init(_ options: Options) throws(ApusError) {
    if let path = options.value("resources") {
      let bytes = path == "-" ? try Files.read(descriptor: 0, limit: 1 << 20) : try Files.read(path)
      try self.init(json: bytes, subject: path == "-" ? "The text of standard input" : path)
      return
    }
    self.init()
    var memory = LinuxMemory()
    memory.limit = try Self.bytes(options, "memory")
    memory.reservation = try Self.bytes(options, "memory-reservation")
    memory.swap = try Self.bytes(options, "memory-swap")
    self.memory = memory
    var cpu = LinuxCPU()
    cpu.shares = try options.number("cpu-share")
    cpu.quota = try options.number("cpu-quota")
    cpu.period = try options.number("cpu-period")
    cpu.burst = try options.number("cpu-burst")
    cpu.realtimeRuntime = try options.number("cpu-rt-runtime")
    cpu.realtimePeriod = try options.number("cpu-rt-period")
    cpu.idle = try options.number("cpu-idle")
    cpu.cpus = options.value("cpuset-cpus") ?? ""
    cpu.mems = options.value("cpuset-mems") ?? ""
    self.cpu = cpu
    if let weight: UInt16 = try options.number("blkio-weight") { blockIO = LinuxBlockIO(weight: weight) }
    if let limit: Int64 = try options.number("pids-limit") { pids = LinuxPids(limit: limit) }
  }

  private static func bytes(_ options: Options, _ name: String) throws(ApusError) -> Int64? {
    guard let text = options.value(name) else { return nil }
    guard let size = MemorySize.bytes(text) else {
      throw ApusError(.invalidArgument, "invalid value for --\(name): \"\(text)\" is not a size such as 64M")
    }
    return size
  }
}

/// Sizes such as `64M`, `1.5g`, `512KiB`: a thousand is 1024 of the smaller unit.
enum MemorySize {
  static func bytes(_ text: String) -> Int64? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == "." || $0 == "-") }
    var unit = text.dropFirst(digits.count).lowercased()
    if unit.first == " " { unit.removeFirst() }
    for suffix in ["ib", "b"] where unit.hasSuffix(suffix) {
      unit.removeLast(suffix.count)
      break
    }
    guard let power = ["", "k", "m", "g", "t", "p"].firstIndex(of: unit) else { return nil }
    let factor = Int64(1) << Int64(10 * power)
    if let whole = Int64(digits) {
      let (product, overflow) = whole.multipliedReportingOverflow(by: factor)
      return overflow ? nil : product
    }
    guard let fraction = Double(digits), fraction >= 0, fraction * Double(factor) < 9.2e18 else { return nil }
    return Int64(fraction * Double(factor))
  }
}
