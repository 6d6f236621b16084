import Layers

/// Where one daemon keeps what. Several daemons with different roots coexist on one host.
public struct EngineConfiguration: Sendable {
  /// The root of the one daemon that most hosts have.
  public static let standardRoot = "/var/lib/apus"

  /// State that survives a reboot: database, blobs, layers, writable layers, volumes.
  public var root: String
  /// State that does not: sockets, layer mounts, generated files.
  public var runDirectory: String
  /// The `apus-runtime` executable.
  public var runtimePath: String
  /// Parent of every instance's cgroup, relative to each hierarchy's root.
  public var cgroupParent: String
  /// Bounds and policies of images.
  public var images: ImageSettings
  /// How layers are kept; nil: as the host can.
  public var layerStore: LayerStores.Form?
  /// Names and bounds of networks; nil: those that fit the root.
  public var networks: NetworkSettings?
  public init(
    root: String, runDirectory: String, runtimePath: String, cgroupParent: String = "apus",
    images: ImageSettings = ImageSettings(), layerStore: LayerStores.Form? = nil, networks: NetworkSettings? = nil
  ) {
    self.root = root
    self.runDirectory = runDirectory
    self.runtimePath = runtimePath
    self.cgroupParent = cgroupParent
    self.images = images
    self.layerStore = layerStore
    self.networks = networks
  }
}
