import Layers

/// Bounds and policies of an engine's images.
public struct ImageSettings: Sendable {
  /// What one layer may cost. Whoever made an image decides its content: a small download can be a big file.
  public var layerLimits = LayerLimits()
  /// Bytes of all layers of one image, compressed as they are downloaded and again uncompressed.
  public var imageSize: Int64 = 512 << 30
  /// The registries' configuration (containers-registries.conf); nil: the usual places.
  public var registriesFile: String?
  /// Where registries' own certificates are (`HOST[:PORT]/ca.crt`, as Docker keeps them); nil: the usual places.
  public var certificateDirectory: String?
  public var collection = CollectionPolicy()

  public init() {}
}

/// What is collected without being asked for, once an hour. Nothing that an image, an instance or an operation under
/// way needs is ever touched.
public struct CollectionPolicy: Sendable {
  /// Content that belongs to no image: layers and parts of layers that an interrupted pull left, for the next one to
  /// go on with.
  public var orphanAge: Duration = .seconds(24 * 3600)
  /// Bytes of such content; when there is more, the oldest goes first, whatever its age.
  public var orphanSize: Int64 = 16 << 30
  /// Images that no instance has needed for so long go. nil: images are the user's, and stay until they are removed.
  public var unusedImageAge: Duration?
  /// Bytes that images which no instance needs may take together; the longest unused go first. nil: any number.
  public var unusedImageSize: Int64?

  public init() {}
}
