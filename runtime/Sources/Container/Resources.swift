import Errors
import Linux
import RuntimeSpec

extension CgroupResources {
  /// The limits of an OCI configuration (config-linux.md, Control groups) without devices' defaults.
  init(_ source: LinuxResources) throws(ApusError) {
    self.init()
    if let memory = source.memory {
      self.memory.limit = memory.limit
      self.memory.reservation = memory.reservation
      self.memory.swap = memory.swap
      self.memory.swappiness = memory.swappiness
      self.memory.disableOOMKiller = memory.disableOOMKiller ?? false
    }
    if let cpu = source.cpu {
      processor.shares = cpu.shares
      processor.quota = cpu.quota
      processor.period = cpu.period
      processor.burst = cpu.burst
      processor.realtimeRuntime = cpu.realtimeRuntime
      processor.realtimePeriod = cpu.realtimePeriod
      processor.processors = cpu.cpus
      processor.memoryNodes = cpu.mems
      processor.idle = cpu.idle
    }
    processes = source.pids?.limit
    if let blockIO = source.blockIO { self.blockIO = BlockIO(blockIO) }
    for rule in source.devices { devices.append(try DeviceRule(rule)) }
    for limit in source.hugepageLimits { hugePages[limit.pageSize] = limit.limit }
    unified = source.unified
    for file in unified.keys.sorted() where file.contains("/") || !file.contains(".") || file.hasPrefix(".") {
      throw ApusError(.invalidArgument, "linux.resources.unified: \"\(file)\" is not a file of a control group")
    }
    networkClass = source.network?.classID
    for item in source.network?.priorities ?? [] { networkPriorities[item.name] = item.priority }
    for (device, limit) in source.rdma {
      let parts = [("hca_handle", limit.hcaHandles), ("hca_object", limit.hcaObjects)]
      rdma[device] = parts.compactMap { name, value in value.map { "\(name)=\($0)" } }.joined(separator: " ")
    }
  }
}

extension CgroupResources.BlockIO {
  init(_ source: LinuxBlockIO) {
    self.init()
    weight = source.weight
    deviceWeights = source.weightDevice.compactMap { device in
      device.weight.map { .init(major: device.major, minor: device.minor, value: $0) }
    }
    func rates(_ devices: [LinuxThrottleDevice]) -> [CgroupResources.Device<UInt64>] {
      devices.map { .init(major: $0.major, minor: $0.minor, value: $0.rate) }
    }
    readBytes = rates(source.throttleReadBpsDevice)
    writeBytes = rates(source.throttleWriteBpsDevice)
    readOperations = rates(source.throttleReadIOPSDevice)
    writeOperations = rates(source.throttleWriteIOPSDevice)
  }
}

extension CgroupResources.DeviceRule {
  init(_ source: LinuxDeviceCgroup) throws(ApusError) {
    guard let kind = source.type.isEmpty ? .all : Kind(rawValue: source.type) else {
      throw ApusError(.invalidArgument, "a device rule is for a, b or c, not for \"\(source.type)\"")
    }
    // -1 has meant "any" since before the field could be left out.
    func number(_ value: Int64?) -> Int64? { value.flatMap { $0 < 0 ? nil : $0 } }
    let access = source.access.isEmpty ? "rwm" : source.access
    guard access.utf8.allSatisfy({ "rwm".utf8.contains($0) }) else {
      throw ApusError(.invalidArgument, "a device rule allows r, w and m, not \"\(access)\"")
    }
    self.init(
      allow: source.allow, kind: kind, major: number(source.major), minor: number(source.minor), access: access)
  }

  /// What every container may use: making any node (which the mount's nodev and these rules keep useless), and the
  /// devices that are in every container's /dev (config-linux.md, Default Devices).
  static let defaults: [Self] = [
    .init(allow: true, kind: .character, access: "m"),
    .init(allow: true, kind: .block, access: "m"),
    .init(allow: true, kind: .character, major: 1, minor: 3),  // null
    .init(allow: true, kind: .character, major: 1, minor: 5),  // zero
    .init(allow: true, kind: .character, major: 1, minor: 7),  // full
    .init(allow: true, kind: .character, major: 1, minor: 8),  // random
    .init(allow: true, kind: .character, major: 1, minor: 9),  // urandom
    .init(allow: true, kind: .character, major: 5, minor: 0),  // tty
    .init(allow: true, kind: .character, major: 5, minor: 2),  // ptmx
    .init(allow: true, kind: .character, major: 136),  // pts/*
  ]
}
