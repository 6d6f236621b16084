/// Base64 (RFC 4648).
enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func encode(_ bytes: [UInt8], urlSafe: Bool = false) -> String {
    var output: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var bits = 0
      for position in 0..<3 { bits = bits << 8 | (position < group.count ? Int(group[start + position]) : 0) }
      for position in 0..<4 {
        if position > group.count {
          output.append(UInt8(ascii: "="))
        } else {
          output.append(alphabet[bits >> (18 - 6 * position) & 63])
        }
      }
    }
    let text = String(decoding: output, as: UTF8.self)
    guard urlSafe else { return text }
    return String(text.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
  }

  /// nil where a character is none of the alphabet.
  static func decode(_ text: String) -> [UInt8]? {
    var output: [UInt8] = []
    var bits = 0, count = 0
    for byte in text.utf8 where byte != UInt8(ascii: "=") {
      let value: Int
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = Int(byte) - 65
      case UInt8(ascii: "a")...UInt8(ascii: "z"): value = Int(byte) - 71
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = Int(byte) + 4
      case UInt8(ascii: "+"): value = 62
      case UInt8(ascii: "/"): value = 63
      default: return nil
      }
      bits = (bits << 6 | value) & 0xFFFFFF
      count += 6
      if count >= 8 {
        count -= 8
        output.append(UInt8(bits >> count & 0xFF))
      }
    }
    return output
  }
}
