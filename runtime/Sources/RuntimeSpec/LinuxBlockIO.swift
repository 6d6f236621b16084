/// Limits of block devices.
public struct LinuxBlockIO: JSONObject, Equatable {
  /// From 10 to 1000.
  public var weight: UInt16?
  public var leafWeight: UInt16?
  public var weightDevice: [LinuxWeightDevice]
  public var throttleReadBpsDevice: [LinuxThrottleDevice]
  public var throttleWriteBpsDevice: [LinuxThrottleDevice]
  public var throttleReadIOPSDevice: [LinuxThrottleDevice]
  public var throttleWriteIOPSDevice: [LinuxThrottleDevice]

  public init(
    weight: UInt16? = nil, leafWeight: UInt16? = nil, weightDevice: [LinuxWeightDevice] = [],
    throttleReadBpsDevice: [LinuxThrottleDevice] = [], throttleWriteBpsDevice: [LinuxThrottleDevice] = [],
    throttleReadIOPSDevice: [LinuxThrottleDevice] = [], throttleWriteIOPSDevice: [LinuxThrottleDevice] = []
  ) {
    self.weight = weight
    self.leafWeight = leafWeight
    self.weightDevice = weightDevice
    self.throttleReadBpsDevice = throttleReadBpsDevice
    self.throttleWriteBpsDevice = throttleWriteBpsDevice
    self.throttleReadIOPSDevice = throttleReadIOPSDevice
    self.throttleWriteIOPSDevice = throttleWriteIOPSDevice
  }

  public init() { self.init(weight: nil) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "weight": try reader.read(&weight)
    case "leafWeight": try reader.read(&leafWeight)
    case "weightDevice": try reader.read(&weightDevice)
    case "throttleReadBpsDevice": try reader.read(&throttleReadBpsDevice)
    case "throttleWriteBpsDevice": try reader.read(&throttleWriteBpsDevice)
    case "throttleReadIOPSDevice": try reader.read(&throttleReadIOPSDevice)
    case "throttleWriteIOPSDevice": try reader.read(&throttleWriteIOPSDevice)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("weight", weight)
    writer.putIfSet("leafWeight", leafWeight)
    writer.putIfSet("weightDevice", weightDevice)
    writer.putIfSet("throttleReadBpsDevice", throttleReadBpsDevice)
    writer.putIfSet("throttleWriteBpsDevice", throttleWriteBpsDevice)
    writer.putIfSet("throttleReadIOPSDevice", throttleReadIOPSDevice)
    writer.putIfSet("throttleWriteIOPSDevice", throttleWriteIOPSDevice)
  }
}

/// The weight of one block device.
public struct LinuxWeightDevice: JSONObject, Equatable {
  public var major: Int64
  public var minor: Int64
  public var weight: UInt16?
  public var leafWeight: UInt16?

  public init(major: Int64 = 0, minor: Int64 = 0, weight: UInt16? = nil, leafWeight: UInt16? = nil) {
    self.major = major
    self.minor = minor
    self.weight = weight
    self.leafWeight = leafWeight
  }

  public init() { self.init(major: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "major": try reader.read(&major)
    case "minor": try reader.read(&minor)
    case "weight": try reader.read(&weight)
    case "leafWeight": try reader.read(&leafWeight)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("major", major)
    writer.put("minor", minor)
    writer.putIfSet("weight", weight)
    writer.putIfSet("leafWeight", leafWeight)
  }
}

/// The rate limit of one block device, in bytes or operations per second.
public struct LinuxThrottleDevice: JSONObject, Equatable {
  public var major: Int64
  public var minor: Int64
  public var rate: UInt64

  public init(major: Int64 = 0, minor: Int64 = 0, rate: UInt64 = 0) {
    self.major = major
    self.minor = minor
    self.rate = rate
  }

  public init() { self.init(major: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "major": try reader.read(&major)
    case "minor": try reader.read(&minor)
    case "rate": try reader.read(&rate)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("major", major)
    writer.put("minor", minor)
    writer.put("rate", rate)
  }
}

/// The limit of huge pages of one size.
public struct LinuxHugepageLimit: JSONObject, Equatable {
  /// Such as `2MB`.
  public var pageSize: String
  /// In bytes.
  public var limit: UInt64

  public init(pageSize: String = "", limit: UInt64 = 0) {
    self.pageSize = pageSize
    self.limit = limit
  }

  public init() { self.init(pageSize: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "pageSize": try reader.read(&pageSize)
    case "limit": try reader.read(&limit)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("pageSize", pageSize)
    writer.put("limit", limit)
  }
}

/// How packets of a cgroup are marked.
public struct LinuxNetwork: JSONObject, Equatable {
  public var classID: UInt32?
  public var priorities: [LinuxInterfacePriority]

  public init(classID: UInt32? = nil, priorities: [LinuxInterfacePriority] = []) {
    self.classID = classID
    self.priorities = priorities
  }

  public init() { self.init(classID: nil) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "classID": try reader.read(&classID)
    case "priorities": try reader.read(&priorities)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("classID", classID)
    writer.putIfSet("priorities", priorities)
  }
}

/// The priority of one network interface.
public struct LinuxInterfacePriority: JSONObject, Equatable {
  public var name: String
  public var priority: UInt32

  public init(name: String = "", priority: UInt32 = 0) {
    self.name = name
    self.priority = priority
  }

  public init() { self.init(name: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "name": try reader.read(&name)
    case "priority": try reader.read(&priority)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("name", name)
    writer.put("priority", priority)
  }
}

/// The limits of one RDMA device.
public struct LinuxRdma: JSONObject, Equatable {
  public var hcaHandles: UInt32?
  public var hcaObjects: UInt32?

  public init(hcaHandles: UInt32? = nil, hcaObjects: UInt32? = nil) {
    self.hcaHandles = hcaHandles
    self.hcaObjects = hcaObjects
  }

  public init() { self.init(hcaHandles: nil) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "hcaHandles": try reader.read(&hcaHandles)
    case "hcaObjects": try reader.read(&hcaObjects)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("hcaHandles", hcaHandles)
    writer.putIfSet("hcaObjects", hcaObjects)
  }
}
