import ImageSpec

/// What one layer may cost. Input is hostile until its digest is verified, which is only at its end.
public struct LayerLimits: Sendable {
  /// Bytes of the uncompressed tar archive, and bytes written for it.
  public var totalSize: Int64
  /// Files, directories and links.
  public var entries: Int
  /// Uncompressed bytes for each byte that has come, beyond ``freeSize``. gzip cannot do more than 1,032; zstd and xz
  /// can.
  public var ratio: Int64
  /// Bytes that no ratio is asked of.
  public var freeSize: Int64

  public init(
    totalSize: Int64 = 256 << 30, entries: Int = 4_000_000, ratio: Int64 = 2000, freeSize: Int64 = 1 << 30
  ) {
    self.totalSize = totalSize
    self.entries = entries
    self.ratio = max(ratio, 1)
    self.freeSize = freeSize
  }
}

/// What became of one layer.
public struct IngestedLayer: Sendable, Equatable {
  /// Digest of the uncompressed tar archive.
  public var diffID: Digest
  /// The blob in the content store, when one was kept.
  public var blob: Descriptor?
  /// Bytes of the uncompressed tar archive.
  public var tarSize: Int64
  /// Bytes that the layer takes in its store.
  public var imageSize: Int64
  /// Entries of the archive.
  public var entries: Int

  public init(diffID: Digest, blob: Descriptor?, tarSize: Int64, imageSize: Int64, entries: Int) {
    self.diffID = diffID
    self.blob = blob
    self.tarSize = tarSize
    self.imageSize = imageSize
    self.entries = entries
  }
}

/// How a blob that is made here is compressed.
public enum BlobCompression: Sendable { case gzip }
