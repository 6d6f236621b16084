/// Where an engine's files are. Names are short on purpose: a socket's path must fit 108 bytes.
public struct EnginePaths: Sendable {
  public let root: String
  public let runDirectory: String

  public init(_ configuration: EngineConfiguration) {
    root = configuration.root
    runDirectory = configuration.runDirectory
  }

  public var database: String { root + "/apus.db" }
  public var identity: String { root + "/identity" }
  public var instances: String { root + "/instances" }
  public var content: String { root + "/content" }
  public var layers: String { root + "/layers" }
  public var volumes: String { root + "/volumes" }
  /// Held locked by the daemon that uses this root.
  public var lock: String { root + "/lock" }
  /// What was renamed here is deleted in the background, and at the next start.
  public var trash: String { root + "/trash" }
  /// Compiled system call filters.
  public var seccompCache: String { runDirectory + "/seccomp" }
  public var runInstances: String { runDirectory + "/instances" }

  public func instance(_ id: String) -> InstancePaths { InstancePaths(engine: self, id: id) }
}

/// Where one instance's files are.
public struct InstancePaths: Sendable {
  public let directory: String
  public let runDirectory: String

  init(engine: EnginePaths, id: String) {
    directory = engine.instances + "/" + id
    runDirectory = engine.runInstances + "/" + id
  }

  /// The writable layer (overlay upper directory) and overlay's own working directory.
  public var upper: String { directory + "/upper" }
  public var work: String { directory + "/work" }
  /// json-file lines; rotated files are `log.1`, `log.2`, …
  public var log: String { directory + "/log" }
  /// Written by the shim when the first process has ended: `{"exitCode","oomKilled","finishedAt"}`.
  public var exit: String { directory + "/exit" }

  public var socket: String { runDirectory + "/shim.sock" }
  public var hostname: String { runDirectory + "/hostname" }
  public var hosts: String { runDirectory + "/hosts" }
  public var resolvConf: String { runDirectory + "/resolv.conf" }
}
