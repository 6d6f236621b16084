import Errors
import ImageSpec

/// How a blob is compressed, told by its first bytes: media types are often wrong, and archives that users bring have
/// none.
enum Compression: Sendable {
  case plain, gzip, zstd, bzip2, xz

  /// Bytes that ``init(prefix:)`` needs, unless there are no more.
  static let prefixLength = 6

  init(prefix: ArraySlice<UInt8>) {
    if prefix.starts(with: [0x1f, 0x8b]) {
      self = .gzip
    } else if prefix.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) || Self.isSkippableFrame(prefix) {
      self = .zstd
    } else if prefix.starts(with: Array("BZh".utf8)) {
      self = .bzip2
    } else if prefix.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]) {
      self = .xz
    } else {
      self = .plain
    }
  }

  /// zstd streams may begin with frames of somebody's own data.
  private static func isSkippableFrame(_ prefix: ArraySlice<UInt8>) -> Bool {
    prefix.count >= 4 && prefix[prefix.startIndex] & 0xf0 == 0x50
      && prefix.dropFirst().starts(with: [0x2a, 0x4d, 0x18])
  }

  /// nil: the bytes are what they are.
  func makeDecompressor() throws(ApusError) -> (any Decompressor)? {
    switch self {
    case .plain: nil
    case .gzip: GzipDecompressor()
    case .zstd: try ZstdDecompressor()
    case .bzip2: try BZip2Decompressor()
    case .xz: try XZDecompressor()
    }
  }

  /// The image-spec has no names for bzip2 and xz; these follow its pattern, as Docker's old images do.
  var layerMediaType: String {
    switch self {
    case .plain: MediaType.layer
    case .gzip: MediaType.layerGzip
    case .zstd: MediaType.layerZstd
    case .bzip2: MediaType.layer + "+bzip2"
    case .xz: MediaType.layer + "+xz"
    }
  }
}

/// Decompresses a stream pushed in pieces. The output buffer is valid during the call of `output` only.
protocol Decompressor: AnyObject {
  func decompress(
    _ input: UnsafeRawBufferPointer, _ output: (UnsafeRawBufferPointer) throws(ApusError) -> Void
  ) throws(ApusError)
  /// - Throws: when the stream has not come to its end.
  func finish() throws(ApusError)
}

/// Bytes of a decompressor's or compressor's output buffer: what a core's own cache holds.
let compressionBufferSize = 256 << 10
