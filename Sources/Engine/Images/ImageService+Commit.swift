import Errors
import FoundationEssentials
import ImageSpec
import Layers

/// An image to be made of a base and at most one layer on top.
public struct ImageCommit: Sendable {
  /// nil: the layer stands alone (import, bootstrap).
  public var base: Image?
  /// Ingested with its blob kept; nil: only the configuration changes.
  public var layer: IngestedLayer?
  /// The whole new configuration; nil: the base's.
  public var config: ImageConfiguration.Config?
  /// Dockerfile instructions, applied last.
  public var changes: [String] = []
  public var author: String?
  /// The line of the history.
  public var createdBy: String?
  public var comment: String?
  /// The instance it was committed from.
  public var container: String?
  /// nil: now.
  public var created: Date?
  public var platform: Platform?
  public var annotations: [String: String]?
  /// Its name; nil: none.
  public var reference: String?

  public init(base: Image? = nil, layer: IngestedLayer? = nil, reference: String? = nil) {
    self.base = base
    self.layer = layer
    self.reference = reference
  }
}

extension ImageService {
  /// Makes and enters an image of layers that are in the store. Hold the content from before the layer's ingest until
  /// this returns (``holdEverything()``).
  /// - Throws: `invalidArgument` for an invalid name or change.
  @discardableResult
  public func commitImage(_ commit: ImageCommit) async throws -> Image {
    let reference = try commit.reference.map { try Reference(parsing: $0).withDefaultTag }
    guard reference?.digest == nil else {
      throw ApusError(.invalidArgument, "an image cannot be given a name with a digest")
    }
    let created = RFC3339.text(commit.created ?? Date())
    var document = commit.base?.config ?? ImageConfiguration(platform: commit.platform ?? .host)
    document.created = created
    if let author = commit.author { document.author = author }
    if let platform = commit.platform {
      document.architecture = platform.architecture
      document.os = platform.os
      document.variant = platform.variant
    }
    document.container = commit.container
    document.comment = commit.comment
    document.dockerVersion = nil
    if let config = commit.config { document.config = config }
    try DockerfileChanges.apply(commit.changes, to: &document.config)
    document.history.append(
      ImageConfiguration.History(
        created: created, createdBy: commit.createdBy, author: commit.author, comment: commit.comment,
        emptyLayer: commit.layer == nil ? true : nil))

    var blobs = commit.base?.manifest.layers ?? []
    var layers =
      commit.base.map { base in
        zip(base.layers, base.layerSizes).map { FetchedLayer(diffID: $0, tarSize: $1) }
      } ?? []
    if let layer = commit.layer {
      guard let blob = layer.blob else {
        throw ApusError(.internal, "a layer to be committed was stored without its blob")
      }
      document.rootfs.diffIDs.append(layer.diffID)
      blobs.append(blob)
      layers.append(FetchedLayer(diffID: layer.diffID, tarSize: layer.tarSize))
    }
    guard layers.count <= Self.layerLimit else {
      throw ApusError(.unsupported, "the image would have more than the \(Self.layerLimit) layers that can be stacked")
    }
    let image = try NewImage.made(
      config: document, blobs: blobs, layers: layers, names: reference.map { [$0.canonical] } ?? [],
      annotations: commit.annotations)
    _ = try await add(image)
    return try await resolve(image.id.description)
  }
}

extension NewImage {
  /// An image whose manifest is made here.
  static func made(
    config: ImageConfiguration, configBytes: [UInt8]? = nil, blobs: [Descriptor], layers: [FetchedLayer],
    names: [String], annotations: [String: String]? = nil
  ) throws -> NewImage {
    let bytes = try configBytes ?? config.json()
    let id = ContentDigest.sha256(bytes)
    // One family of media types throughout: a base from Docker's keeps its layers, under OCI's names for them.
    let layerDescriptors = blobs.map { blob in
      Descriptor(mediaType: MediaType.ociName(of: blob.mediaType), digest: blob.digest, size: blob.size)
    }
    let manifest = Manifest(
      config: Descriptor(mediaType: MediaType.configuration, digest: id, size: Int64(bytes.count)),
      layers: layerDescriptors, annotations: annotations)
    let manifestBytes = try manifest.json()
    return NewImage(
      id: id, config: bytes, manifest: manifestBytes, manifestDigest: ContentDigest.sha256(manifestBytes),
      blobs: layerDescriptors, layers: layers, names: names, isOriginal: false)
  }
}

extension MediaType {
  static func ociName(of type: String) -> String {
    switch type {
    case dockerLayer: layer
    case dockerLayerGzip: layerGzip
    case dockerLayerZstd: layerZstd
    default: type
    }
  }
}
