import Errors
import RuntimeSpec

extension LinuxResources {
  /// Limits as the runtime takes them, by Docker's rules. Device rules are not part of it.
  ///
  /// - Throws: `invalidArgument` where a device to limit is not there.
  init(_ resources: Resources) throws(ApusError) {
    self.init(
      memory: LinuxMemory(resources), cpu: LinuxCPU(resources), pids: LinuxPids(resources),
      blockIO: try LinuxBlockIO(resources))
  }

  /// Limits to set on a running instance.
  ///
  /// - Parameter resources: all limits it is to have, see ``Resources/updated(with:)``.
  /// - Throws: `invalidArgument` where a device to limit is not there.
  public static func update(_ resources: Resources) throws(ApusError) -> LinuxResources {
    var update = try LinuxResources(resources)
    // −1 is what a group has from the start; it is only worth saying where it may have to be changed back.
    if resources.memorySwap == -1 {
      var memory = update.memory ?? LinuxMemory()
      memory.swap = -1
      update.memory = memory
    }
    return update
  }
}

extension LinuxMemory {
  /// nil where nothing is limited.
  init?(_ resources: Resources) {
    self.init()
    func positive(_ value: Int64?) -> Int64? { value.flatMap { $0 > 0 ? $0 : nil } }
    limit = positive(resources.memory)
    reservation = positive(resources.memoryReservation)
    swap = positive(resources.memorySwap)
    swappiness = resources.memorySwappiness.map { UInt64(max(0, $0)) }
    disableOOMKiller = resources.oomKillDisable == true ? true : nil
    if self == LinuxMemory() { return nil }
  }
}

extension LinuxCPU {
  /// Microseconds in which a share given as a number of CPUs is measured.
  static let standardPeriod: Int64 = 100_000

  /// nil where nothing is limited.
  init?(_ resources: Resources) {
    self.init()
    // The kernel's own bounds.
    if let value = resources.cpuShares, value > 0 { shares = UInt64(min(max(value, 2), 262_144)) }
    if let nano = resources.nanoCPUs, nano > 0 {
      period = UInt64(Self.standardPeriod)
      // The kernel takes no quota below a millisecond: rounding up beats failing at the start.
      quota = max(1_000, nano / (1_000_000_000 / Self.standardPeriod))
    }
    if let value = resources.cpuPeriod, value > 0 { period = UInt64(value) }
    if let value = resources.cpuQuota, value != 0 { quota = value }
    if let value = resources.cpuRealtimePeriod, value > 0 { realtimePeriod = UInt64(value) }
    if let value = resources.cpuRealtimeRuntime, value != 0 { realtimeRuntime = value }
    cpus = resources.cpusetCPUs ?? ""
    mems = resources.cpusetMems ?? ""
    if self == LinuxCPU() { return nil }
  }
}

extension LinuxPids {
  /// nil where nothing is said; 0 and negative numbers are "no limit".
  init?(_ resources: Resources) {
    guard let limit = resources.pidsLimit else { return nil }
    self.init(limit: limit > 0 ? limit : -1)
  }
}

extension LinuxBlockIO {
  /// nil where nothing is limited.
  init?(_ resources: Resources) throws(ApusError) {
    self.init()
    if let weight = resources.blkioWeight, weight > 0 { self.weight = weight }
    for device in resources.blkioWeightDevices {
      let (major, minor) = try HostDevice.blockNumbers(of: device.path)
      weightDevice.append(LinuxWeightDevice(major: major, minor: minor, weight: UInt16(clamping: device.rate)))
    }
    throttleReadBpsDevice = try Self.throttles(resources.blkioReadBps)
    throttleWriteBpsDevice = try Self.throttles(resources.blkioWriteBps)
    throttleReadIOPSDevice = try Self.throttles(resources.blkioReadIOPS)
    throttleWriteIOPSDevice = try Self.throttles(resources.blkioWriteIOPS)
    if self == LinuxBlockIO() { return nil }
  }

  private static func throttles(_ rates: [DeviceRate]) throws(ApusError) -> [LinuxThrottleDevice] {
    var throttles: [LinuxThrottleDevice] = []
    for rate in rates {
      let (major, minor) = try HostDevice.blockNumbers(of: rate.path)
      throttles.append(LinuxThrottleDevice(major: major, minor: minor, rate: rate.rate))
    }
    return throttles
  }
}
