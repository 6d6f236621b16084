/// A filter's value that may be a regular expression (`name=^web`).
enum FilterPattern {
  /// Whether the pattern is found anywhere in the text.
  static func matches(_ text: String, _ pattern: String) -> Bool {
    if pattern.utf8.allSatisfy({ isPlain($0) }) { return text.contains(pattern) }
    guard let expression = try? Regex(pattern) else { return text.contains(pattern) }
    return text.firstMatch(of: expression) != nil
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}
