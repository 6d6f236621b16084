import Errors
import ImageSpec
import Synchronization

/// Layers as EROFS files, `<root>/<algorithm>/<hex of the diff ID>`, and their mounts on this host, each once:
/// `<runDirectory>/l/<first digits>`.
public final class EROFSLayerStore: Sendable {
  public let content: ContentStore
  public let root: String

  /// - Throws: when the directories cannot be made.
  public init(root: String, runDirectory: String, content: ContentStore) throws(ApusError) {
    self.content = content
    self.root = root
  }

  public func path(for diffID: Digest) -> String { "\(root)/\(diffID.algorithm.rawValue)/\(diffID.hex)" }
  public func contains(_ diffID: Digest) -> Bool { size(of: diffID) != nil }
  /// Bytes of the EROFS file; nil when there is no such layer.
  public func size(of diffID: Digest) -> Int64? { nil }
  public func all() throws(ApusError) -> [Digest] { [] }
  /// - Throws: `conflict` while the layer is leased.
  public func remove(_ diffID: Digest) throws(ApusError) {}

  /// Mounts what is not mounted yet.
  /// - Parameter diffIDs: lowest first, as in the image configuration.
  /// - Throws: `notFound` naming a layer that is not in the store; nothing stays leased.
  public func acquire(_ diffIDs: [Digest]) throws(ApusError) -> LayerLease {
    throw ApusError(.unsupported, "layers cannot be mounted yet")
  }

  /// Unmounts layers that nobody has leased for `grace`. Call it now and then, and with `.zero` at the very end.
  public func unmountIdle(grace: Duration = .seconds(10)) {}

  /// At daemon start, before anything else: adopts the mounts an earlier daemon left (they are idle until leased
  /// again) and removes half-written layers.
  public func recover() throws(ApusError) {}
}

/// Mounted layers, held until released (or dropped).
public final class LayerLease: Sendable {
  /// Mount points, top first: overlayfs's `lowerdir` order.
  public let paths: [String]
  init(paths: [String]) { self.paths = paths }
  /// More than once is fine.
  public func release() {}
}
