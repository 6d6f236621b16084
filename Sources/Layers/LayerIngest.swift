import Errors
import Glibc
import ImageSpec
import Linux

/// Turns one layer, pushed in pieces of any size, into what its store makes of it and, on demand, its blob; both digests are
/// verified in the same pass. Compression (gzip, zstd, none) is told by the first bytes.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
public final class LayerIngest: @unchecked Sendable {
  private let store: any LayerStore
  private var expansion: Expansion
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
  /// The bytes come from the unfinished blob itself.
  private var isResuming = false

  private var diffHasher: ContentHasher
  private var tarSize: Int64 = 0
  private var reader: TarReader
  private let layer: LayerWriter?
  private let ignored = IgnoringSink()
  private var failed = false

  /// - Parameters:
  ///   - mediaType: of the blob; nil: as the content is.
  ///   - expected: size and digest that the incoming bytes must have.
  ///   - expectedDiffID: digest that the uncompressed archive must have.
  ///   - keepBlob: store the incoming bytes in the content store.
  ///   - resumable: for downloads: what has arrived outlives a ``suspend()`` and the daemon; see ``resume()``. Needs
  ///     `expected`, and keeps the blob.
  ///   - compressTo: for archives made here or brought by a user: where the incoming bytes are plain, or compressed as
  ///     the image-spec has no name for (bzip2, xz), the blob is written so.
  /// - Throws: `conflict` while another ingest of the same blob is resumable, too.
  public init(
    store: any LayerStore, mediaType: String? = nil, expected: Descriptor? = nil, expectedDiffID: Digest? = nil,
    keepBlob: Bool = true, resumable: Bool = false, compressTo: BlobCompression? = nil,
    limits: LayerLimits = LayerLimits()
  ) throws(ApusError) {
    let mediaType = mediaType ?? expected.map(\.mediaType).flatMap { $0.isEmpty ? nil : $0 }
    if let mediaType, !MediaType.isLayer(mediaType) || mediaType.hasSuffix("+encrypted") {
      throw ApusError(.unsupported, "content of type \(mediaType.prefix(100)) is no layer that can be unpacked")
    }
    self.store = store
    expansion = Expansion(limits)
    self.expected = expected
    self.expectedDiffID = expectedDiffID
    self.mediaType = mediaType
    keepsBlob = keepBlob
    if resumable, let expected { blob = try BlobWriter(store: store.content, resuming: expected, hashing: false) }
    compressor = compressTo == nil ? nil : GzipCompressor()
    diffHasher = ContentHasher(expectedDiffID?.algorithm ?? .sha256)
    reader = TarReader(entryLimit: limits.entries)
    // A layer that is there already needs its digests verified, but not writing again.
    if let expectedDiffID, store.contains(expectedDiffID) {
      layer = nil
    } else {
      layer = try store.makeWriter()
    }
  }

  deinit { suspend() }

  /// Takes what an earlier attempt at a resumable download has left, as if it arrived now. Call it first.
  /// - Returns: its bytes: from where the download has to go on.
  /// - Throws: when it is no beginning of such a layer; it is forgotten, and the next attempt begins at the start.
  public func resume() throws(ApusError) -> Int64 {
    guard let blob, blob.resumed > 0, received == 0 else { return 0 }
    isResuming = true
    do {
      try blob.readResumed { (bytes) throws(ApusError) in try write(bytes) }
    } catch {
      abort()
      throw error
    }
    isResuming = false
    return received
  }

  /// - Throws: when it is no such layer; nothing stays behind.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    guard !failed else { throw ApusError(.internal, "a layer that failed gets more data") }
    do {
      try accept(bytes)
    } catch {
      abort()
      throw error
    }
  }

  private func accept(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    if received == 0, !isResuming { try blob?.restart() }
    received += Int64(bytes.count)
    expansion.receive(bytes.count)
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
  }

  /// Chooses the path the bytes take, and sends those that have been waiting.
  private func begin() throws(ApusError) {
    let compression = Compression(prefix: prefix[...])
    self.compression = compression
    if compression == .gzip || compression == .zstd { compressor = nil }
    decompressor = try compression.makeDecompressor()
    let algorithm = expected?.digest.algorithm ?? .sha256
    // Plain and uncompressed, blob and archive are the same bytes: one hash is enough.
    let sameBytes = compression == .plain && compressor == nil && algorithm == (expectedDiffID?.algorithm ?? .sha256)
    if !sameBytes, expected != nil || keepsBlob { blobHasher = ContentHasher(algorithm) }
    if keepsBlob, blob == nil { blob = try BlobWriter(store: store.content, hashing: nil) }
    let waiting = prefix
    prefix = []
    try waiting.withBytes { (waiting) throws(ApusError) in try take(waiting) }
  }

  private func take(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    if compressor == nil { try takeBlob(bytes) }
    if let decompressor {
      try decompressor.decompress(bytes) { (piece) throws(ApusError) in try takePlain(piece) }
    } else {
      try takePlain(bytes)
    }
  }

  private func takeBlob(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    blobHasher?.update(bytes)
    if !isResuming { try blob?.write(bytes) }
  }

  private func takePlain(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    tarSize += Int64(bytes.count)
    try expansion.check(max(tarSize, layer?.written ?? 0), "the layer")
    diffHasher.update(bytes)
    if let compressor {
      try compressor.compress(bytes) { (piece) throws(ApusError) in try takeBlob(piece) }
    }
    if let layer {
      try reader.consume(bytes, into: layer)
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
    let imageSize = try layer?.finish(diffID) ?? store.size(of: diffID) ?? 0
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

  /// Forgets everything.
  public func abort() {
    failed = true
    blob?.abort()
    layer?.abort()
  }

  /// Ends a resumable download for now: what has arrived stays for the next attempt, unless it has proved wrong. Anything
  /// else is forgotten. Also what happens when the ingest is dropped unfinished.
  public func suspend() {
    guard !failed else { return abort() }
    failed = true
    blob?.suspend()
    layer?.abort()
  }
}

/// For a layer of which only the digests are of interest.
private final class IgnoringSink: TarSink {
  func begin(_ entry: TarEntry) throws(ApusError) {}
  func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {}
  func hole(_ count: Int64) throws(ApusError) {}
  func end() throws(ApusError) {}
}
