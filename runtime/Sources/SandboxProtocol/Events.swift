import RuntimeSpec

/// How a container ended: the payload of ``FrameKind/exited`` and the content of the exit file.
public struct ExitRecord: JSONObject, Equatable {
  /// 128 + n for a process killed by signal n.
  public var exitCode: Int32
  /// Whether the kernel killed something in it for lack of memory.
  public var oomKilled: Bool
  /// In nanoseconds since 1970.
  public var finishedAt: Int64
  /// Why it ended where that was not its own doing.
  public var error: String?

  public init(exitCode: Int32 = 0, oomKilled: Bool = false, finishedAt: Int64 = 0, error: String? = nil) {
    self.exitCode = exitCode
    self.oomKilled = oomKilled
    self.finishedAt = finishedAt
    self.error = error
  }

  public init() { self.init(exitCode: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "exitCode": try reader.read(&exitCode)
    case "oomKilled": try reader.read(&oomKilled)
    case "finishedAt": try reader.read(&finishedAt)
    case "error": try reader.read(&error)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("exitCode", exitCode)
    writer.put("oomKilled", oomKilled)
    writer.put("finishedAt", finishedAt)
    writer.putIfSet("error", error)
  }
}

/// How an executed process ended.
public struct ExecExited: JSONObject, Equatable {
  public var id: String
  /// 128 + n for a process killed by signal n.
  public var exitCode: Int32

  public init(id: String = "", exitCode: Int32 = 0) {
    self.id = id
    self.exitCode = exitCode
  }

  public init() { self.init(id: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "id": try reader.read(&id)
    case "exitCode": try reader.read(&exitCode)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("id", id)
    writer.put("exitCode", exitCode)
  }
}
