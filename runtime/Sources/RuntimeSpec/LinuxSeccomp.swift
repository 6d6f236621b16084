/// A system call filter (config-linux.md, Seccomp).
public struct LinuxSeccomp: JSONObject, Equatable {
  /// Such as `SCMP_ACT_ERRNO`.
  public var defaultAction: String
  public var defaultErrnoRet: UInt32?
  /// Such as `SCMP_ARCH_X86_64`.
  public var architectures: [String]
  /// Such as `SECCOMP_FILTER_FLAG_LOG`.
  public var flags: [String]
  public var listenerPath: String
  public var listenerMetadata: String
  public var syscalls: [LinuxSyscall]

  public init(
    defaultAction: String = "", defaultErrnoRet: UInt32? = nil, architectures: [String] = [],
    flags: [String] = [], listenerPath: String = "", listenerMetadata: String = "",
    syscalls: [LinuxSyscall] = []
  ) {
    self.defaultAction = defaultAction
    self.defaultErrnoRet = defaultErrnoRet
    self.architectures = architectures
    self.flags = flags
    self.listenerPath = listenerPath
    self.listenerMetadata = listenerMetadata
    self.syscalls = syscalls
  }

  public init() { self.init(defaultAction: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "defaultAction": try reader.read(&defaultAction)
    case "defaultErrnoRet": try reader.read(&defaultErrnoRet)
    case "architectures": try reader.read(&architectures)
    case "flags": try reader.read(&flags)
    case "listenerPath": try reader.read(&listenerPath)
    case "listenerMetadata": try reader.read(&listenerMetadata)
    case "syscalls": try reader.read(&syscalls)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("defaultAction", defaultAction)
    writer.putIfSet("defaultErrnoRet", defaultErrnoRet)
    writer.putIfSet("architectures", architectures)
    writer.putIfSet("flags", flags)
    writer.putIfSet("listenerPath", listenerPath)
    writer.putIfSet("listenerMetadata", listenerMetadata)
    writer.putIfSet("syscalls", syscalls)
  }
}

/// A rule of a ``LinuxSeccomp``.
public struct LinuxSyscall: JSONObject, Equatable {
  public var names: [String]
  public var action: String
  public var errnoRet: UInt32?
  /// All must match.
  public var args: [LinuxSeccompArgument]

  public init(names: [String] = [], action: String = "", errnoRet: UInt32? = nil, args: [LinuxSeccompArgument] = []) {
    self.names = names
    self.action = action
    self.errnoRet = errnoRet
    self.args = args
  }

  public init() { self.init(names: []) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "names": try reader.read(&names)
    case "action": try reader.read(&action)
    case "errnoRet": try reader.read(&errnoRet)
    case "args": try reader.read(&args)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("names", names)
    writer.put("action", action)
    writer.putIfSet("errnoRet", errnoRet)
    writer.putIfSet("args", args)
  }
}

/// A condition on an argument of a system call.
public struct LinuxSeccompArgument: JSONObject, Equatable {
  public var index: UInt32
  public var value: UInt64
  /// The second operand of `SCMP_CMP_MASKED_EQ`.
  public var valueTwo: UInt64
  /// Such as `SCMP_CMP_EQ`.
  public var op: String

  public init(index: UInt32 = 0, value: UInt64 = 0, valueTwo: UInt64 = 0, op: String = "") {
    self.index = index
    self.value = value
    self.valueTwo = valueTwo
    self.op = op
  }

  public init() { self.init(index: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "index": try reader.read(&index)
    case "value": try reader.read(&value)
    case "valueTwo": try reader.read(&valueTwo)
    case "op": try reader.read(&op)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("index", index)
    writer.put("value", value)
    writer.putIfSet("valueTwo", valueTwo)
    writer.put("op", op)
  }
}
