import Errors

/// The keys that leave a container running and give the terminal back: `ctrl-p,ctrl-q` unless said otherwise.
///
/// The daemon knows them too, but a stream it closes looks like one whose program ended; matching them here as well
/// tells the two apart at once.
struct DetachKeys: Sendable {
  static let standard = "ctrl-p,ctrl-q"
  private let sequence: [UInt8]
  private var matched = 0

  /// - Parameter text: keys divided by commas: a character, or `ctrl-` and a letter or one of `@[\]^_`. Empty: none.
  init(_ text: String) throws(ApusError) {
    var sequence: [UInt8] = []
    for key in text.split(separator: ",", omittingEmptySubsequences: true) {
      let bytes = Array(key.utf8)
      if bytes.count == 1, bytes[0] < 0x80 {
        sequence.append(bytes[0])
      } else if key.lowercased().hasPrefix("ctrl-"), bytes.count == 6, let code = Self.control(bytes[5]) {
        sequence.append(code)
      } else {
        throw ApusError(
          .invalidArgument, "'\(key)' in the detach keys is not a key; write a character, or ctrl- and a letter.")
      }
    }
    self.sequence = sequence
  }

  private static func control(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 1
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "@"), UInt8(ascii: "[")...UInt8(ascii: "_"): byte & 0x1F
    default: nil
    }
  }

  /// What of the typed bytes goes on to the container, and whether the user left. The beginning of the sequence is
  /// held back until the next key tells what it was.
  mutating func filter(_ typed: ArraySlice<UInt8>) -> (forward: [UInt8], detached: Bool) {
    guard !sequence.isEmpty else { return (Array(typed), false) }
    var forward: [UInt8] = []
    for byte in typed {
      if byte == sequence[matched] {
        matched += 1
        if matched == sequence.count { return (forward, true) }
        continue
      }
      forward += sequence[..<matched]
      matched = 0
      if byte == sequence[0] {
        matched = 1
        if sequence.count == 1 { return (forward, true) }
      } else {
        forward.append(byte)
      }
    }
    return (forward, false)
  }
}
