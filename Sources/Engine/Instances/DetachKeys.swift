import Errors

/// Finds the key sequence that detaches a client from a terminal in what the client types.
///
/// Bytes that may begin the sequence are held back until the next ones decide; what does not complete it is passed on.
struct DetachKeys: Sendable {
  /// ctrl-p, ctrl-q.
  static let standard: [UInt8] = [0x10, 0x11]

  let sequence: [UInt8]
  private var matched = 0

  /// - Parameter text: comma-separated keys, each one character or `ctrl-` and one of `a`–`z`, `@`, `[`, `\`, `]`, `^`, `_`;
  ///   nil or empty: the standard one.
  init(_ text: String?) throws {
    guard let text, !text.isEmpty else {
      sequence = Self.standard
      return
    }
    var keys: [UInt8] = []
    for key in text.split(separator: ",", omittingEmptySubsequences: false) {
      let bytes = Array(key.utf8)
      if bytes.count == 1 {
        keys.append(bytes[0])
      } else if bytes.count == 6, key.hasPrefix("ctrl-"), let control = Self.control(bytes[5]) {
        keys.append(control)
      } else {
        throw ApusError(
          .invalidArgument,
          "Invalid detach keys (\(text)): '\(key)' is neither one character nor ctrl- followed by a letter or one of @ [ \\ ] ^ _"
        )
      }
    }
    guard keys.count <= 16 else {
      throw ApusError(.invalidArgument, "Invalid detach keys (\(text)): more than 16 keys")
    }
    sequence = keys
  }

  private static func control(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 1
    case UInt8(ascii: "@"): 0
    case UInt8(ascii: "[")...UInt8(ascii: "_"): byte - UInt8(ascii: "[") + 27
    default: nil
    }
  }

  /// Takes what was typed.
  ///
  /// - Returns: what goes on to the process, and whether the sequence was completed (what followed it is dropped).
  mutating func scan(_ input: some Sequence<UInt8>) -> (output: [UInt8], detached: Bool) {
    var output: [UInt8] = []
    for byte in input {
      // Fall back to the longest prefix that still fits, as a string search does; sequences are two or three keys long.
      while matched > 0, byte != sequence[matched] {
        let held = Array(sequence[..<matched])
        let next = (1...matched).first { held[$0...].elementsEqual(sequence[..<(matched - $0)]) } ?? matched
        output.append(contentsOf: held[..<next])
        matched -= next
      }
      if byte == sequence[matched] {
        matched += 1
        if matched == sequence.count {
          matched = 0
          return (output, true)
        }
      } else {
        output.append(byte)
      }
    }
    return (output, false)
  }
}
