/// What `info` tells about an engine and its host.
public struct EngineInformation: Sendable {
  public var name = ""
  public var instances = 0
  public var running = 0
  public var paused = 0
  public var stopped = 0
  public var images = 0
  /// `uname -r`.
  public var kernelVersion = ""
  /// `PRETTY_NAME` of the host's os-release.
  public var operatingSystem = ""
  /// `VERSION_ID` of the host's os-release.
  public var operatingSystemVersion = ""
  /// Go's name of it: `amd64`, `arm64`.
  public var architecture = ""
  /// `uname -m`.
  public var machine = ""
  /// Bytes.
  public var memory: Int64 = 0
  public var cpus = 0
  /// `1` (and hybrid) or `2`.
  public var cgroupVersion = ""
  public var cgroupDriver = "cgroupfs"
  public var storageDriver = "erofs"
  /// Pairs for `docker info`'s storage section.
  public var storageStatus: [(String, String)] = []
  public var securityOptions: [String] = []
  public var warnings: [String] = []
  /// Stable over restarts of the daemon.
  public var id = ""
  public init() {}
}
