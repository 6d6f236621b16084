import CISAL
import Errors

/// gzip by ISA-L for blobs that are made here. The same input gives the same bytes: no name, no time.
final class GzipCompressor {
  private let stream = UnsafeMutablePointer<isal_zstream>.allocate(capacity: 1)
  private let workspace: UnsafeMutablePointer<UInt8>
  private let output = UnsafeMutableRawPointer.allocate(byteCount: compressionBufferSize, alignment: 4096)

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
      stream.pointee.avail_out = UInt32(compressionBufferSize)
      guard isal_deflate(stream) == COMP_OK else { throw ApusError(.internal, "gzip compression failed") }
      let count = compressionBufferSize - Int(stream.pointee.avail_out)
      if count > 0 { try body(UnsafeRawBufferPointer(start: output, count: count)) }
    } while stream.pointee.avail_out == 0
  }
}
