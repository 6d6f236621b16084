import FoundationEssentials

/// Body of every answer with a status of 400 and more.
public struct ErrorResponse: WireValue, Equatable, Sendable {
  @Field public var message: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case message
  }
}

/// Answer of `GET /version`.
public struct SystemVersion: WireValue, Equatable, Sendable {
  @Field public var platform: PlatformName
  @Field public var components: [VersionComponent]
  @Field public var version: String
  @Field public var apiVersion: String
  @Field public var minAPIVersion: String
  @Field public var gitCommit: String
  @Field public var goVersion: String
  @Field public var os: String
  @Field public var arch: String
  @Field public var kernelVersion: String
  public var experimental: Bool?
  public var buildTime: String?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case platform = "Platform"
    case components = "Components"
    case version = "Version"
    case apiVersion = "ApiVersion"
    case minAPIVersion = "MinAPIVersion"
    case gitCommit = "GitCommit"
    case goVersion = "GoVersion"
    case os = "Os"
    case arch = "Arch"
    case kernelVersion = "KernelVersion"
    case experimental = "Experimental"
    case buildTime = "BuildTime"
  }
}

/// The product.
public struct PlatformName: WireValue, Equatable, Sendable {
  @Field public var name: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
  }
}

/// One part of the product.
public struct VersionComponent: WireValue, Equatable, Sendable {
  @Field public var name: String
  @Field public var version: String
  @Field public var details: [String: String]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
    case version = "Version"
    case details = "Details"
  }
}

/// One line of `GET /events`.
public struct EventMessage: WireValue, Equatable, Sendable {
  public var status: String?
  public var id: String?
  public var from: String?
  @Field public var type: String
  @Field public var action: String
  @Field public var actor: EventActor
  public var scope: String?
  /// Seconds since 1970.
  @Field public var time: Int
  @Field public var timeNano: Int

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case status, id, from, scope, time, timeNano
    case type = "Type"
    case action = "Action"
    case actor = "Actor"
  }
}

/// Whom an event is about.
public struct EventActor: WireValue, Equatable, Sendable {
  @Field public var id: String
  @Field public var attributes: [String: String]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "ID"
    case attributes = "Attributes"
  }
}

/// Answer of `GET /system/df`.
public struct DiskUsage: WireValue, Equatable, Sendable {
  @Field public var layersSize: Int
  public var imageUsage: ImagesDiskUsage?
  @Field public var images: [ImageSummary]?
  @Field public var containers: [ContainerSummary]?
  @Field public var volumes: [VolumeSummary]?
  @Field public var buildCache: [EmptyObject]?
  /// Only before API 1.44.
  public var builderSize: Int?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case layersSize = "LayersSize"
    case imageUsage = "ImageUsage"
    case images = "Images"
    case containers = "Containers"
    case volumes = "Volumes"
    case buildCache = "BuildCache"
    case builderSize = "BuilderSize"
  }
}

/// Answer of `POST /auth`.
public struct AuthResponse: WireValue, Equatable, Sendable {
  @Field public var status: String
  @Field public var identityToken: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case status = "Status"
    case identityToken = "IdentityToken"
  }
}
