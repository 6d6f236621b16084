/// The configuration of a container: `config.json` of a bundle (OCI runtime specification 1.2, config.md).
public struct Spec: JSONObject, Equatable {
  /// The version of the specification the writer followed.
  public var ociVersion: String
  /// The first process; nil in a configuration that only creates.
  public var process: ProcessSpec?
  public var root: Root?
  public var hostname: String
  public var domainname: String
  /// In the order in which they are mounted.
  public var mounts: [MountSpec]
  public var hooks: Hooks?
  public var annotations: [String: String]
  public var linux: LinuxSection?

  public init(
    ociVersion: String = "1.2.0", process: ProcessSpec? = nil, root: Root? = nil, hostname: String = "",
    domainname: String = "", mounts: [MountSpec] = [], hooks: Hooks? = nil,
    annotations: [String: String] = [:], linux: LinuxSection? = nil
  ) {
    self.ociVersion = ociVersion
    self.process = process
    self.root = root
    self.hostname = hostname
    self.domainname = domainname
    self.mounts = mounts
    self.hooks = hooks
    self.annotations = annotations
    self.linux = linux
  }

  public init() { self.init(ociVersion: "1.2.0") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "ociVersion": try reader.read(&ociVersion)
    case "process": try reader.read(&process)
    case "root": try reader.read(&root)
    case "hostname": try reader.read(&hostname)
    case "domainname": try reader.read(&domainname)
    case "mounts": try reader.read(&mounts)
    case "hooks": try reader.read(&hooks)
    case "annotations": try reader.read(&annotations)
    case "linux": try reader.read(&linux)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("ociVersion", ociVersion)
    writer.putIfSet("process", process)
    writer.putIfSet("root", root)
    writer.putIfSet("hostname", hostname)
    writer.putIfSet("domainname", domainname)
    writer.putIfSet("mounts", mounts)
    writer.putIfSet("hooks", hooks)
    writer.putIfSet("annotations", annotations)
    writer.putIfSet("linux", linux)
  }
}

/// The root file system of a container (config.md, Root).
public struct Root: JSONObject, Equatable {
  /// Relative to the bundle unless absolute.
  public var path: String
  public var readonly: Bool

  public init(path: String = "", readonly: Bool = false) {
    self.path = path
    self.readonly = readonly
  }

  public init() { self.init(path: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "path": try reader.read(&path)
    case "readonly": try reader.read(&readonly)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("path", path)
    writer.putIfSet("readonly", readonly)
  }
}

/// Something mounted inside a container (config.md, Mounts).
public struct MountSpec: JSONObject, Equatable {
  /// Absolute, inside the container.
  public var destination: String
  /// A file system type; `bind` for bind mounts.
  public var type: String
  public var source: String
  /// As for fstab, with the names listed in the specification.
  public var options: [String]
  /// For an id-mapped mount.
  public var uidMappings: [LinuxIDMapping]
  /// For an id-mapped mount.
  public var gidMappings: [LinuxIDMapping]

  public init(
    destination: String = "", type: String = "", source: String = "", options: [String] = [],
    uidMappings: [LinuxIDMapping] = [], gidMappings: [LinuxIDMapping] = []
  ) {
    self.destination = destination
    self.type = type
    self.source = source
    self.options = options
    self.uidMappings = uidMappings
    self.gidMappings = gidMappings
  }

  public init() { self.init(destination: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "destination": try reader.read(&destination)
    case "type": try reader.read(&type)
    case "source": try reader.read(&source)
    case "options": try reader.read(&options)
    case "uidMappings": try reader.read(&uidMappings)
    case "gidMappings": try reader.read(&gidMappings)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("destination", destination)
    writer.putIfSet("type", type)
    writer.putIfSet("source", source)
    writer.putIfSet("options", options)
    writer.putIfSet("uidMappings", uidMappings)
    writer.putIfSet("gidMappings", gidMappings)
  }
}

/// Programs run at points of the life of a container (config.md, POSIX-platform Hooks).
public struct Hooks: JSONObject, Equatable {
  /// Deprecated by the specification in favour of `createRuntime`; still in wide use.
  public var prestart: [Hook]
  public var createRuntime: [Hook]
  public var createContainer: [Hook]
  public var startContainer: [Hook]
  public var poststart: [Hook]
  public var poststop: [Hook]

  public init(
    prestart: [Hook] = [], createRuntime: [Hook] = [], createContainer: [Hook] = [],
    startContainer: [Hook] = [], poststart: [Hook] = [], poststop: [Hook] = []
  ) {
    self.prestart = prestart
    self.createRuntime = createRuntime
    self.createContainer = createContainer
    self.startContainer = startContainer
    self.poststart = poststart
    self.poststop = poststop
  }

  public init() { self.init(prestart: []) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "prestart": try reader.read(&prestart)
    case "createRuntime": try reader.read(&createRuntime)
    case "createContainer": try reader.read(&createContainer)
    case "startContainer": try reader.read(&startContainer)
    case "poststart": try reader.read(&poststart)
    case "poststop": try reader.read(&poststop)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.putIfSet("prestart", prestart)
    writer.putIfSet("createRuntime", createRuntime)
    writer.putIfSet("createContainer", createContainer)
    writer.putIfSet("startContainer", startContainer)
    writer.putIfSet("poststart", poststart)
    writer.putIfSet("poststop", poststop)
  }
}

/// One program of ``Hooks``.
public struct Hook: JSONObject, Equatable {
  /// Absolute.
  public var path: String
  /// Including the name of the program itself.
  public var args: [String]
  /// Nil, as opposed to empty, is the runtime's own, as with other runtimes.
  public var env: [String]?
  /// In seconds.
  public var timeout: Int?

  public init(path: String = "", args: [String] = [], env: [String]? = nil, timeout: Int? = nil) {
    self.path = path
    self.args = args
    self.env = env
    self.timeout = timeout
  }

  public init() { self.init(path: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "path": try reader.read(&path)
    case "args": try reader.read(&args)
    case "env": try reader.read(&env)
    case "timeout": try reader.read(&timeout)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("path", path)
    writer.putIfSet("args", args)
    if let env { writer.put("env", env) }
    writer.putIfSet("timeout", timeout)
  }
}
