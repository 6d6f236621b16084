import FoundationEssentials
import ImageSpec

/// An image in the store: a value, true at the moment it was read.
public struct Image: Sendable {
  /// Digest of the configuration, as Docker names images.
  public let id: Digest
  public let manifestDigest: Digest
  /// `debian:12`, `registry.example/app:1`: sorted, familiar form. Empty: dangling.
  public let references: [String]
  /// `debian@sha256:…`, of the manifest or index that was pulled or pushed.
  public let repoDigests: [String]
  public let config: ImageConfiguration
  public let manifest: Manifest
  /// When it was built, as its configuration says.
  public let created: Date?
  /// When it, or its newest reference, came into this store.
  public let added: Date
  /// Bytes of the uncompressed layers' tars: what Docker calls the size.
  public let size: Int64
  /// Diff IDs, lowest first.
  public let layers: [Digest]
  /// Bytes of each layer's uncompressed tar, in the order of `layers`.
  public let layerSizes: [Int64]

  public var platform: Platform { config.platform }
  public var isDangling: Bool { references.isEmpty }
}

/// One step of a pull, load or bootstrap; Docker's progress messages carry the same fields.
public struct TransferProgress: Sendable, Equatable {
  /// What it is about: a layer's short digest or a tag. nil: the whole operation.
  public var id: String?
  /// `Downloading`, `Pull complete`, …
  public var status: String
  /// Bytes or steps so far, and in all, where they are known.
  public var current: Int64?
  public var total: Int64?
  /// An image that is now in the store: its name, or its ID where it has none.
  public var loaded: String?
  /// With `loaded`, and with the last message of a pull or bootstrap.
  public var image: Digest?
  /// A manifest that is now in a registry.
  public var pushed: PushedManifest?
  /// `id` is the name of what follows, not of a part that makes progress.
  public var isTitle = false
  /// An index went as one of its manifests, because the others are not here.
  public var pushedInstead: PushedInstead?

  public init(
    id: String? = nil, status: String, current: Int64? = nil, total: Int64? = nil, loaded: String? = nil,
    image: Digest? = nil
  ) {
    self.id = id
    self.status = status
    self.current = current
    self.total = total
    self.loaded = loaded
    self.image = image
  }
}

/// What a registry got in the place of an index.
public struct PushedInstead: Sendable, Equatable {
  public var index: Descriptor
  public var manifest: Descriptor
}

/// Progress that ends with the operation. Abandoning the stream cancels the operation, which then undoes itself.
public typealias ProgressStream = AsyncThrowingStream<TransferProgress, any Error>

/// What removing an image did, in Docker's order.
public enum ImageRemoval: Sendable, Equatable {
  case untagged(String)
  case deleted(Digest)
}

/// One line of `docker history`, the newest first.
public struct ImageHistoryEntry: Sendable {
  /// The image's ID for the newest step; nil: a step in between.
  public var id: Digest?
  public var created: Date?
  public var createdBy: String
  public var size: Int64
  public var comment: String
  public var references: [String]
}

/// An instance that needs an image; the engine tells the image service, which must not remove it then.
public struct ImageUse: Sendable {
  public var instanceID: String
  public var image: Digest
  /// Diff IDs, lowest first.
  public var layers: [Digest]
  public var isRunning: Bool

  public init(instanceID: String, image: Digest, layers: [Digest], isRunning: Bool) {
    self.instanceID = instanceID
    self.image = image
    self.layers = layers
    self.isRunning = isRunning
  }
}
