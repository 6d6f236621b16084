import Errors

/// The configuration of an image: how to run it, and the diff IDs of its layers (OCI image-spec, "Image Configuration",
/// with Docker's additions). Its digest is the image's ID.
public struct ImageConfiguration: Hashable, ImageDocument {
  public static let documentName = "image configuration"
  /// RFC 3339, as written; see ``RFC3339/date(_:)``.
  public var created: String?
  public var author: String?
  public var architecture: String
  public var os: String
  public var variant: String?
  public var osVersion: String?
  public var osFeatures: [String]?
  public var config: Config
  public var rootfs: RootFilesystem
  public var history: [History]
  public var dockerVersion: String?
  /// The container it was committed from.
  public var container: String?
  public var comment: String?

  enum CodingKeys: String, CodingKey {
    case created, author, architecture, os, variant, config, rootfs, history, container, comment
    case osVersion = "os.version"
    case osFeatures = "os.features"
    case dockerVersion = "docker_version"
  }

  public init(
    created: String? = nil, author: String? = nil, platform: Platform = .host, config: Config = Config(),
    diffIDs: [Digest] = [], history: [History] = []
  ) {
    self.created = created
    self.author = author
    architecture = platform.architecture
    os = platform.os
    variant = platform.variant
    osVersion = platform.osVersion
    osFeatures = platform.osFeatures
    self.config = config
    rootfs = RootFilesystem(diffIDs: diffIDs)
    self.history = history
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    created = try container.decodeIfPresent(String.self, forKey: .created)
    author = try container.decodeIfPresent(String.self, forKey: .author)
    architecture = try container.decodeIfPresent(String.self, forKey: .architecture) ?? ""
    os = try container.decodeIfPresent(String.self, forKey: .os) ?? ""
    variant = try container.decodeIfPresent(String.self, forKey: .variant)
    osVersion = try container.decodeIfPresent(String.self, forKey: .osVersion)
    osFeatures = try container.decodeIfPresent([String].self, forKey: .osFeatures)
    config = try container.decodeIfPresent(Config.self, forKey: .config) ?? Config()
    rootfs = try container.decodeIfPresent(RootFilesystem.self, forKey: .rootfs) ?? RootFilesystem(diffIDs: [])
    history = try container.decodeIfPresent([History].self, forKey: .history) ?? []
    dockerVersion = try container.decodeIfPresent(String.self, forKey: .dockerVersion)
    self.container = try container.decodeIfPresent(String.self, forKey: .container)
    comment = try container.decodeIfPresent(String.self, forKey: .comment)
  }

  public var platform: Platform {
    Platform(architecture: architecture, os: os, variant: variant, osVersion: osVersion, osFeatures: osFeatures)
  }

  public struct RootFilesystem: Hashable, Sendable, Codable {
    /// Always `layers`.
    public var type: String
    /// Digests of the uncompressed layers, lowest first.
    public var diffIDs: [Digest]
    enum CodingKeys: String, CodingKey {
      case type
      case diffIDs = "diff_ids"
    }
    public init(diffIDs: [Digest]) {
      type = "layers"
      self.diffIDs = diffIDs
    }
    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      type = try container.decodeIfPresent(String.self, forKey: .type) ?? "layers"
      diffIDs = try container.decodeIfPresent([Digest].self, forKey: .diffIDs) ?? []
    }
  }

  /// One step of how the image came to be.
  public struct History: Hashable, Sendable, Codable {
    public var created: String?
    public var createdBy: String?
    public var author: String?
    public var comment: String?
    /// The step made no layer.
    public var emptyLayer: Bool?
    enum CodingKeys: String, CodingKey {
      case created, author, comment
      case createdBy = "created_by"
      case emptyLayer = "empty_layer"
    }
    public init(
      created: String? = nil, createdBy: String? = nil, author: String? = nil, comment: String? = nil,
      emptyLayer: Bool? = nil
    ) {
      self.created = created
      self.createdBy = createdBy
      self.author = author
      self.comment = comment
      self.emptyLayer = emptyLayer
    }
  }

  /// Docker's health check. Times in nanoseconds; 0 is "inherit".
  public struct HealthCheck: Hashable, Sendable, Codable {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", "…"]`, or empty.
    public var test: [String]?
    public var interval: Int64?
    public var timeout: Int64?
    public var startPeriod: Int64?
    public var startInterval: Int64?
    public var retries: Int?
    enum CodingKeys: String, CodingKey {
      case test = "Test"
      case interval = "Interval"
      case timeout = "Timeout"
      case startPeriod = "StartPeriod"
      case startInterval = "StartInterval"
      case retries = "Retries"
    }
    public init(
      test: [String]? = nil, interval: Int64? = nil, timeout: Int64? = nil, startPeriod: Int64? = nil,
      startInterval: Int64? = nil, retries: Int? = nil
    ) {
      self.test = test
      self.interval = interval
      self.timeout = timeout
      self.startPeriod = startPeriod
      self.startInterval = startInterval
      self.retries = retries
    }
  }

  /// Defaults for running the image. nil: not set by the image.
  public struct Config: Hashable, Sendable, Codable {
    public var user: String?
    /// `80/tcp`, sorted.
    public var exposedPorts: [String]?
    public var env: [String]?
    public var entrypoint: [String]?
    public var cmd: [String]?
    /// Paths, sorted.
    public var volumes: [String]?
    public var workingDir: String?
    public var labels: [String: String]?
    public var stopSignal: String?
    public var healthcheck: HealthCheck?
    public var shell: [String]?
    public var onBuild: [String]?
    public var argsEscaped: Bool?

    enum CodingKeys: String, CodingKey {
      case user = "User"
      case exposedPorts = "ExposedPorts"
      case env = "Env"
      case entrypoint = "Entrypoint"
      case cmd = "Cmd"
      case volumes = "Volumes"
      case workingDir = "WorkingDir"
      case labels = "Labels"
      case stopSignal = "StopSignal"
      case healthcheck = "Healthcheck"
      case shell = "Shell"
      case onBuild = "OnBuild"
      case argsEscaped = "ArgsEscaped"
    }

    private struct Empty: Codable {}

    public init() {}

    public init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      func keys(_ key: CodingKeys) throws -> [String]? {
        try container.decodeIfPresent([String: Empty?].self, forKey: key).map { $0.keys.sorted() }
      }
      // Old builders wrote a command as one string.
      func command(_ key: CodingKeys) throws -> [String]? {
        if let text = try? container.decodeIfPresent(String.self, forKey: key) { return [text] }
        return try container.decodeIfPresent([String].self, forKey: key)
      }
      user = try container.decodeIfPresent(String.self, forKey: .user)
      exposedPorts = try keys(.exposedPorts)
      env = try container.decodeIfPresent([String].self, forKey: .env)
      entrypoint = try command(.entrypoint)
      cmd = try command(.cmd)
      volumes = try keys(.volumes)
      workingDir = try container.decodeIfPresent(String.self, forKey: .workingDir)
      labels = try container.decodeIfPresent([String: String].self, forKey: .labels)
      stopSignal = try container.decodeIfPresent(String.self, forKey: .stopSignal)
      healthcheck = try container.decodeIfPresent(HealthCheck.self, forKey: .healthcheck)
      shell = try container.decodeIfPresent([String].self, forKey: .shell)
      onBuild = try container.decodeIfPresent([String].self, forKey: .onBuild)
      argsEscaped = try container.decodeIfPresent(Bool.self, forKey: .argsEscaped)
    }

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      func set(_ names: [String]?) -> [String: Empty]? {
        names.map { Dictionary($0.map { ($0, Empty()) }, uniquingKeysWith: { first, _ in first }) }
      }
      try container.encodeIfPresent(user, forKey: .user)
      try container.encodeIfPresent(set(exposedPorts), forKey: .exposedPorts)
      try container.encodeIfPresent(env, forKey: .env)
      try container.encodeIfPresent(entrypoint, forKey: .entrypoint)
      try container.encodeIfPresent(cmd, forKey: .cmd)
      try container.encodeIfPresent(set(volumes), forKey: .volumes)
      try container.encodeIfPresent(workingDir, forKey: .workingDir)
      try container.encodeIfPresent(labels, forKey: .labels)
      try container.encodeIfPresent(stopSignal, forKey: .stopSignal)
      try container.encodeIfPresent(healthcheck, forKey: .healthcheck)
      try container.encodeIfPresent(shell, forKey: .shell)
      try container.encodeIfPresent(onBuild, forKey: .onBuild)
      try container.encodeIfPresent(argsEscaped, forKey: .argsEscaped)
    }
  }
}
