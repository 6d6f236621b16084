import Errors
import ImageSpec

/// Turns one layer, pushed in pieces of any size, into its EROFS file and, on demand, its blob; both digests are
/// verified in the same pass. Compression (gzip, zstd, none) is told by the first bytes.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
public final class LayerIngest: @unchecked Sendable {
  /// - Parameters:
  ///   - expected: size and digest that the incoming bytes must have.
  ///   - expectedDiffID: digest that the uncompressed archive must have.
  ///   - keepBlob: store the incoming bytes in the content store.
  ///   - compressTo: for archives made here: the incoming bytes are plain, the blob is written compressed.
  public init(
    store: EROFSLayerStore, mediaType: String? = nil, expected: Descriptor? = nil, expectedDiffID: Digest? = nil,
    keepBlob: Bool = true, compressTo: BlobCompression? = nil, limits: LayerLimits = LayerLimits()
  ) throws(ApusError) {
    throw ApusError(.unsupported, "layers cannot be stored yet")
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {}

  /// Verifies, and gives blob and layer their names. On any error nothing stays behind.
  public func finish() throws(ApusError) -> IngestedLayer {
    throw ApusError(.unsupported, "layers cannot be stored yet")
  }

  /// Forgets everything. Also what happens when the ingest is dropped unfinished.
  public func abort() {}
}
