import FoundationEssentials
import ImageSpec

/// Where an instance's processes run.
public enum Isolation: String, Sendable, Codable { case container, vm }

/// What a user asked for: everything needed to make an instance again, and nothing that only its life knows.
///
/// Stored as JSON in the state database. Optional means "as the image says, else the default".
public struct InstanceConfiguration: Sendable, Codable, Equatable {
  public var isolation: Isolation = .container
  /// The reference as the user wrote it (`debian:12`).
  public var image: String = ""
  public var process = ProcessConfiguration()
  public var hostname: String?
  public var domainname: String?
  public var labels: [String: String] = [:]
  /// `SIGTERM`, `15`, …; nil: the image's, else SIGTERM.
  public var stopSignal: String?
  /// Grace before SIGKILL in seconds; nil: 10. −1: wait for ever.
  public var stopTimeout: Int?
  public var healthCheck: HealthCheckConfiguration?
  public var restartPolicy = RestartPolicy()
  public var removeOnExit = false
  public var resources = Resources()
  public var security = SecurityConfiguration()
  public var namespaces = NamespaceConfiguration()
  public var network = NetworkConfiguration()
  public var mounts: [MountConfiguration] = []
  /// Instances (names or ids, `:ro`/`:rw` allowed) whose volumes are mounted too.
  public var volumesFrom: [String] = []
  public var devices: [DeviceMapping] = []
  public var deviceCgroupRules: [String] = []
  public var log = LogConfiguration()
  /// Kernel parameters, in the container's own namespaces only.
  public var sysctls: [String: String] = [:]
  public var annotations: [String: String] = [:]
  /// Size of /dev/shm in bytes; nil: 64 MiB.
  public var shmSize: Int64?
  /// A small init as PID 1 that reaps and forwards signals.
  public var useInit = false
  /// What an API needs to give back as it was given (Docker's `HostConfig` oddities); opaque to the engine.
  public var clientData: [String: String] = [:]
  public init() {}
}

/// The first process. nil fields take the image's value.
public struct ProcessConfiguration: Sendable, Codable, Equatable {
  public var entrypoint: [String]?
  public var command: [String]?
  /// `NAME=value`; `NAME` alone removes one that the image sets.
  public var environment: [String] = []
  public var workingDirectory: String?
  /// `user`, `uid`, `user:group`, `uid:gid`; resolved in the image's own passwd and group.
  public var user: String?
  /// Supplementary groups, names or numbers.
  public var groups: [String] = []
  public var terminal = false
  /// Initial terminal size.
  public var terminalSize: TerminalSize?
  public var openStdin = false
  /// Close stdin when the first attached client goes.
  public var stdinOnce = false
  public var attachStdin = false
  public var attachStdout = false
  public var attachStderr = false
  public init() {}
}

public struct TerminalSize: Sendable, Codable, Equatable {
  public var rows: UInt16
  public var columns: UInt16
  public init(rows: UInt16, columns: UInt16) { self.rows = rows; self.columns = columns }
}

public struct HealthCheckConfiguration: Sendable, Codable, Equatable {
  /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", "…"]`; empty: inherit the image's.
  public var test: [String] = []
  /// Nanoseconds; 0: inherit, else 30 s / 30 s / 0 / 5 s.
  public var interval: Int64 = 0
  public var timeout: Int64 = 0
  public var startPeriod: Int64 = 0
  public var startInterval: Int64 = 0
  /// 0: inherit, else 3.
  public var retries: Int = 0
  public init() {}
}

public struct RestartPolicy: Sendable, Codable, Equatable {
  public enum Condition: String, Sendable, Codable {
    case no, always, unlessStopped = "unless-stopped", onFailure = "on-failure"
  }
  public var condition: Condition = .no
  /// For `.onFailure`; 0: no limit.
  public var maximumRetries = 0
  public init(_ condition: Condition = .no, maximumRetries: Int = 0) {
    self.condition = condition
    self.maximumRetries = maximumRetries
  }
}

/// Limits. nil or 0: none.
public struct Resources: Sendable, Codable, Equatable {
  /// Bytes.
  public var memory: Int64?
  /// Memory plus swap in bytes; −1: unlimited swap.
  public var memorySwap: Int64?
  public var memoryReservation: Int64?
  public var memorySwappiness: Int64?
  public var oomKillDisable: Bool?
  public var oomScoreAdj: Int?
  /// Billionths of a CPU.
  public var nanoCPUs: Int64?
  public var cpuShares: Int64?
  /// Microseconds.
  public var cpuPeriod: Int64?
  public var cpuQuota: Int64?
  public var cpuRealtimePeriod: Int64?
  public var cpuRealtimeRuntime: Int64?
  public var cpusetCPUs: String?
  public var cpusetMems: String?
  /// 0 or −1: unlimited.
  public var pidsLimit: Int64?
  public var blkioWeight: UInt16?
  public var blkioWeightDevices: [DeviceRate] = []
  public var blkioReadBps: [DeviceRate] = []
  public var blkioWriteBps: [DeviceRate] = []
  public var blkioReadIOPS: [DeviceRate] = []
  public var blkioWriteIOPS: [DeviceRate] = []
  public var ulimits: [Ulimit] = []
  public var cgroupParent: String?
  public init() {}
}

/// A rate or weight of one block device.
public struct DeviceRate: Sendable, Codable, Equatable {
  public var path: String
  public var rate: UInt64
  public init(path: String, rate: UInt64) { self.path = path; self.rate = rate }
}

public struct Ulimit: Sendable, Codable, Equatable {
  /// Without the prefix and in lower case: `nofile`.
  public var name: String
  public var soft: Int64
  public var hard: Int64
  public init(name: String, soft: Int64, hard: Int64) { self.name = name; self.soft = soft; self.hard = hard }
}

public struct SecurityConfiguration: Sendable, Codable, Equatable {
  public var privileged = false
  /// With or without `CAP_`, any case; `ALL` is all.
  public var addCapabilities: [String] = []
  public var dropCapabilities: [String] = []
  public var readOnlyRoot = false
  public var noNewPrivileges = false
  /// nil: the default profile; `unconfined`; else the profile's JSON (Docker's or OCI's form).
  public var seccomp: String?
  public var appArmorProfile: String?
  public var selinuxOptions: [String] = []
  /// nil: the defaults; empty: none (`systempaths=unconfined`).
  public var maskedPaths: [String]?
  public var readOnlyPaths: [String]?
  public init() {}
}

/// Which namespaces are shared. nil: a private one. `host`, `container:<id>`, `shareable`, `none` as the field knows them.
public struct NamespaceConfiguration: Sendable, Codable, Equatable {
  public var pid: String?
  public var ipc: String?
  public var uts: String?
  public var cgroup: String?
  public var user: String?
  public init() {}
}

/// The networks an instance is in, what it publishes, and what its resolver files say.
public struct NetworkConfiguration: Sendable, Codable, Equatable {
  /// `default` (the network `bridge`), `none`, `host`, `container:<id>`, or the name or id of a network: the one it has
  /// first, and whose gateway is its default route unless a priority says otherwise.
  public var mode: String = "default"
  /// How it is to be in its networks: that of ``mode`` need not be named here. Without effect for `none`, `host` and
  /// `container:`.
  public var endpoints: [EndpointConfiguration] = []
  /// What is published while it runs.
  public var ports: [PortBinding] = []
  /// Publishes every exposed port, each at any free port of the host.
  public var publishAll = false
  /// `instance:alias`, for the default network; those of other networks are in ``endpoints``.
  public var links: [String] = []
  /// `name:address`, for /etc/hosts.
  public var extraHosts: [String] = []
  public var dns: [String] = []
  public var dnsSearch: [String] = []
  public var dnsOptions: [String] = []
  public var disabled = false
  /// `80/tcp`; what the image exposes is added.
  public var exposedPorts: [String] = []
  public init() {}
}

public struct MountConfiguration: Sendable, Codable, Equatable {
  public enum Kind: String, Sendable, Codable { case bind, volume, tmpfs }
  public var kind: Kind
  /// Host path, or volume name (empty: an anonymous volume); unused for tmpfs.
  public var source: String
  public var target: String
  public var readOnly = false
  /// `rprivate`, `rslave`, …; nil: rprivate.
  public var propagation: String?
  /// Make a missing bind source (the `-v` form) instead of failing (the `--mount` form).
  public var createSource = false
  public var nonRecursive = false
  /// Volumes: do not copy the image's content into an empty one.
  public var noCopy = false
  public var subpath: String?
  public var volumeDriver: String?
  public var volumeOptions: [String: String] = [:]
  public var volumeLabels: [String: String] = [:]
  /// tmpfs: bytes, permission bits, and verbatim options (`--tmpfs /t:size=1m,noexec`).
  public var tmpfsSize: Int64?
  public var tmpfsMode: Int?
  public var options: [String] = []
  public init(_ kind: Kind, source: String = "", target: String) {
    self.kind = kind
    self.source = source
    self.target = target
  }
}

public struct DeviceMapping: Sendable, Codable, Equatable {
  public var hostPath: String
  public var containerPath: String
  /// Any of `rwm`.
  public var permissions: String
  public init(hostPath: String, containerPath: String, permissions: String = "rwm") {
    self.hostPath = hostPath
    self.containerPath = containerPath
    self.permissions = permissions
  }
}

public struct LogConfiguration: Sendable, Codable, Equatable {
  /// `json-file`, `local` (the same file) or `none`.
  public var driver = "json-file"
  /// `max-size` (10m), `max-file` (3), … as given.
  public var options: [String: String] = [:]
  public init() {}
}
