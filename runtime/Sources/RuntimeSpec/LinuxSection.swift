/// What only Linux has (config-linux.md).
public struct LinuxSection: JSONObject, Equatable {
  public var uidMappings: [LinuxIDMapping]
  public var gidMappings: [LinuxIDMapping]
  public var sysctl: [String: String]
  public var resources: LinuxResources?
  public var cgroupsPath: String
  /// The namespaces that are not the runtime's own.
  public var namespaces: [LinuxNamespace]
  /// Device nodes to make, besides the default ones.
  public var devices: [LinuxDevice]
  public var seccomp: LinuxSeccomp?
  /// `shared`, `slave`, `private` or `unbindable`.
  public var rootfsPropagation: String
  /// Paths that read as empty.
  public var maskedPaths: [String]
  public var readonlyPaths: [String]
  /// For SELinux.
  public var mountLabel: String
  public var intelRdt: LinuxIntelRdt?
  public var personality: LinuxPersonality?
  /// By clock: `monotonic`, `boottime`.
  public var timeOffsets: [String: LinuxTimeOffset]
  /// Since 1.3.
  public var memoryPolicy: LinuxMemoryPolicy?
  /// By the device's name on the host; since 1.3.
  public var netDevices: [String: LinuxNetDevice]

  public init(
    uidMappings: [LinuxIDMapping] = [], gidMappings: [LinuxIDMapping] = [], sysctl: [String: String] = [:],
    resources: LinuxResources? = nil, cgroupsPath: String = "", namespaces: [LinuxNamespace] = [],
    devices: [LinuxDevice] = [], seccomp: LinuxSeccomp? = nil, rootfsPropagation: String = "",
    maskedPaths: [String] = [], readonlyPaths: [String] = [], mountLabel: String = "",
    intelRdt: LinuxIntelRdt? = nil, personality: LinuxPersonality? = nil,
    timeOffsets: [String: LinuxTimeOffset] = [:], memoryPolicy: LinuxMemoryPolicy? = nil,
    netDevices: [String: LinuxNetDevice] = [:]
  ) {
    self.uidMappings = uidMappings
    self.gidMappings = gidMappings
    self.sysctl = sysctl
    self.resources = resources
    self.cgroupsPath = cgroupsPath
    self.namespaces = namespaces
    self.devices = devices
    self.seccomp = seccomp
    self.rootfsPropagation = rootfsPropagation
    self.maskedPaths = maskedPaths
    self.readonlyPaths = readonlyPaths
    self.mountLabel = mountLabel
    self.intelRdt = intelRdt
    self.personality = personality
    self.timeOffsets = timeOffsets
    self.memoryPolicy = memoryPolicy
    self.netDevices = netDevices
  }

  public init() { self.init(uidMappings: []) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "uidMappings": try reader.read(&uidMappings)
    case "gidMappings": try reader.read(&gidMappings)
    case "sysctl": try reader.read(&sysctl)
    case "resources": try reader.read(&resources)
    case "cgroupsPath": try reader.read(&cgroupsPath)
    case "namespaces": try reader.read(&namespaces)
    case "devices": try reader.read(&devices)
    case "seccomp": try reader.read(&seccomp)
    case "rootfsPropagation": try reader.read(&rootfsPropagation)
    case "maskedPaths": try reader.read(&maskedPaths)
    case "readonlyPaths": try reader.read(&readonlyPaths)
    case "mountLabel": try reader.read(&mountLabel)
    case "intelRdt": try reader.read(&intelRdt)
    case "personality": try reader.read(&personality)
    case "timeOffsets": try reader.read(&timeOffsets)
    case "memoryPolicy": try reader.read(&memoryPolicy)
    case "netDevices": try reader.read(&netDevices)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("uidMappings", uidMappings)
    writer.putIfSet("gidMappings", gidMappings)
    writer.putIfSet("sysctl", sysctl)
    writer.putIfSet("resources", resources)
    writer.putIfSet("cgroupsPath", cgroupsPath)
    writer.putIfSet("namespaces", namespaces)
    writer.putIfSet("devices", devices)
    writer.putIfSet("seccomp", seccomp)
    writer.putIfSet("rootfsPropagation", rootfsPropagation)
    writer.putIfSet("maskedPaths", maskedPaths)
    writer.putIfSet("readonlyPaths", readonlyPaths)
    writer.putIfSet("mountLabel", mountLabel)
    writer.putIfSet("intelRdt", intelRdt)
    writer.putIfSet("personality", personality)
    writer.putIfSet("timeOffsets", timeOffsets)
    writer.putIfSet("memoryPolicy", memoryPolicy)
    writer.putIfSet("netDevices", netDevices)
  }
}

/// A namespace to make, or to join (config-linux.md, Namespaces).
public struct LinuxNamespace: JSONObject, Equatable {
  /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
  public var type: String
  /// The namespace to join; a new one is made where empty.
  public var path: String

  public init(type: String = "", path: String = "") {
    self.type = type
    self.path = path
  }

  public init() { self.init(type: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "type": try reader.read(&type)
    case "path": try reader.read(&path)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("type", type)
    writer.putIfSet("path", path)
  }
}

/// A range of user or group ids in a user namespace (user_namespaces(7)).
public struct LinuxIDMapping: JSONObject, Equatable {
  public var containerID: UInt32
  public var hostID: UInt32
  public var size: UInt32

  public init(containerID: UInt32 = 0, hostID: UInt32 = 0, size: UInt32 = 0) {
    self.containerID = containerID
    self.hostID = hostID
    self.size = size
  }

  public init() { self.init(containerID: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "containerID": try reader.read(&containerID)
    case "hostID": try reader.read(&hostID)
    case "size": try reader.read(&size)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("containerID", containerID)
    writer.put("hostID", hostID)
    writer.put("size", size)
  }
}

/// A device node to make in a container (config-linux.md, Devices).
public struct LinuxDevice: JSONObject, Equatable {
  public var path: String
  /// `c`, `b`, `u` or `p`.
  public var type: String
  public var major: Int64
  public var minor: Int64
  public var fileMode: UInt32?
  public var uid: UInt32?
  public var gid: UInt32?

  public init(
    path: String = "", type: String = "", major: Int64 = 0, minor: Int64 = 0, fileMode: UInt32? = nil,
    uid: UInt32? = nil, gid: UInt32? = nil
  ) {
    self.path = path
    self.type = type
    self.major = major
    self.minor = minor
    self.fileMode = fileMode
    self.uid = uid
    self.gid = gid
  }

  public init() { self.init(path: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "path": try reader.read(&path)
    case "type": try reader.read(&type)
    case "major": try reader.read(&major)
    case "minor": try reader.read(&minor)
    case "fileMode": try reader.read(&fileMode)
    case "uid": try reader.read(&uid)
    case "gid": try reader.read(&gid)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("path", path)
    writer.put("type", type)
    writer.put("major", major)
    writer.put("minor", minor)
    writer.putIfSet("fileMode", fileMode)
    writer.putIfSet("uid", uid)
    writer.putIfSet("gid", gid)
  }
}

/// Cache and memory bandwidth allocation (config-linux.md, IntelRdt).
public struct LinuxIntelRdt: JSONObject, Equatable {
  public var closID: String
  public var l3CacheSchema: String
  public var memBwSchema: String
  /// Lines as they are; since 1.3.
  public var schemata: [String]
  public var enableCMT: Bool
  public var enableMBM: Bool

  public init(
    closID: String = "", l3CacheSchema: String = "", memBwSchema: String = "", schemata: [String] = [],
    enableCMT: Bool = false,
    enableMBM: Bool = false
  ) {
    self.closID = closID
    self.l3CacheSchema = l3CacheSchema
    self.memBwSchema = memBwSchema
    self.schemata = schemata
    self.enableCMT = enableCMT
    self.enableMBM = enableMBM
  }

  public init() { self.init(closID: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "closID": try reader.read(&closID)
    case "l3CacheSchema": try reader.read(&l3CacheSchema)
    case "memBwSchema": try reader.read(&memBwSchema)
    case "schemata": try reader.read(&schemata)
    case "enableCMT": try reader.read(&enableCMT)
    case "enableMBM": try reader.read(&enableMBM)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("closID", closID)
    writer.putIfSet("l3CacheSchema", l3CacheSchema)
    writer.putIfSet("memBwSchema", memBwSchema)
    writer.putIfSet("schemata", schemata)
    writer.putIfSet("enableCMT", enableCMT)
    writer.putIfSet("enableMBM", enableMBM)
  }
}

/// The execution domain of a process (personality(2)).
public struct LinuxPersonality: JSONObject, Equatable {
  /// `LINUX` or `LINUX32`.
  public var domain: String
  public var flags: [String]

  public init(domain: String = "", flags: [String] = []) {
    self.domain = domain
    self.flags = flags
  }

  public init() { self.init(domain: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "domain": try reader.read(&domain)
    case "flags": try reader.read(&flags)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("domain", domain)
    writer.putIfSet("flags", flags)
  }
}

/// How far a clock of a time namespace is from the host's (time_namespaces(7)).
public struct LinuxTimeOffset: JSONObject, Equatable {
  public var secs: Int64
  public var nanosecs: UInt32

  public init(secs: Int64 = 0, nanosecs: UInt32 = 0) {
    self.secs = secs
    self.nanosecs = nanosecs
  }

  public init() { self.init(secs: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "secs": try reader.read(&secs)
    case "nanosecs": try reader.read(&nanosecs)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("secs", secs)
    writer.putIfSet("nanosecs", nanosecs)
  }
}
