import FoundationEssentials

/// One volume.
public struct VolumeSummary: WireValue, Equatable, Sendable {
  public var createdAt: String?
  @Field public var driver: String
  @Field public var labels: [String: String]?
  @Field public var mountpoint: String
  @Field public var name: String
  @Field public var options: [String: String]?
  @Field public var scope: String
  public var status: [String: String]?
  public var usageData: VolumeUsage?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case createdAt = "CreatedAt"
    case driver = "Driver"
    case labels = "Labels"
    case mountpoint = "Mountpoint"
    case name = "Name"
    case options = "Options"
    case scope = "Scope"
    case status = "Status"
    case usageData = "UsageData"
  }
}

/// What a volume takes, and how many containers use it; −1: not computed.
public struct VolumeUsage: WireValue, Equatable, Sendable {
  @Field public var refCount: Int
  @Field public var size: Int

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case refCount = "RefCount"
    case size = "Size"
  }
}

/// Answer of `GET /volumes`.
public struct VolumeListResponse: WireValue, Equatable, Sendable {
  @Field public var volumes: [VolumeSummary]
  @Field public var warnings: [String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case volumes = "Volumes"
    case warnings = "Warnings"
  }
}

/// Body of `POST /volumes/create`.
public struct VolumeCreateRequest: WireValue, Equatable, Sendable {
  @Field public var name: String
  @Field public var driver: String
  @Field public var driverOpts: [String: String]?
  @Field public var labels: [String: String]?

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case name = "Name"
    case driver = "Driver"
    case driverOpts = "DriverOpts"
    case labels = "Labels"
  }
}

/// Answer of `POST /volumes/prune`.
public struct VolumesPruneReport: WireValue, Equatable, Sendable {
  @Field public var volumesDeleted: [String]?
  @Field public var spaceReclaimed: Int

  public init() {}

  private enum CodingKeys: String, CodingKey {
    case volumesDeleted = "VolumesDeleted"
    case spaceReclaimed = "SpaceReclaimed"
  }
}
