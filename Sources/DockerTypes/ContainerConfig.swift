import FoundationEssentials

/// The portable half of a container's settings (`Config` of `GET /containers/{id}/json`, top level of `POST /containers/create`).
public struct ContainerConfig: WireValue, Equatable, Sendable {
  @Field public var hostname: String
  @Field public var domainname: String
  @Field public var user: String
  @Field public var attachStdin: Bool
  @Field public var attachStdout: Bool
  @Field public var attachStderr: Bool
  /// `80/tcp` and the like.
  public var exposedPorts: [String: EmptyObject]?
  @Field public var tty: Bool
  @Field public var openStdin: Bool
  @Field public var stdinOnce: Bool
  /// `NAME=value`; `NAME` alone removes one that the image sets.
  @Field public var env: [String]?
  @Field public var cmd: StringList?
  public var healthcheck: HealthcheckConfig?
  public var argsEscaped: Bool?
  /// As the user wrote it.
  @Field public var image: String
  @Field public var volumes: [String: EmptyObject]?
  @Field public var workingDir: String
  @Field public var entrypoint: StringList?
  public var networkDisabled: Bool?
  public var macAddress: String?
  @Field public var onBuild: [String]?
  @Field public var labels: [String: String]?
  public var stopSignal: String?
  /// Seconds.
  public var stopTimeout: Int?
  public var shell: [String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case hostname = "Hostname"
    case domainname = "Domainname"
    case user = "User"
    case attachStdin = "AttachStdin"
    case attachStdout = "AttachStdout"
    case attachStderr = "AttachStderr"
    case exposedPorts = "ExposedPorts"
    case tty = "Tty"
    case openStdin = "OpenStdin"
    case stdinOnce = "StdinOnce"
    case env = "Env"
    case cmd = "Cmd"
    case healthcheck = "Healthcheck"
    case argsEscaped = "ArgsEscaped"
    case image = "Image"
    case volumes = "Volumes"
    case workingDir = "WorkingDir"
    case entrypoint = "Entrypoint"
    case networkDisabled = "NetworkDisabled"
    case macAddress = "MacAddress"
    case onBuild = "OnBuild"
    case labels = "Labels"
    case stopSignal = "StopSignal"
    case stopTimeout = "StopTimeout"
    case shell = "Shell"
  }
}

/// How to find out whether a container is healthy; times in nanoseconds, 0 inherits.
public struct HealthcheckConfig: WireValue, Equatable, Sendable {
  /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", "…"]`.
  public var test: [String]?
  public var interval: Int?
  public var timeout: Int?
  public var startPeriod: Int?
  public var startInterval: Int?
  public var retries: Int?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case test = "Test"
    case interval = "Interval"
    case timeout = "Timeout"
    case startPeriod = "StartPeriod"
    case startInterval = "StartInterval"
    case retries = "Retries"
  }
}

/// Body of `POST /containers/create`.
public struct ContainerCreateRequest: WireValue, Equatable, Sendable {
  public var config = ContainerConfig()
  public var hostConfig: HostConfig?
  public var networkingConfig: NetworkingConfig?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case hostConfig = "HostConfig"
    case networkingConfig = "NetworkingConfig"
  }

  public init(from decoder: any Decoder) throws {
    config = try ContainerConfig(from: decoder)
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    hostConfig = try fields.decodeIfPresent(HostConfig.self, forKey: .hostConfig)
    networkingConfig = try fields.decodeIfPresent(NetworkingConfig.self, forKey: .networkingConfig)
  }

  public func encode(to encoder: any Encoder) throws {
    try config.encode(to: encoder)
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encodeIfPresent(hostConfig, forKey: .hostConfig)
    try fields.encodeIfPresent(networkingConfig, forKey: .networkingConfig)
  }
}

/// Answer of `POST /containers/create`.
public struct ContainerCreateResponse: WireValue, Equatable, Sendable {
  @Field public var id: String
  @Field public var warnings: [String]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "Id"
    case warnings = "Warnings"
  }
}

/// Networks to connect to at creation, by name.
public struct NetworkingConfig: WireValue, Equatable, Sendable {
  @Field public var endpointsConfig: [String: EndpointSettings?]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case endpointsConfig = "EndpointsConfig"
  }
}
