import CLZMA
import Errors

/// xz; several streams in a row, and the padding that the format allows between them, are one stream.
final class XZDecompressor: Decompressor {
  /// What `xz -9` needs is half of it.
  private static let memoryLimit: UInt64 = 128 << 20
  /// LZMA_CONCATENATED, a macro that does not reach Swift.
  private static let concatenated: UInt32 = 8
  /// On the heap: the library remembers where it is.
  private let stream = UnsafeMutablePointer<lzma_stream>.allocate(capacity: 1)
  private let output = UnsafeMutableRawPointer.allocate(byteCount: compressionBufferSize, alignment: 4096)
  private var started = false

  init() throws(ApusError) {
    // What LZMA_STREAM_INIT is.
    stream.initialize(to: lzma_stream())
    guard lzma_stream_decoder(stream, Self.memoryLimit, Self.concatenated) == LZMA_OK else {
      throw ApusError(.resourceExhausted, "no memory for xz decompression")
    }
  }

  deinit {
    lzma_end(stream)
    stream.deallocate()
    output.deallocate()
  }

  func decompress(
    _ input: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(ApusError) -> Void
  ) throws(ApusError) {
    guard let start = input.baseAddress, !input.isEmpty else { return }
    started = true
    stream.pointee.next_in = start.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_in = input.count
    repeat { _ = try step(LZMA_RUN, body) } while stream.pointee.avail_in > 0 || stream.pointee.avail_out == 0
  }

  /// - Returns: whether the last stream has ended.
  private func step(
    _ action: lzma_action, _ body: (UnsafeRawBufferPointer) throws(ApusError) -> Void
  ) throws(ApusError) -> Bool {
    stream.pointee.next_out = output.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = compressionBufferSize
    let result = lzma_code(stream, action)
    let count = compressionBufferSize - stream.pointee.avail_out
    if count > 0 { try body(UnsafeRawBufferPointer(start: output, count: count)) }
    switch result {
    case LZMA_STREAM_END: return true
    // Without progress: everything is out that can be.
    case LZMA_OK, LZMA_BUF_ERROR: return false
    case LZMA_MEM_ERROR, LZMA_MEMLIMIT_ERROR:
      throw ApusError(
        .resourceExhausted, "the xz stream needs more than the \(Self.memoryLimit >> 20) MiB of memory it may have")
    case LZMA_FORMAT_ERROR:
      throw ApusError(.invalidArgument, "the xz stream is damaged, or followed by something that is no xz stream")
    default: throw ApusError(.invalidArgument, "the xz stream is damaged")
    }
  }

  func finish() throws(ApusError) {
    guard started else { return }
    stream.pointee.avail_in = 0
    // All output has been taken before: this only asks whether it was the end.
    let ended = try step(LZMA_FINISH) { (_) throws(ApusError) in }
    guard ended else { throw ApusError(.invalidArgument, "the xz stream ends too early") }
  }
}
