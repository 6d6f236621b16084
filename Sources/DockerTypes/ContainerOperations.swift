import FoundationEssentials

/// Body of `POST /containers/{id}/update`.
public struct ContainerUpdateRequest: WireValue, Equatable, Sendable {
  public var resources = ContainerResources()
  public var restartPolicy: RestartPolicyConfig?
  /// Ports to publish from now on, in the form of `HostConfig.PortBindings`. Docker does not have it.
  public var publishPorts: [String: [PortBindingConfig]?]?
  /// Published ports to withdraw, in the same form; what is empty matches any.
  public var unpublishPorts: [String: [PortBindingConfig]?]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case restartPolicy = "RestartPolicy"
    case publishPorts = "PublishPorts"
    case unpublishPorts = "UnpublishPorts"
  }

  public init(from decoder: any Decoder) throws {
    resources = try ContainerResources(from: decoder)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    restartPolicy = try fields.decodeIfPresent(RestartPolicyConfig.self, forKey: .restartPolicy)
    publishPorts = try fields.decodeIfPresent([String: [PortBindingConfig]?].self, forKey: .publishPorts)
    unpublishPorts = try fields.decodeIfPresent([String: [PortBindingConfig]?].self, forKey: .unpublishPorts)
  }

  public func encode(to encoder: any Encoder) throws {
    try resources.encode(to: encoder)
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encodeIfPresent(restartPolicy, forKey: .restartPolicy)
    try fields.encodeIfPresent(publishPorts, forKey: .publishPorts)
    try fields.encodeIfPresent(unpublishPorts, forKey: .unpublishPorts)
  }
}

/// Answer of `POST /containers/{id}/update`.
public struct ContainerUpdateResponse: WireValue, Equatable, Sendable {
  @Field public var warnings: [String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case warnings = "Warnings"
  }
}

/// Answer of `POST /containers/{id}/wait`.
public struct ContainerWaitResponse: WireValue, Equatable, Sendable {
  @Field public var statusCode: Int
  public var error: WaitError?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case statusCode = "StatusCode"
    case error = "Error"
  }
}

/// Why the wait itself failed.
public struct WaitError: WireValue, Equatable, Sendable {
  public var message: String?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case message = "Message"
  }
}

/// Answer of `GET /containers/{id}/top`.
public struct ContainerTop: WireValue, Equatable, Sendable {
  @Field public var titles: [String]
  @Field public var processes: [[String]]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case titles = "Titles"
    case processes = "Processes"
  }
}

/// One entry of `GET /containers/{id}/changes`.
public struct FilesystemChange: WireValue, Equatable, Sendable {
  @Field public var path: String
  /// 0 modified, 1 added, 2 deleted.
  @Field public var kind: Int

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case path = "Path"
    case kind = "Kind"
  }
}

/// Answer of `POST /containers/prune`.
public struct ContainersPruneReport: WireValue, Equatable, Sendable {
  @Field public var containersDeleted: [String]?
  @Field public var spaceReclaimed: Int

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case containersDeleted = "ContainersDeleted"
    case spaceReclaimed = "SpaceReclaimed"
  }
}

/// What `HEAD /containers/{id}/archive` tells, as base64 JSON in `X-Docker-Container-Path-Stat`.
public struct PathStatSummary: WireValue, Equatable, Sendable {
  @Field public var name: String
  @Field public var size: Int
  /// Go's `os.FileMode` bits.
  @Field public var mode: UInt32
  @Field public var mtime: String
  @Field public var linkTarget: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name, size, mode, mtime, linkTarget
  }
}

/// Body of `POST /containers/{id}/exec`.
public struct ExecCreateRequest: WireValue, Equatable, Sendable {
  @Field public var user: String
  @Field public var privileged: Bool
  @Field public var tty: Bool
  /// Rows, columns.
  @Field public var consoleSize: [Int]?
  @Field public var attachStdin: Bool
  @Field public var attachStderr: Bool
  @Field public var attachStdout: Bool
  @Field public var detach: Bool
  @Field public var detachKeys: String
  @Field public var env: [String]?
  @Field public var workingDir: String
  @Field public var cmd: StringList?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case user = "User"
    case privileged = "Privileged"
    case tty = "Tty"
    case consoleSize = "ConsoleSize"
    case attachStdin = "AttachStdin"
    case attachStderr = "AttachStderr"
    case attachStdout = "AttachStdout"
    case detach = "Detach"
    case detachKeys = "DetachKeys"
    case env = "Env"
    case workingDir = "WorkingDir"
    case cmd = "Cmd"
  }
}

/// An answer that is only an ID (exec, commit).
public struct IDResponse: WireValue, Equatable, Sendable {
  @Field public var id: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "Id"
  }
}

/// Body of `POST /exec/{id}/start`.
public struct ExecStartRequest: WireValue, Equatable, Sendable {
  @Field public var detach: Bool
  @Field public var tty: Bool
  @Field public var consoleSize: [Int]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case detach = "Detach"
    case tty = "Tty"
    case consoleSize = "ConsoleSize"
  }
}

/// Answer of `GET /exec/{id}/json`.
public struct ExecInspect: WireValue, Equatable, Sendable {
  @Field public var id: String
  @Field public var running: Bool
  @Field public var exitCode: Int?
  @Field public var processConfig: ExecProcessConfig
  @Field public var openStdin: Bool
  @Field public var openStderr: Bool
  @Field public var openStdout: Bool
  @Field public var canRemove: Bool
  @Field public var containerID: String
  @Field public var detachKeys: String
  @Field public var pid: Int

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "ID"
    case running = "Running"
    case exitCode = "ExitCode"
    case processConfig = "ProcessConfig"
    case openStdin = "OpenStdin"
    case openStderr = "OpenStderr"
    case openStdout = "OpenStdout"
    case canRemove = "CanRemove"
    case containerID = "ContainerID"
    case detachKeys = "DetachKeys"
    case pid = "Pid"
  }
}

/// What an exec runs.
public struct ExecProcessConfig: WireValue, Equatable, Sendable {
  @Field public var tty: Bool
  @Field public var entrypoint: String
  @Field public var arguments: [String]
  @Field public var privileged: Bool?
  public var user: String?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case tty, entrypoint, arguments, privileged, user
  }
}
