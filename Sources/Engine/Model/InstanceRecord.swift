import FoundationEssentials
import ImageSpec
import Networking

public enum InstanceStatus: String, Sendable, Codable {
  case created, running, paused, restarting, removing, exited, dead
}

/// What an instance is now. A value: a copy taken at one moment.
public struct InstanceRecord: Sendable, Codable {
  /// 64 lower-case hex digits.
  public var id: String
  /// Without Docker's leading slash.
  public var name: String
  public var created: Date
  public var configuration: InstanceConfiguration
  /// The image's config digest: its ID.
  public var imageID: Digest
  /// What the image and the request came to: argv, environment, directory, user.
  public var resolved: ResolvedProcess
  /// Diff IDs of the image's layers, lowest first.
  public var layers: [Digest]
  /// Volumes and binds as they were mounted.
  public var mounts: [ResolvedMount] = []
  public var state = InstanceState()
  public init(
    id: String, name: String, created: Date, configuration: InstanceConfiguration, imageID: Digest,
    resolved: ResolvedProcess, layers: [Digest]
  ) {
    self.id = id
    self.name = name
    self.created = created
    self.configuration = configuration
    self.imageID = imageID
    self.resolved = resolved
    self.layers = layers
  }
}

public struct ResolvedProcess: Sendable, Codable, Equatable {
  /// entrypoint + command; the first is the program.
  public var arguments: [String] = []
  public var entrypoint: [String]?
  public var command: [String]?
  public var environment: [String] = []
  public var workingDirectory = "/"
  public var user = ""
  public var labels: [String: String] = [:]
  public var exposedPorts: [String] = []
  public var volumes: [String] = []
  public var stopSignal: String?
  public var healthCheck: HealthCheckConfiguration?
  public var shell: [String]?
  public init() {}
}

public struct ResolvedMount: Sendable, Codable, Equatable {
  public var kind: MountConfiguration.Kind
  /// Volume name, or empty.
  public var name: String
  /// Path on the host; empty for tmpfs.
  public var source: String
  public var target: String
  public var readOnly: Bool
  public var propagation: String
  /// An anonymous volume goes with its instance (`rm -v`, `--rm`).
  public var anonymous: Bool
  public var driver: String
  public init(
    kind: MountConfiguration.Kind, name: String, source: String, target: String, readOnly: Bool, propagation: String,
    anonymous: Bool, driver: String
  ) {
    self.kind = kind
    self.name = name
    self.source = source
    self.target = target
    self.readOnly = readOnly
    self.propagation = propagation
    self.anonymous = anonymous
    self.driver = driver
  }
}

public struct InstanceState: Sendable, Codable {
  public var status: InstanceStatus = .created
  /// Of the first process, on the host; 0 when not running.
  public var pid: Int32 = 0
  /// Of the shim; with its start time (clock ticks since boot, /proc/PID/stat field 22), for reuse of a pid is not it.
  public var shimPID: Int32 = 0
  public var shimStartTime: UInt64 = 0
  public var exitCode: Int32 = 0
  public var oomKilled = false
  public var dead = false
  /// The sentence of the last failed start, or empty.
  public var error = ""
  public var startedAt: Date?
  public var finishedAt: Date?
  public var restartCount = 0
  /// The user stopped it: `unless-stopped` does not start it again.
  public var stoppedByUser = false
  public var health: HealthState?
  /// Where it is plugged while it runs, the one with the default route first.
  public var endpoints: [AttachedEndpoint] = []
  /// What is published while it runs.
  public var ports: [PublishedPort] = []
  public init() {}
}

public struct HealthState: Sendable, Codable {
  public enum Status: String, Sendable, Codable { case none, starting, healthy, unhealthy }
  public struct Probe: Sendable, Codable {
    public var start: Date
    public var end: Date
    public var exitCode: Int32
    /// At most 4,096 bytes.
    public var output: String
    public init(start: Date, end: Date, exitCode: Int32, output: String) {
      self.start = start
      self.end = end
      self.exitCode = exitCode
      self.output = output
    }
  }
  public var status: Status = .starting
  public var failingStreak = 0
  /// The last five.
  public var log: [Probe] = []
  public init() {}
}

public struct ExitResult: Sendable {
  public var exitCode: Int32
  public var error: String
  public init(exitCode: Int32, error: String = "") {
    self.exitCode = exitCode
    self.error = error
  }
}

/// Something that happened; the engine's vocabulary is Docker's (`GET /events`).
public struct EngineEvent: Sendable, Codable {
  /// `container`, `image`, `volume`, `network`, `daemon`.
  public var kind: String
  /// `create`, `start`, `die`, `exec_start: sh`, …
  public var action: String
  public var subject: String
  public var attributes: [String: String]
  public var time: Date
  public init(kind: String, action: String, subject: String, attributes: [String: String], time: Date) {
    self.kind = kind
    self.action = action
    self.subject = subject
    self.attributes = attributes
    self.time = time
  }
}
