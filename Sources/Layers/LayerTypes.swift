import ImageSpec

/// What one layer may cost. Input is hostile until its digest is verified, which is only at its end.
public struct LayerLimits: Sendable {
  /// Uncompressed bytes of the tar archive.
  public var totalSize: Int64
  /// Files, directories and links.
  public var entries: Int

  public init(totalSize: Int64 = 256 << 30, entries: Int = 4_000_000) {
    self.totalSize = totalSize
    self.entries = entries
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
  /// Bytes of the EROFS file.
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
