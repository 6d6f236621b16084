/// From which memory nodes a container's memory comes (config-linux.md, Memory policy).
public struct LinuxMemoryPolicy: JSONObject, Equatable {
  /// Such as `MPOL_INTERLEAVE`.
  public var mode: String
  /// A list such as `0-3,7`.
  public var nodes: String
  /// Such as `MPOL_F_STATIC_NODES`.
  public var flags: [String]

  public init(mode: String = "", nodes: String = "", flags: [String] = []) {
    self.mode = mode
    self.nodes = nodes
    self.flags = flags
  }

  public init() { self.init(mode: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "mode": try reader.read(&mode)
    case "nodes": try reader.read(&nodes)
    case "flags": try reader.read(&flags)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("mode", mode)
    writer.putIfSet("nodes", nodes)
    writer.putIfSet("flags", flags)
  }
}

/// A network device of the host that moves into a container (config-linux.md, Network Devices).
public struct LinuxNetDevice: JSONObject, Equatable {
  /// Its name inside; empty to keep it.
  public var name: String

  public init(name: String = "") { self.name = name }

  public init() { self.init(name: "") }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    guard member == "name" else { return false }
    try reader.read(&name)
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) { writer.putIfSet("name", name) }
}

/// What a seccomp agent is told along with the listener (config-linux.md, The Container Process State).
public struct ContainerProcessState: JSONObject, Equatable {
  public var ociVersion: String
  /// Names of the descriptors that come along.
  public var fds: [String]
  /// As the runtime numbers it.
  public var pid: Int32
  public var metadata: String
  public var state: ContainerState

  public init(
    ociVersion: String = "1.2.0", fds: [String] = ["seccompFd"], pid: Int32 = 0, metadata: String = "",
    state: ContainerState = ContainerState()
  ) {
    self.ociVersion = ociVersion
    self.fds = fds
    self.pid = pid
    self.metadata = metadata
    self.state = state
  }

  public init() { self.init(pid: 0) }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "ociVersion": try reader.read(&ociVersion)
    case "fds": try reader.read(&fds)
    case "pid": try reader.read(&pid)
    case "metadata": try reader.read(&metadata)
    case "state": try reader.read(&state)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("ociVersion", ociVersion)
    writer.put("fds", fds)
    writer.put("pid", pid)
    writer.put("metadata", metadata)
    writer.put("state", state)
  }
}
