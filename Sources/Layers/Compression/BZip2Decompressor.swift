import CBZip2
import Errors

/// bzip2; several streams in a row are one (what pbzip2 writes). Memory is 4 MiB at most by the format.
final class BZip2Decompressor: Decompressor {
  /// On the heap: the library remembers where it is.
  private let stream = UnsafeMutablePointer<bz_stream>.allocate(capacity: 1)
  private let output = UnsafeMutableRawPointer.allocate(byteCount: compressionBufferSize, alignment: 4096)
  private var isOpen = false
  private var started = false

  init() throws(ApusError) {
    stream.initialize(to: bz_stream())
    try open()
  }

  deinit {
    if isOpen { BZ2_bzDecompressEnd(stream) }
    stream.deallocate()
    output.deallocate()
  }

  private func open() throws(ApusError) {
    stream.pointee = bz_stream()
    guard BZ2_bzDecompressInit(stream, 0, 0) == BZ_OK else {
      throw ApusError(.resourceExhausted, "no memory for bzip2 decompression")
    }
    isOpen = true
  }

  func decompress(
    _ input: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(ApusError) -> Void
  ) throws(ApusError) {
    var rest = input
    while let start = rest.baseAddress, !rest.isEmpty {
      started = true
      if !isOpen { try open() }
      // The library counts in 32 bits, and only reads through this pointer.
      let count = min(rest.count, 1 << 30)
      stream.pointee.next_in = UnsafeMutablePointer(mutating: start.assumingMemoryBound(to: CChar.self))
      stream.pointee.avail_in = UInt32(count)
      try run(body)
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count - Int(stream.pointee.avail_in)))
    }
  }

  /// Until the input is used up or the stream ends.
  private func run(_ body: (UnsafeRawBufferPointer) throws(ApusError) -> Void) throws(ApusError) {
    repeat {
      stream.pointee.next_out = output.assumingMemoryBound(to: CChar.self)
      stream.pointee.avail_out = UInt32(compressionBufferSize)
      let result = BZ2_bzDecompress(stream)
      guard result == BZ_OK || result == BZ_STREAM_END else { throw Self.failure(result) }
      let count = compressionBufferSize - Int(stream.pointee.avail_out)
      if count > 0 { try body(UnsafeRawBufferPointer(start: output, count: count)) }
      if result == BZ_STREAM_END {
        BZ2_bzDecompressEnd(stream)
        isOpen = false
        return
      }
    } while stream.pointee.avail_in > 0 || stream.pointee.avail_out == 0
  }

  private static func failure(_ result: Int32) -> ApusError {
    switch result {
    case BZ_DATA_ERROR_MAGIC:
      ApusError(.invalidArgument, "the bzip2 stream is damaged, or followed by something that is no bzip2 stream")
    case BZ_MEM_ERROR: ApusError(.resourceExhausted, "no memory for bzip2 decompression")
    default: ApusError(.invalidArgument, "the bzip2 stream is damaged")
    }
  }

  func finish() throws(ApusError) {
    guard !started || !isOpen else { throw ApusError(.invalidArgument, "the bzip2 stream ends too early") }
  }
}
