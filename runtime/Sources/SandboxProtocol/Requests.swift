import RuntimeSpec

/// Connects to the streams of the container's first process. What it wrote before is in the log.
public struct AttachRequest: JSONObject, Equatable {
  public var stdin: Bool
  public var stdout: Bool
  public var stderr: Bool

  public init(stdin: Bool = false, stdout: Bool = false, stderr: Bool = false) {
    self.stdin = stdin
    self.stdout = stdout
    self.stderr = stderr
  }

  public init() { self.init(stdin: false) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "stdin": try reader.read(&stdin)
    case "stdout": try reader.read(&stdout)
    case "stderr": try reader.read(&stderr)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("stdin", stdin)
    writer.putIfSet("stdout", stdout)
    writer.putIfSet("stderr", stderr)
  }
}

/// Runs another process in the container. With no stream asked for it goes on even if the connection is closed.
public struct ExecRequest: JSONObject, Equatable {
  /// Chosen by the caller, unique in the container.
  public var id: String
  public var process: ProcessSpec
  /// As in ``CreateRequest``.
  public var user: String?
  public var additionalGroups: [String]
  public var stdin: Bool
  public var stdout: Bool
  public var stderr: Bool
  /// Of the terminal; 0 for unknown.
  public var rows: UInt16
  /// Of the terminal; 0 for unknown.
  public var columns: UInt16

  public init(
    id: String = "", process: ProcessSpec = ProcessSpec(), user: String? = nil,
    additionalGroups: [String] = [], stdin: Bool = false, stdout: Bool = false, stderr: Bool = false,
    rows: UInt16 = 0, columns: UInt16 = 0
  ) {
    self.id = id
    self.process = process
    self.user = user
    self.additionalGroups = additionalGroups
    self.stdin = stdin
    self.stdout = stdout
    self.stderr = stderr
    self.rows = rows
    self.columns = columns
  }

  public init() { self.init(id: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "id": try reader.read(&id)
    case "process": try reader.read(&process)
    case "user": try reader.read(&user)
    case "additionalGroups": try reader.read(&additionalGroups)
    case "stdin": try reader.read(&stdin)
    case "stdout": try reader.read(&stdout)
    case "stderr": try reader.read(&stderr)
    case "rows": try reader.read(&rows)
    case "columns": try reader.read(&columns)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("id", id)
    writer.put("process", process)
    writer.putIfSet("user", user)
    writer.putIfSet("additionalGroups", additionalGroups)
    writer.putIfSet("stdin", stdin)
    writer.putIfSet("stdout", stdout)
    writer.putIfSet("stderr", stderr)
    writer.putIfSet("rows", rows)
    writer.putIfSet("columns", columns)
  }
}

/// Tells a terminal its size in characters.
public struct ResizeRequest: JSONObject, Equatable {
  /// The first process where nil.
  public var execID: String?
  public var rows: UInt16
  public var columns: UInt16

  public init(execID: String? = nil, rows: UInt16 = 0, columns: UInt16 = 0) {
    self.execID = execID
    self.rows = rows
    self.columns = columns
  }

  public init() { self.init(execID: nil) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "execID": try reader.read(&execID)
    case "rows": try reader.read(&rows)
    case "columns": try reader.read(&columns)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("execID", execID)
    writer.put("rows", rows)
    writer.put("columns", columns)
  }
}

/// Sends a signal.
public struct SignalRequest: JSONObject, Equatable {
  public var signal: Int32
  /// The first process where nil.
  public var execID: String?
  /// To every process of the container instead.
  public var all: Bool

  public init(signal: Int32 = 0, execID: String? = nil, all: Bool = false) {
    self.signal = signal
    self.execID = execID
    self.all = all
  }

  public init() { self.init(signal: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "signal": try reader.read(&signal)
    case "execID": try reader.read(&execID)
    case "all": try reader.read(&all)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("signal", signal)
    writer.putIfSet("execID", execID)
    writer.putIfSet("all", all)
  }
}
