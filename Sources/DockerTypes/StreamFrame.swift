/// The header before each piece of output on a multiplexed connection (`POST /containers/{id}/attach`, "Stream format"):
/// one byte for the stream, three zero bytes, the payload's length as a big-endian 32-bit number.
public struct StreamFrame: Sendable, Equatable {
  public static let headerSize = 8

  public enum Stream: UInt8, Sendable {
    case stdin = 0
    case stdout = 1
    case stderr = 2
    /// An error of the daemon, as text.
    case systemError = 3
  }

  public var stream: Stream
  public var length: UInt32

  public init(_ stream: Stream, length: UInt32) {
    self.stream = stream
    self.length = length
  }

  /// The eight bytes on the wire, as the number that a big-endian write of it gives.
  public var header: UInt64 { UInt64(stream.rawValue) << 56 | UInt64(length) }

  /// Reads the eight bytes on the wire, given as a big-endian number; nil when they are no header.
  public init?(header: UInt64) {
    guard header >> 32 & 0xFF_FFFF == 0, let stream = Stream(rawValue: UInt8(header >> 56)) else { return nil }
    self.init(stream, length: UInt32(truncatingIfNeeded: header))
  }
}
