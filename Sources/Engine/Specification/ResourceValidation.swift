import Errors
import Linux

extension ConfigurationValidation {
  /// Less, and the kernel cannot even start a process in the group.
  static let minimumMemory: Int64 = 6 << 20

  /// Limits of a new instance, or (`update`) the limits to change of an existing one.
  public func validate(
    _ resources: Resources, update: Bool = false, warnings: inout [String]
  ) throws(ApusError) -> Resources {
    var resources = resources
    try checkMemory(&resources, update: update, warnings: &warnings)
    try checkProcessors(resources)
    try checkBlockIO(&resources, warnings: &warnings)
    try checkUlimits(resources.ulimits)
    if let score = resources.oomScoreAdj { try checkOOMScore(score) }
    if let parent = resources.cgroupParent, !parent.isEmpty {
      guard !parent.split(separator: "/").contains(".."), !parent.utf8.contains(0) else {
        throw invalid("invalid cgroup parent '\(parent)': it leads out of the hierarchy")
      }
    }
    return resources
  }

  private func checkMemory(_ resources: inout Resources, update: Bool, warnings: inout [String]) throws(ApusError) {
    // −1 is how older clients say "the host's default".
    if resources.memorySwappiness == -1 { resources.memorySwappiness = nil }
    let memory = resources.memory ?? 0
    let swap = resources.memorySwap ?? 0
    if memory != 0, memory < Self.minimumMemory { throw invalid("Minimum memory limit allowed is 6MB") }
    if memory > 0, swap != -1, !host.supportsSwapLimit {
      if swap > 0 {
        warnings.append(
          "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
        )
      }
      resources.memorySwap = -1
    }
    if memory > 0, swap > 0, swap < memory {
      throw invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
    }
    if memory == 0, swap > 0, !update {
      throw invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
    }
    if let swappiness = resources.memorySwappiness {
      guard (0...100).contains(swappiness) else {
        throw invalid("Invalid value: \(swappiness), valid memory swappiness range is 0-100")
      }
      if !host.supportsSwappiness {
        warnings.append(
          "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. "
            + "Memory swappiness discarded.")
        resources.memorySwappiness = nil
      }
    }
    if memory > 0, resources.memorySwap ?? 0 == 0, !update {
      // As much swap as memory, unless asked otherwise.
      let (twice, overflow) = memory.multipliedReportingOverflow(by: 2)
      resources.memorySwap = overflow ? -1 : twice
    }
    let reservation = resources.memoryReservation ?? 0
    if reservation > 0, reservation < Self.minimumMemory { throw invalid("Minimum memory reservation allowed is 6MB") }
    if memory > 0, reservation > 0, memory < reservation {
      throw invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
    }
    if resources.oomKillDisable == true {
      if !host.supportsOOMKillDisable {
        warnings.append("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
        resources.oomKillDisable = nil
      } else if memory == 0 {
        warnings.append(
          "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running "
            + "out of resources.")
      }
    }
  }

  private func checkProcessors(_ resources: Resources) throws(ApusError) {
    let nano = resources.nanoCPUs ?? 0
    let period = resources.cpuPeriod ?? 0
    let quota = resources.cpuQuota ?? 0
    if nano > 0, period > 0 {
      throw invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    }
    if nano > 0, quota > 0 {
      throw invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    }
    let count = host.cpuCount
    if nano < 0 || nano > Int64(count) * 1_000_000_000 {
      throw invalid("range of CPUs is from 0.01 to \(count).00, as there are only \(count) CPUs available")
    }
    if period != 0, !(1_000...1_000_000).contains(period) {
      throw invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    }
    if quota > 0, quota < 1_000 { throw invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)") }
    if let shares = resources.cpuShares, shares < 0 {
      throw invalid("invalid CPU shares (\(shares)): value must be a positive integer")
    }
    try checkSet(resources.cpusetCPUs, of: host.cpus, "cpuset cpus", "CPUs")
    try checkSet(resources.cpusetMems, of: host.memoryNodes, "cpuset mems", "memory nodes")
  }

  private func checkSet(
    _ text: String?, of available: IndexList, _ name: String, _ things: String
  ) throws(ApusError) {
    guard let text, !text.isEmpty else { return }
    guard let set = IndexList(text) else { throw invalid("Invalid value \(text) for \(name)") }
    guard set.isSubset(of: available) else {
      throw invalid("Requested \(things) are not available - requested \(text), available: \(available)")
    }
  }

  private func checkBlockIO(_ resources: inout Resources, warnings: inout [String]) throws(ApusError) {
    if let weight = resources.blkioWeight, weight > 0 {
      guard (10...1000).contains(weight) else { throw invalid("Range of blkio weight is from 10 to 1000") }
      if !host.supportsBlockWeight {
        warnings.append("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.")
        resources.blkioWeight = nil
      }
    }
    for device in resources.blkioWeightDevices {
      guard (10...1000).contains(device.rate) else { throw invalid("Range of blkio weight is from 10 to 1000") }
    }
    if !resources.blkioWeightDevices.isEmpty, !host.supportsBlockWeight {
      warnings.append(
        "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.")
      resources.blkioWeightDevices = []
    }
    for devices in [
      resources.blkioWeightDevices, resources.blkioReadBps, resources.blkioWriteBps, resources.blkioReadIOPS,
      resources.blkioWriteIOPS,
    ] {
      for device in devices { _ = try HostDevice.blockNumbers(of: device.path) }
    }
  }

  private func checkUlimits(_ ulimits: [Ulimit]) throws(ApusError) {
    for ulimit in ulimits {
      guard let limit = ResourceLimit(named: ulimit.name) else { throw invalid("invalid ulimit type: \(ulimit.name)") }
      // −1 is "unlimited" on either side.
      let soft = ulimit.soft < 0 ? UInt64.max : UInt64(ulimit.soft)
      let hard = ulimit.hard < 0 ? UInt64.max : UInt64(ulimit.hard)
      guard soft <= hard else {
        throw invalid("ulimit soft limit must be less than or equal to hard limit: \(ulimit.soft) > \(ulimit.hard)")
      }
      guard !host.mayRaiseLimits, let allowed = try? limit.current().hard, hard > allowed else { continue }
      throw invalid(
        "ulimit \(ulimit.name): the hard limit \(ulimit.hard < 0 ? "unlimited" : "\(ulimit.hard)") is above this "
          + "host's \(allowed), and raising it needs CAP_SYS_RESOURCE: ask for at most \(allowed)")
    }
  }

  private func checkOOMScore(_ score: Int) throws(ApusError) {
    guard (-1000...1000).contains(score) else {
      throw invalid("Invalid value \(score), range for oom score adj is [-1000, 1000]")
    }
    if score < min(0, host.oomScoreAdjustment), !host.mayRaiseLimits {
      throw invalid(
        "oom score adj \(score) is below this host's \(host.oomScoreAdjustment), and lowering it needs CAP_SYS_RESOURCE: "
          + "ask for at least \(host.oomScoreAdjustment)")
    }
  }
}
