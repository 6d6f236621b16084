import RuntimeSpec

/// A process exists.
public struct ProcessStarted: JSONObject, Equatable {
  /// In the shim's PID namespace.
  public var pid: Int32

  public init(pid: Int32 = 0) {
    self.pid = pid
  }

  public init() { self.init(pid: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "pid": try reader.read(&pid)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("pid", pid)
  }
}

/// The processes of a container, in the shim's PID namespace.
public struct ProcessList: JSONObject, Equatable {
  public var pids: [Int32]

  public init(pids: [Int32] = []) {
    self.pids = pids
  }

  public init() { self.init(pids: []) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "pids": try reader.read(&pids)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("pids", pids)
  }
}

/// What a shim knows of its container.
public struct SandboxState: JSONObject, Equatable {
  /// Of the first process; 0 where there is none.
  public var pid: Int32
  /// `created`, `running`, `paused` or `stopped`.
  public var status: String
  public var execs: [ExecState]

  public init(pid: Int32 = 0, status: String = "", execs: [ExecState] = []) {
    self.pid = pid
    self.status = status
    self.execs = execs
  }

  public init() { self.init(pid: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "pid": try reader.read(&pid)
    case "status": try reader.read(&status)
    case "execs": try reader.read(&execs)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("pid", pid)
    writer.put("status", status)
    writer.put("execs", execs)
  }
}

/// A process of ``SandboxState``.
public struct ExecState: JSONObject, Equatable {
  public var id: String
  public var pid: Int32

  public init(id: String = "", pid: Int32 = 0) {
    self.id = id
    self.pid = pid
  }

  public init() { self.init(id: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "id": try reader.read(&id)
    case "pid": try reader.read(&pid)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("id", id)
    writer.put("pid", pid)
  }
}
