import FoundationEssentials

/// An OCI descriptor.
public struct DescriptorSummary: WireValue, Equatable, Sendable {
  @Field public var mediaType: String
  @Field public var digest: String
  @Field public var size: Int
  public var urls: [String]?
  public var annotations: [String: String]?
  public var platform: PlatformSummary?
  public var artifactType: String?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case mediaType, digest, size, urls, annotations, platform, artifactType
  }
}

/// An OCI platform.
public struct PlatformSummary: WireValue, Equatable, Sendable {
  @Field public var architecture: String
  @Field public var os: String
  public var osVersion: String?
  public var osFeatures: [String]?
  public var variant: String?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case architecture, os, variant
    case osVersion = "os.version"
    case osFeatures = "os.features"
  }
}

/// One line of `GET /images/json`.
public struct ImageSummary: WireValue, Equatable, Sendable {
  /// −1: not counted.
  @Field public var containers: Int
  /// Seconds since 1970.
  @Field public var created: Int
  @Field public var id: String
  @Field public var labels: [String: String]?
  @Field public var parentID: String
  public var descriptor: DescriptorSummary?
  @Field public var repoDigests: [String]
  @Field public var repoTags: [String]
  /// Bytes; −1: not computed.
  @Field public var sharedSize: Int
  @Field public var size: Int
  /// Only before API 1.44.
  public var virtualSize: Int?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case containers = "Containers"
    case created = "Created"
    case id = "Id"
    case labels = "Labels"
    case parentID = "ParentId"
    case descriptor = "Descriptor"
    case repoDigests = "RepoDigests"
    case repoTags = "RepoTags"
    case sharedSize = "SharedSize"
    case size = "Size"
    case virtualSize = "VirtualSize"
  }
}

/// Answer of `GET /images/{name}/json`.
public struct ImageInspect: WireValue, Equatable, Sendable {
  @Field public var id: String
  @Field public var repoTags: [String]
  @Field public var repoDigests: [String]
  @Field public var parent: String
  @Field public var comment: String
  public var created: String?
  /// Only before API 1.45.
  public var container: String?
  /// Only before API 1.45.
  public var containerConfig: ContainerConfig?
  @Field public var dockerVersion: String
  @Field public var author: String
  @Field public var config: ImageConfig?
  @Field public var architecture: String
  public var variant: String?
  @Field public var os: String
  public var osVersion: String?
  @Field public var size: Int
  /// Only before API 1.44.
  public var virtualSize: Int?
  @Field public var graphDriver: GraphDriverData
  @Field public var rootFS: RootFSSummary
  @Field public var metadata: ImageMetadata
  public var descriptor: DescriptorSummary?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "Id"
    case repoTags = "RepoTags"
    case repoDigests = "RepoDigests"
    case parent = "Parent"
    case comment = "Comment"
    case created = "Created"
    case container = "Container"
    case containerConfig = "ContainerConfig"
    case dockerVersion = "DockerVersion"
    case author = "Author"
    case config = "Config"
    case architecture = "Architecture"
    case variant = "Variant"
    case os = "Os"
    case osVersion = "OsVersion"
    case size = "Size"
    case virtualSize = "VirtualSize"
    case graphDriver = "GraphDriver"
    case rootFS = "RootFS"
    case metadata = "Metadata"
    case descriptor = "Descriptor"
  }
}

/// What an image says about running it; members that are not set are absent.
public struct ImageConfig: WireValue, Equatable, Sendable {
  /// Hostname to Image: only before API 1.50, always empty.
  public var hostname: String?
  public var domainname: String?
  public var user: String?
  public var attachStdin: Bool?
  public var attachStdout: Bool?
  public var attachStderr: Bool?
  public var exposedPorts: [String: EmptyObject]?
  public var tty: Bool?
  public var openStdin: Bool?
  public var stdinOnce: Bool?
  public var env: [String]?
  public var cmd: [String]?
  public var healthcheck: HealthcheckConfig?
  public var argsEscaped: Bool?
  public var image: String?
  public var volumes: [String: EmptyObject]?
  public var workingDir: String?
  public var entrypoint: [String]?
  public var onBuild: [String]?
  public var labels: [String: String]?
  public var stopSignal: String?
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
    case onBuild = "OnBuild"
    case labels = "Labels"
    case stopSignal = "StopSignal"
    case shell = "Shell"
  }
}

/// An image's layers by diff ID, lowest first.
public struct RootFSSummary: WireValue, Equatable, Sendable {
  @Field public var type: String
  public var layers: [String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case type = "Type"
    case layers = "Layers"
  }
}

/// Facts about an image on this host.
public struct ImageMetadata: WireValue, Equatable, Sendable {
  @Field public var lastTagTime: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case lastTagTime = "LastTagTime"
  }
}

/// One line of `GET /images/{name}/history`, newest first.
public struct ImageHistoryEntry: WireValue, Equatable, Sendable {
  @Field public var id: String
  @Field public var created: Int
  @Field public var createdBy: String
  @Field public var tags: [String]?
  @Field public var size: Int
  @Field public var comment: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "Id"
    case created = "Created"
    case createdBy = "CreatedBy"
    case tags = "Tags"
    case size = "Size"
    case comment = "Comment"
  }
}

/// One line of `DELETE /images/{name}`.
public struct ImageDeleteEntry: WireValue, Equatable, Sendable {
  public var untagged: String?
  public var deleted: String?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case untagged = "Untagged"
    case deleted = "Deleted"
  }
}

/// Answer of `POST /images/prune`.
public struct ImagesPruneReport: WireValue, Equatable, Sendable {
  @Field public var imagesDeleted: [ImageDeleteEntry]?
  @Field public var spaceReclaimed: Int

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case imagesDeleted = "ImagesDeleted"
    case spaceReclaimed = "SpaceReclaimed"
  }
}

/// One line of a progress stream (pull, push, load, import, bootstrap).
public struct ProgressMessage: WireValue, Equatable, Sendable {
  public var stream: String?
  public var status: String?
  public var progressDetail: ProgressDetail?
  public var progress: String?
  public var id: String?
  public var errorDetail: ProgressError?
  public var error: String?
  public var aux: ProgressAux?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case stream, status, progressDetail, progress, id, errorDetail, error, aux
  }
}

/// How far it is.
public struct ProgressDetail: WireValue, Equatable, Sendable {
  public var current: Int?
  public var total: Int?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case current, total
  }
}

/// Why it stopped.
public struct ProgressError: WireValue, Equatable, Sendable {
  public var code: Int?
  @Field public var message: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case code, message
  }
}

/// What it made.
public struct ProgressAux: WireValue, Equatable, Sendable {
  public var id: String?
  public var tag: String?
  public var digest: String?
  public var size: Int?
  /// A push of an index that is not all here sent one of its manifests (API 1.47).
  public var manifestPushedInsteadOfIndex: Bool?
  public var originalIndex: DescriptorSummary?
  public var selectedManifest: DescriptorSummary?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case id = "ID"
    case tag = "Tag"
    case digest = "Digest"
    case size = "Size"
    case manifestPushedInsteadOfIndex, originalIndex, selectedManifest
  }
}

/// One line of `GET /images/search`.
public struct ImageSearchResult: WireValue, Equatable, Sendable {
  @Field public var starCount: Int
  @Field public var isOfficial: Bool
  @Field public var name: String
  @Field public var isAutomated: Bool
  @Field public var description: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case starCount = "star_count"
    case isOfficial = "is_official"
    case name
    case isAutomated = "is_automated"
    case description
  }
}

/// What images take together: a part of the answer of `GET /system/df` (API 1.52; older clients do not read it).
public struct ImagesDiskUsage: WireValue, Equatable, Sendable {
  @Field public var activeCount: Int
  @Field public var reclaimable: Int
  @Field public var totalCount: Int
  @Field public var totalSize: Int

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case activeCount = "ActiveCount"
    case reclaimable = "Reclaimable"
    case totalCount = "TotalCount"
    case totalSize = "TotalSize"
  }
}

/// Answer of `GET /distribution/{name}/json`.
public struct DistributionInspect: WireValue, Equatable, Sendable {
  @Field public var descriptor: DescriptorSummary
  @Field public var platforms: [PlatformSummary]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case descriptor = "Descriptor"
    case platforms = "Platforms"
  }
}

/// Answer of `GET /apus/v1/manifest`, and one line of `POST /apus/v1/manifest/push`: what the docker command keeps of a
/// manifest between `manifest create` and `manifest push`.
public struct ManifestDocument: WireValue, Equatable, Sendable {
  /// In full: `docker.io/library/debian:12`.
  @Field public var ref: String
  @Field public var descriptor: DescriptorSummary
  /// The document, as base64.
  @Field public var raw: String

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case ref = "Ref"
    case descriptor = "Descriptor"
    case raw = "Raw"
  }
}

/// Body of `POST /apus/v1/manifest/push`.
public struct ManifestPushRequest: WireValue, Equatable, Sendable {
  /// The name of the list.
  @Field public var ref: String
  @Field public var manifests: [ManifestDocument]

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case ref = "Ref"
    case manifests = "Manifests"
  }
}

/// What `X-Registry-Auth` holds, as base64url JSON.
public struct RegistryCredentials: WireValue, Equatable, Sendable {
  public var username: String?
  public var password: String?
  public var auth: String?
  public var email: String?
  public var serveraddress: String?
  public var identitytoken: String?
  public var registrytoken: String?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case username, password, auth, email, serveraddress, identitytoken, registrytoken
  }
}
