import FoundationEssentials

/// A volume as it is now. A value: a copy taken at one moment.
public struct Volume: Sendable, Equatable {
  public var name: String
  /// Always `local`.
  public var driver: String
  /// The directory on the host.
  public var mountpoint: String
  public var created: Date
  public var labels: [String: String]
  /// `type`, `device`, `o`: what is mounted at the mountpoint while the volume is used.
  public var options: [String: String]
  /// Nobody gave it a name: it goes with the instance it was made for.
  public var anonymous: Bool
  /// Instances that have it, running or not.
  public var usedBy: Int
  /// Allocated bytes, where that was asked for.
  public var size: Int64?

  public init(
    name: String, driver: String = "local", mountpoint: String, created: Date, labels: [String: String] = [:],
    options: [String: String] = [:], anonymous: Bool = false, usedBy: Int = 0, size: Int64? = nil
  ) {
    self.name = name
    self.driver = driver
    self.mountpoint = mountpoint
    self.created = created
    self.labels = labels
    self.options = options
    self.anonymous = anonymous
    self.usedBy = usedBy
    self.size = size
  }

  /// Docker's mark of an anonymous volume, which its clients filter by.
  static let anonymousLabel = "com.docker.volume.anonymous"
}
