import Errors

/// Takes apart the stream of a container without a terminal: frames of a type byte, three zeros, a length of four
/// bytes (big-endian) and the payload (Docker Engine API, "Attach to a container").
struct StreamDemultiplexer: Sendable {
  private var header: [UInt8] = []
  private var remaining = 0
  private var target: Int32 = 1

  /// Hands each piece of output to `write` with the descriptor it belongs to: 1 or 2.
  mutating func feed(_ bytes: [UInt8], write: (ArraySlice<UInt8>, Int32) throws -> Void) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      if remaining > 0 {
        let part = rest.prefix(remaining)
        try write(part, target)
        remaining -= part.count
        rest = rest.dropFirst(part.count)
        continue
      }
      let part = rest.prefix(8 - header.count)
      header += part
      rest = rest.dropFirst(part.count)
      guard header.count == 8 else { return }
      guard header[0] <= 3, header[1] == 0, header[2] == 0, header[3] == 0 else {
        throw ApusError(.unavailable, "The daemon's output stream is not divided into frames as it should be.")
      }
      remaining = header[4...7].reduce(0) { $0 << 8 | Int($1) }
      // 3 is the daemon's own error text.
      target = header[0] <= 1 ? 1 : 2
      header = []
    }
  }
}
