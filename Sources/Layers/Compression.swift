import CISAL
import CZstd
import Errors
import ImageSpec

/// How a blob is compressed, told by its first bytes: media types are often wrong, and archives that users bring have
/// none.
enum Compression: Sendable {
  case plain, gzip, zstd

  /// Bytes that ``init(prefix:)`` needs, unless there are no more.
  static let prefixLength = 6

  /// - Throws: `unsupported` for compressions that are known but not read.
  init(prefix: ArraySlice<UInt8>) throws(ApusError) {
    if prefix.starts(with: [0x1f, 0x8b]) {
      self = .gzip
    } else if prefix.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) || Self.isSkippableFrame(prefix) {
      self = .zstd
    } else if prefix.starts(with: Array("BZh".utf8)) {
      throw ApusError(.unsupported, "the archive is compressed by bzip2; only gzip, zstd and no compression are read")
    } else if prefix.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]) {
      throw ApusError(.unsupported, "the archive is compressed by xz; only gzip, zstd and no compression are read")
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
    }
  }

  var layerMediaType: String {
    switch self {
    case .plain: MediaType.layer
    case .gzip: MediaType.layerGzip
    case .zstd: MediaType.layerZstd
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

private let outputCapacity = 256 << 10

/// gzip by ISA-L, twice as fast as zlib. Several members in a row are one stream (RFC 1952, 2.2); anything else behind
/// the last member is an error.
final class GzipDecompressor: Decompressor {
  private let state = UnsafeMutablePointer<inflate_state>.allocate(capacity: 1)
  private let output = UnsafeMutableRawPointer.allocate(byteCount: outputCapacity, alignment: 4096)
  private var started = false
  private var memberEnded = false

  init() {
    isal_inflate_init(state)
    state.pointee.crc_flag = UInt32(ISAL_GZIP)
  }

  deinit {
    state.deallocate()
    output.deallocate()
  }

  func decompress(
    _ input: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(ApusError) -> Void
  ) throws(ApusError) {
    guard let start = input.baseAddress, !input.isEmpty else { return }
    guard input.count < UInt32.max else {
      // The library counts in 32 bits.
      let half = input.count / 2
      try decompress(UnsafeRawBufferPointer(rebasing: input[..<half]), body)
      return try decompress(UnsafeRawBufferPointer(rebasing: input[half...]), body)
    }
    started = true
    // ISA-L only reads through this pointer.
    state.pointee.next_in = UnsafeMutablePointer(mutating: start.assumingMemoryBound(to: UInt8.self))
    state.pointee.avail_in = UInt32(input.count)
    repeat {
      if memberEnded {
        isal_inflate_reset(state)
        state.pointee.crc_flag = UInt32(ISAL_GZIP)
        memberEnded = false
      }
      state.pointee.next_out = output.assumingMemoryBound(to: UInt8.self)
      state.pointee.avail_out = UInt32(outputCapacity)
      let result = isal_inflate(state)
      guard result >= 0 else { throw Self.failure(result) }
      let count = outputCapacity - Int(state.pointee.avail_out)
      if count > 0 { try body(UnsafeRawBufferPointer(start: output, count: count)) }
      memberEnded = state.pointee.block_state == ISAL_BLOCK_FINISH
    } while state.pointee.avail_in > 0 || (state.pointee.avail_out == 0 && !memberEnded)
  }

  private static func failure(_ result: Int32) -> ApusError {
    switch result {
    case ISAL_INCORRECT_CHECKSUM: ApusError(.invalidArgument, "the gzip stream is damaged: its checksum does not match")
    case ISAL_INVALID_WRAPPER, ISAL_UNSUPPORTED_METHOD:
      ApusError(.invalidArgument, "the gzip stream is damaged, or followed by something that is no gzip stream")
    default: ApusError(.invalidArgument, "the gzip stream is damaged")
    }
  }

  func finish() throws(ApusError) {
    guard !started || memberEnded else { throw ApusError(.invalidArgument, "the gzip stream ends too early") }
  }
}

/// zstd; several frames in a row are one stream. The window, hence memory, is bounded by the library's default
/// (128 MiB).
final class ZstdDecompressor: Decompressor {
  private let stream: OpaquePointer
  private let output = UnsafeMutableRawPointer.allocate(byteCount: outputCapacity, alignment: 4096)
  /// What the library wants next; 0 between frames.
  private var hint = 0

  init() throws(ApusError) {
    guard let stream = ZSTD_createDCtx() else {
      throw ApusError(.resourceExhausted, "no memory for zstd decompression")
    }
    self.stream = stream
  }

  deinit {
    ZSTD_freeDCtx(stream)
    output.deallocate()
  }

  func decompress(
    _ input: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(ApusError) -> Void
  ) throws(ApusError) {
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    var outputWasFull = false
    while source.pos < source.size || outputWasFull {
      var target = ZSTD_outBuffer(dst: output, size: outputCapacity, pos: 0)
      hint = ZSTD_decompressStream(stream, &target, &source)
      guard ZSTD_isError(hint) == 0 else {
        throw ApusError(
          .invalidArgument, "the zstd stream is damaged: \(ZSTD_getErrorName(hint).map { String(cString: $0) } ?? "")")
      }
      if target.pos > 0 { try body(UnsafeRawBufferPointer(start: output, count: target.pos)) }
      outputWasFull = target.pos == target.size && hint != 0
    }
  }

  func finish() throws(ApusError) {
    guard hint == 0 else { throw ApusError(.invalidArgument, "the zstd stream ends too early") }
  }
}

/// gzip by ISA-L for blobs that are made here. The same input gives the same bytes: no name, no time.
final class GzipCompressor {
  private let stream = UnsafeMutablePointer<isal_zstream>.allocate(capacity: 1)
  private let workspace: UnsafeMutablePointer<UInt8>
  private let output = UnsafeMutableRawPointer.allocate(byteCount: outputCapacity, alignment: 4096)

  init() {
    // ISAL_DEF_LVL2_DEFAULT: what its macros add up to does not reach Swift.
    let size = 4 * 1024 + 2 * 32 * 1024 + 4 * 64 * 1024
    workspace = .allocate(capacity: size)
    isal_deflate_init(stream)
    stream.pointee.level = 2
    stream.pointee.level_buf = workspace
    stream.pointee.level_buf_size = UInt32(size)
    stream.pointee.gzip_flag = UInt16(IGZIP_GZIP)
    stream.pointee.flush = UInt16(NO_FLUSH)
  }

  deinit {
    stream.deallocate()
    workspace.deallocate()
    output.deallocate()
  }

  /// - Parameter end: the input is the last.
  func compress(
    _ input: UnsafeRawBufferPointer, end: Bool = false, _ body: (UnsafeRawBufferPointer) throws(ApusError) -> Void
  ) throws(ApusError) {
    if input.isEmpty, !end { return }
    // ISA-L only reads through this pointer.
    stream.pointee.next_in = input.baseAddress.map {
      UnsafeMutablePointer(mutating: $0.assumingMemoryBound(to: UInt8.self))
    }
    stream.pointee.avail_in = UInt32(input.count)
    stream.pointee.end_of_stream = end ? 1 : 0
    repeat {
      stream.pointee.next_out = output.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(outputCapacity)
      guard isal_deflate(stream) == COMP_OK else { throw ApusError(.internal, "gzip compression failed") }
      let count = outputCapacity - Int(stream.pointee.avail_out)
      if count > 0 { try body(UnsafeRawBufferPointer(start: output, count: count)) }
    } while stream.pointee.avail_out == 0
  }
}
