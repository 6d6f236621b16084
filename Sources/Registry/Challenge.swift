/// One challenge of a `WWW-Authenticate` header (RFC 9110, section 11.6.1): a scheme and its parameters.
struct Challenge: Equatable, Sendable {
  /// Lower case: `bearer`, `basic`.
  var scheme: String
  /// Names in lower case.
  var parameters: [String: String] = [:]

  /// Every challenge of one header field. What is malformed is left out: the worst that follows is "not authorised".
  static func parse(_ header: String) -> [Challenge] {
    guard header.utf8.count <= 8192 else { return [] }
    var scanner = Scanner(bytes: Array(header.utf8))
    var challenges: [Challenge] = []
    while true {
      scanner.skipSeparators()
      guard let word = scanner.token() else { return challenges }
      scanner.skipSpaces()
      if scanner.take(0x3d) {
        // `name=value` belongs to the challenge before it; without one it is noise.
        let value = scanner.value() ?? ""
        if !challenges.isEmpty { challenges[challenges.count - 1].parameters[word.lowercased()] = value }
      } else {
        challenges.append(Challenge(scheme: word.lowercased()))
      }
    }
  }

  private struct Scanner {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpaces() {
      while let byte = next, byte == 0x20 || byte == 0x09 { position += 1 }
    }

    mutating func skipSeparators() {
      while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x2c { position += 1 }
    }

    mutating func take(_ byte: UInt8) -> Bool {
      guard next == byte else { return false }
      position += 1
      return true
    }

    /// Up to a separator, nil at the end or at a character that starts no token.
    mutating func token() -> String? {
      let start = position
      while let byte = next, byte > 0x20, byte < 0x7f, byte != 0x2c, byte != 0x3d, byte != 0x22 { position += 1 }
      return position > start ? String(decoding: bytes[start..<position], as: UTF8.self) : nil
    }

    /// A token or a quoted string, unescaped.
    mutating func value() -> String? {
      skipSpaces()
      guard take(0x22) else { return token() }
      var text: [UInt8] = []
      while let byte = next {
        position += 1
        if byte == 0x22 { break }
        if byte == 0x5c, let escaped = next {
          position += 1
          text.append(escaped)
        } else {
          text.append(byte)
        }
      }
      return String(decoding: text, as: UTF8.self)
    }
  }
}
