import CZstd
import Errors

/// zstd; several frames in a row are one stream. The window, hence memory, is bounded by the library's default
/// (128 MiB).
final class ZstdDecompressor: Decompressor {
  private let stream: OpaquePointer
  private let output = UnsafeMutableRawPointer.allocate(byteCount: compressionBufferSize, alignment: 4096)
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
      var target = ZSTD_outBuffer(dst: output, size: compressionBufferSize, pos: 0)
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
