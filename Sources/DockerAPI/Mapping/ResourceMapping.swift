import DockerTypes
import Engine
import Errors

extension Resources {
  init(_ wire: ContainerResources) throws(ApusError) {
    self.init()
    memory = wire.memory.limit
    memorySwap = wire.memorySwap.limit
    memoryReservation = wire.memoryReservation.limit
    // −1 is how clients say "not given".
    memorySwappiness = wire.memorySwappiness.flatMap { $0 == -1 ? nil : Int64($0) }
    oomKillDisable = wire.oomKillDisable
    nanoCPUs = wire.nanoCpus.limit
    cpuShares = wire.cpuShares.limit
    cpuPeriod = wire.cpuPeriod.limit
    cpuQuota = wire.cpuQuota.limit
    cpuRealtimePeriod = wire.cpuRealtimePeriod.limit
    cpuRealtimeRuntime = wire.cpuRealtimeRuntime.limit
    cpusetCPUs = wire.cpusetCpus.nonEmpty
    cpusetMems = wire.cpusetMems.nonEmpty
    pidsLimit = wire.pidsLimit.map { Int64($0) }
    blkioWeight = wire.blkioWeight == 0 ? nil : wire.blkioWeight
    blkioWeightDevices = (wire.blkioWeightDevice ?? []).map { DeviceRate(path: $0.path, rate: UInt64($0.weight)) }
    blkioReadBps = Self.rates(wire.blkioDeviceReadBps)
    blkioWriteBps = Self.rates(wire.blkioDeviceWriteBps)
    blkioReadIOPS = Self.rates(wire.blkioDeviceReadIOps)
    blkioWriteIOPS = Self.rates(wire.blkioDeviceWriteIOps)
    ulimits = (wire.ulimits ?? []).map {
      Ulimit(name: $0.name.lowercased(), soft: Int64($0.soft), hard: Int64($0.hard))
    }
    cgroupParent = wire.cgroupParent.nonEmpty
  }

  private static func rates(_ devices: [ThrottleDevice]?) -> [DeviceRate] {
    (devices ?? []).map { DeviceRate(path: $0.path, rate: $0.rate) }
  }

  /// What an update with these values leaves of `old`: members that are not given stay.
  func over(_ old: Resources) -> Resources {
    var result = old
    result.memory = memory ?? old.memory
    result.memorySwap = memorySwap ?? old.memorySwap
    result.memoryReservation = memoryReservation ?? old.memoryReservation
    result.nanoCPUs = nanoCPUs ?? old.nanoCPUs
    result.cpuShares = cpuShares ?? old.cpuShares
    result.cpuPeriod = cpuPeriod ?? old.cpuPeriod
    result.cpuQuota = cpuQuota ?? old.cpuQuota
    result.cpuRealtimePeriod = cpuRealtimePeriod ?? old.cpuRealtimePeriod
    result.cpuRealtimeRuntime = cpuRealtimeRuntime ?? old.cpuRealtimeRuntime
    result.cpusetCPUs = cpusetCPUs ?? old.cpusetCPUs
    result.cpusetMems = cpusetMems ?? old.cpusetMems
    result.pidsLimit = pidsLimit ?? old.pidsLimit
    result.blkioWeight = blkioWeight ?? old.blkioWeight
    if !ulimits.isEmpty { result.ulimits = ulimits }
    return result
  }
}

extension ContainerResources {
  /// Writes the engine's values over what was asked for: an update changes them.
  mutating func apply(_ resources: Resources) {
    memory = Int(resources.memory ?? 0)
    memorySwap = Int(resources.memorySwap ?? 0)
    memoryReservation = Int(resources.memoryReservation ?? 0)
    memorySwappiness = resources.memorySwappiness.map { Int($0) }
    oomKillDisable = resources.oomKillDisable
    nanoCpus = Int(resources.nanoCPUs ?? 0)
    cpuShares = Int(resources.cpuShares ?? 0)
    cpuPeriod = Int(resources.cpuPeriod ?? 0)
    cpuQuota = Int(resources.cpuQuota ?? 0)
    cpuRealtimePeriod = Int(resources.cpuRealtimePeriod ?? 0)
    cpuRealtimeRuntime = Int(resources.cpuRealtimeRuntime ?? 0)
    cpusetCpus = resources.cpusetCPUs ?? ""
    cpusetMems = resources.cpusetMems ?? ""
    pidsLimit = resources.pidsLimit.flatMap { $0 > 0 ? Int($0) : nil }
    blkioWeight = resources.blkioWeight ?? 0
    cgroupParent = resources.cgroupParent ?? ""
    blkioWeightDevice = list(blkioWeightDevice, resources.blkioWeightDevices) { device in
      var weight = WeightDevice()
      weight.path = device.path
      weight.weight = UInt16(clamping: device.rate)
      return weight
    }
    blkioDeviceReadBps = list(blkioDeviceReadBps, resources.blkioReadBps, ThrottleDevice.init)
    blkioDeviceWriteBps = list(blkioDeviceWriteBps, resources.blkioWriteBps, ThrottleDevice.init)
    blkioDeviceReadIOps = list(blkioDeviceReadIOps, resources.blkioReadIOPS, ThrottleDevice.init)
    blkioDeviceWriteIOps = list(blkioDeviceWriteIOps, resources.blkioWriteIOPS, ThrottleDevice.init)
    ulimits = list(ulimits, resources.ulimits, UlimitConfig.init)
  }

  /// An empty list stays what the client made of it: null or empty.
  private func list<Wire, Value>(_ asked: [Wire]?, _ values: [Value], _ wire: (Value) -> Wire) -> [Wire]? {
    values.isEmpty ? asked.map { _ in [] } : values.map(wire)
  }
}

extension ThrottleDevice {
  init(_ rate: DeviceRate) {
    self.init()
    path = rate.path
    self.rate = rate.rate
  }
}

extension UlimitConfig {
  init(_ limit: Ulimit) {
    self.init()
    name = limit.name
    hard = Int(limit.hard)
    soft = Int(limit.soft)
  }
}

extension Int {
  /// nil when 0: how the API says "no limit given".
  fileprivate var limit: Int64? { self == 0 ? nil : Int64(self) }
}
