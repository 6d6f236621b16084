import RuntimeSpec

/// Everything a shim needs to make a container: the payload of ``FrameKind/create``.
public struct CreateRequest: JSONObject, Equatable {
  public var id: String
  /// Its `root.path` is ignored when ``root`` is set.
  public var spec: Spec
  /// The layers to assemble the root from.
  public var root: RootFilesystem?
  /// `name|uid[:group|gid]`, looked up in the container's own files; `spec.process.user` decides where nil.
  public var user: String?
  /// Names or ids, looked up likewise.
  public var additionalGroups: [String]
  public var createWorkingDirectory: Bool
  /// Run the program under a small PID 1 that reaps orphans and forwards signals.
  public var useInit: Bool
  /// Give the program a stdin that can be attached to; the null device otherwise.
  public var openStdin: Bool
  /// Close stdin for good when the first attachment that has it goes away.
  public var stdinOnce: Bool
  /// No log is kept where nil.
  public var log: LogTarget?
  /// Where ``ExitRecord`` is written when the container has ended.
  public var exitPath: String
  /// Where the shim listens.
  public var socketPath: String
  /// Where compiled system call filters are kept.
  public var seccompCacheDirectory: String?
  /// A file that has what would be `spec.linux.seccomp`, which is most of a request otherwise. Its name means its
  /// contents, for good; its compiled program is kept beside it.
  public var seccompDocument: String?
  /// Of the terminal; 0 for unknown.
  public var rows: UInt16
  /// Of the terminal; 0 for unknown.
  public var columns: UInt16

  public init(
    id: String = "", spec: Spec = Spec(), root: RootFilesystem? = nil, user: String? = nil,
    additionalGroups: [String] = [], createWorkingDirectory: Bool = false, useInit: Bool = false,
    openStdin: Bool = false, stdinOnce: Bool = false, log: LogTarget? = nil, exitPath: String = "",
    socketPath: String = "", seccompCacheDirectory: String? = nil, seccompDocument: String? = nil, rows: UInt16 = 0,
    columns: UInt16 = 0
  ) {
    self.id = id
    self.spec = spec
    self.root = root
    self.user = user
    self.additionalGroups = additionalGroups
    self.createWorkingDirectory = createWorkingDirectory
    self.useInit = useInit
    self.openStdin = openStdin
    self.stdinOnce = stdinOnce
    self.log = log
    self.exitPath = exitPath
    self.socketPath = socketPath
    self.seccompCacheDirectory = seccompCacheDirectory
    self.seccompDocument = seccompDocument
    self.rows = rows
    self.columns = columns
  }

  public init() { self.init(id: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "id": try reader.read(&id)
    case "spec": try reader.read(&spec)
    case "root": try reader.read(&root)
    case "user": try reader.read(&user)
    case "additionalGroups": try reader.read(&additionalGroups)
    case "createWorkingDirectory": try reader.read(&createWorkingDirectory)
    case "useInit": try reader.read(&useInit)
    case "openStdin": try reader.read(&openStdin)
    case "stdinOnce": try reader.read(&stdinOnce)
    case "log": try reader.read(&log)
    case "exitPath": try reader.read(&exitPath)
    case "socketPath": try reader.read(&socketPath)
    case "seccompCacheDirectory": try reader.read(&seccompCacheDirectory)
    case "seccompDocument": try reader.read(&seccompDocument)
    case "rows": try reader.read(&rows)
    case "columns": try reader.read(&columns)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("id", id)
    writer.put("spec", spec)
    writer.putIfSet("root", root)
    writer.putIfSet("user", user)
    writer.putIfSet("additionalGroups", additionalGroups)
    writer.putIfSet("createWorkingDirectory", createWorkingDirectory)
    writer.putIfSet("useInit", useInit)
    writer.putIfSet("openStdin", openStdin)
    writer.putIfSet("stdinOnce", stdinOnce)
    writer.putIfSet("log", log)
    writer.put("exitPath", exitPath)
    writer.put("socketPath", socketPath)
    writer.putIfSet("seccompCacheDirectory", seccompCacheDirectory)
    writer.putIfSet("seccompDocument", seccompDocument)
    writer.putIfSet("rows", rows)
    writer.putIfSet("columns", columns)
  }
}

/// An overlay that becomes the root of a container.
public struct RootFilesystem: JSONObject, Equatable {
  /// Read-only directories, the top one first.
  public var lower: [String]
  /// The writable directory; the root is read-only where nil.
  public var upper: String?
  /// overlayfs's own, on the same file system as ``upper``.
  public var work: String?
  /// Nobody will want ``upper`` after the container's end: what is written to it need not reach the disk.
  public var isTemporary: Bool

  public init(lower: [String] = [], upper: String? = nil, work: String? = nil, isTemporary: Bool = false) {
    self.lower = lower
    self.upper = upper
    self.work = work
    self.isTemporary = isTemporary
  }

  public init() { self.init(lower: []) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "lower": try reader.read(&lower)
    case "upper": try reader.read(&upper)
    case "work": try reader.read(&work)
    case "isTemporary": try reader.read(&isTemporary)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("lower", lower)
    writer.putIfSet("upper", upper)
    writer.putIfSet("work", work)
    writer.putIfSet("isTemporary", isTemporary)
  }
}

/// The log file of a container, in Docker's json-file format.
public struct LogTarget: JSONObject, Equatable {
  public var path: String
  /// In bytes; the file is rotated before it grows beyond. 0 for no limit.
  public var maxSize: Int64
  /// How many files are kept, the current one included; 0 is as 1.
  public var maxFiles: Int

  public init(path: String = "", maxSize: Int64 = 0, maxFiles: Int = 0) {
    self.path = path
    self.maxSize = maxSize
    self.maxFiles = maxFiles
  }

  public init() { self.init(path: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "path": try reader.read(&path)
    case "maxSize": try reader.read(&maxSize)
    case "maxFiles": try reader.read(&maxFiles)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("path", path)
    writer.putIfSet("maxSize", maxSize)
    writer.putIfSet("maxFiles", maxFiles)
  }
}
