import Errors
import Glibc
import ImageSpec
import Linux

/// Turns one layer, pushed in pieces of any size, into its EROFS file and, on demand, its blob; both digests are
/// verified in the same pass. Compression (gzip, zstd, none) is told by the first bytes.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
public final class LayerIngest: @unchecked Sendable {
  private let store: EROFSLayerStore
  private let limits: LayerLimits
  private let expected: Descriptor?
  private let expectedDiffID: Digest?
  private let mediaType: String?

  /// First bytes, until there are enough to tell the compression.
  private var prefix: [UInt8] = []
  private var compression: Compression?
  private var decompressor: (any Decompressor)?
  private var compressor: GzipCompressor?
  private let keepsBlob: Bool
  private var blob: BlobWriter?
  /// Of the bytes that come in; nil where nobody needs it, or where it is the diff ID.
  private var blobHasher: ContentHasher?
  private var received: Int64 = 0

  private var diffHasher: ContentHasher
  private var tarSize: Int64 = 0
  private var reader: TarReader
  private let image: LayerImageFile?
  private let ignored = IgnoringSink()
  private var failed = false

  /// - Parameters:
  ///   - mediaType: of the blob; nil: as the content is.
  ///   - expected: size and digest that the incoming bytes must have.
  ///   - expectedDiffID: digest that the uncompressed archive must have.
  ///   - keepBlob: store the incoming bytes in the content store.
  ///   - compressTo: for archives made here: where the incoming bytes are plain, the blob is written compressed.
  public init(
    store: EROFSLayerStore, mediaType: String? = nil, expected: Descriptor? = nil, expectedDiffID: Digest? = nil,
    keepBlob: Bool = true, compressTo: BlobCompression? = nil, limits: LayerLimits = LayerLimits()
  ) throws(ApusError) {
    let mediaType = mediaType ?? expected.map(\.mediaType).flatMap { $0.isEmpty ? nil : $0 }
    if let mediaType, !MediaType.isLayer(mediaType) || mediaType.hasSuffix("+encrypted") {
      throw ApusError(.unsupported, "content of type \(mediaType.prefix(100)) is no layer that can be unpacked")
    }
    self.store = store
    self.limits = limits
    self.expected = expected
    self.expectedDiffID = expectedDiffID
    self.mediaType = mediaType
    keepsBlob = keepBlob
    compressor = compressTo == nil ? nil : GzipCompressor()
    diffHasher = ContentHasher(expectedDiffID?.algorithm ?? .sha256)
    reader = TarReader(entryLimit: limits.entries)
    // A layer that is there already needs its digests verified, but not writing again.
    if let expectedDiffID, store.contains(expectedDiffID) { image = nil } else { image = try LayerImageFile(store) }
  }

  deinit { abort() }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    guard !failed else { throw ApusError(.internal, "a layer that failed gets more data") }
    failed = true
    received += Int64(bytes.count)
    if let expected, received > expected.size {
      throw ApusError(
        .invalidArgument, "layer \(expected.digest) is longer than the \(expected.size) bytes it should have")
    }
    if compression != nil {
      try take(bytes)
    } else {
      prefix.append(contentsOf: bytes)
      if prefix.count >= Compression.prefixLength { try begin() }
    }
    failed = false
  }

  /// Chooses the path the bytes take, and sends those that have been waiting.
  private func begin() throws(ApusError) {
    let compression = try Compression(prefix: prefix[...])
    self.compression = compression
    if compression != .plain { compressor = nil }
    decompressor = try compression.makeDecompressor()
    let algorithm = expected?.digest.algorithm ?? .sha256
    // Plain and uncompressed, blob and archive are the same bytes: one hash is enough.
    let sameBytes = compression == .plain && compressor == nil && algorithm == (expectedDiffID?.algorithm ?? .sha256)
    if !sameBytes, expected != nil || keepsBlob { blobHasher = ContentHasher(algorithm) }
    if keepsBlob { blob = try BlobWriter(store: store.content, hashing: nil) }
    let waiting = prefix
    prefix = []
    try waiting.withBytes { (waiting) throws(ApusError) in try take(waiting) }
  }

  private func take(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    if let compressor {
      try compressor.compress(bytes) { (piece) throws(ApusError) in try takeBlob(piece) }
    } else {
      try takeBlob(bytes)
    }
    if let decompressor {
      try decompressor.decompress(bytes) { (piece) throws(ApusError) in try takePlain(piece) }
    } else {
      try takePlain(bytes)
    }
  }

  private func takeBlob(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    blobHasher?.update(bytes)
    try blob?.write(bytes)
  }

  private func takePlain(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    tarSize += Int64(bytes.count)
    guard tarSize <= limits.totalSize else {
      throw ApusError(
        .resourceExhausted, "the layer is larger than the \(limits.totalSize) bytes that are allowed uncompressed")
    }
    diffHasher.update(bytes)
    if let image {
      try reader.consume(bytes, into: image.converter)
    } else {
      try reader.consume(bytes, into: ignored)
    }
  }

  /// Verifies, and gives blob and layer their names. On any error nothing stays behind.
  public func finish() throws(ApusError) -> IngestedLayer {
    guard !failed else { throw ApusError(.internal, "a layer that failed is finished") }
    failed = true
    defer { abort() }
    if compression == nil { try begin() }
    if let compressor {
      try compressor.compress(UnsafeRawBufferPointer(start: nil, count: 0), end: true) { (piece) throws(ApusError) in
        try takeBlob(piece)
      }
    }
    if let expected, received != expected.size {
      throw ApusError(.invalidArgument, "layer \(expected.digest) has \(received) bytes, expected \(expected.size)")
    }
    try decompressor?.finish()
    let diffID = try diffHasher.finish()
    let blobDigest = try blobHasher?.finish() ?? diffID
    if let expected, compressor == nil, blobDigest != expected.digest {
      throw ApusError(.invalidArgument, "the layer's content has digest \(blobDigest), expected \(expected.digest)")
    }
    try reader.finish()
    if let expectedDiffID, diffID != expectedDiffID {
      throw ApusError(.invalidArgument, "the layer's archive has digest \(diffID), the image says \(expectedDiffID)")
    }
    let imageSize = try image?.finish(diffID) ?? store.size(of: diffID) ?? 0
    var descriptor: Descriptor?
    if let blob {
      descriptor = Descriptor(
        mediaType: mediaType ?? (compressor == nil ? compression ?? .plain : .gzip).layerMediaType, digest: blobDigest,
        size: blob.size)
      try blob.commit(as: blobDigest)
    }
    return IngestedLayer(
      diffID: diffID, blob: descriptor, tarSize: tarSize, imageSize: imageSize, entries: reader.entries)
  }

  /// Forgets everything. Also what happens when the ingest is dropped unfinished.
  public func abort() {
    failed = true
    blob?.abort()
    image?.abort()
  }
}

/// For a layer of which only the digests are of interest.
private final class IgnoringSink: TarSink {
  func begin(_ entry: TarEntry) throws(ApusError) {}
  func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {}
  func hole(_ count: Int64) throws(ApusError) {}
  func end() throws(ApusError) {}
}

/// An EROFS file on its way into the layer store.
private final class LayerImageFile {
  let converter: LayerConverter
  private let store: EROFSLayerStore
  private let temporary: String
  private var done = false

  init(_ store: EROFSLayerStore) throws(ApusError) {
    self.store = store
    temporary = TemporaryName.next(in: store.ingestDirectory)
    converter = try LayerConverter(
      try Files.open(temporary, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600), name: "a layer")
  }

  deinit { abort() }

  func finish(_ diffID: Digest) throws(ApusError) -> Int64 {
    let uuid = stride(from: 0, to: 32, by: 2).map { offset in
      let start = diffID.hex.utf8.index(diffID.hex.startIndex, offsetBy: offset)
      return UInt8(diffID.hex[start...].prefix(2), radix: 16) ?? 0
    }
    let size = try converter.finish(uuid: uuid)
    // Somebody else may have been faster; a layer that may be mounted already is not exchanged.
    if store.contains(diffID) { return size }
    try check(rename(temporary, store.path(for: diffID)), "cannot store layer \(diffID)")
    done = true
    return size
  }

  func abort() {
    if !done { _ = unlink(temporary) }
    done = true
  }
}
