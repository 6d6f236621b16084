import CISAL
import Errors

/// gzip by ISA-L, twice as fast as zlib. Several members in a row are one stream (RFC 1952, 2.2); anything else behind
/// the last member is an error.
final class GzipDecompressor: Decompressor {
  private let state = UnsafeMutablePointer<inflate_state>.allocate(capacity: 1)
  private let output = UnsafeMutableRawPointer.allocate(byteCount: compressionBufferSize, alignment: 4096)
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
      state.pointee.avail_out = UInt32(compressionBufferSize)
      let result = isal_inflate(state)
      guard result >= 0 else { throw Self.failure(result) }
      let count = compressionBufferSize - Int(state.pointee.avail_out)
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
