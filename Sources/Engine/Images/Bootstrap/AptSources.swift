/// One source of packages of the machine's own apt (sources.list(5)).
struct AptSource: Equatable, Sendable {
  var uri: String
  var suites: [String]
  var components: [String]
  /// Path of a keyring.
  var signedBy: String?
  var isTrusted = false

  /// Reads a `.list` file (one source a line) or a `.sources` file (deb822).
  static func parse(_ text: String, isDeb822: Bool) -> [AptSource] {
    isDeb822 ? parseStanzas(text) : text.split(separator: "\n").compactMap { parseLine(String($0)) }
  }

  private static func parseLine(_ line: String) -> AptSource? {
    var words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init)
    guard words.count >= 3, words.removeFirst() == "deb" else { return nil }
    var source = AptSource(uri: "", suites: [], components: [])
    if words[0].hasPrefix("[") {
      guard let end = words.firstIndex(where: { $0.hasSuffix("]") }) else { return nil }
      for option in words[...end].flatMap({ $0.split { "[] ".contains($0) } }) {
        let parts = option.split(separator: "=", maxSplits: 1).map(String.init)
        if parts.count == 2 { source.set(parts[0].lowercased(), parts[1]) }
      }
      words.removeSubrange(...end)
    }
    guard words.count >= 2 else { return nil }
    source.uri = words[0]
    source.suites = [words[1]]
    source.components = Array(words.dropFirst(2))
    return source
  }

  private static func parseStanzas(_ text: String) -> [AptSource] {
    var result: [AptSource] = []
    var fields: [String: String] = [:]
    var name = ""
    func finish() {
      defer { fields = [:] }
      func words(_ key: String) -> [String] {
        (fields[key] ?? "").split(whereSeparator: \.isWhitespace).map(String.init)
      }
      guard words("types").contains("deb"), (fields["enabled"] ?? "yes").lowercased() != "no" else { return }
      for uri in words("uris") {
        var source = AptSource(uri: uri, suites: words("suites"), components: words("components"))
        // A whole key in place of a path is not repeated: the distribution's own keyring has it.
        if let key = words("signed-by").first, words("signed-by").count == 1 { source.set("signed-by", key) }
        source.set("trusted", fields["trusted"] ?? "no")
        result.append(source)
      }
    }
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("#") { continue }
      if line.allSatisfy(\.isWhitespace) {
        finish()
      } else if line.first?.isWhitespace == true {
        fields[name, default: ""] += " " + line
      } else if let colon = line.firstIndex(of: ":") {
        name = line[..<colon].lowercased()
        fields[name] = String(line[line.index(after: colon)...].drop { $0.isWhitespace })
      }
    }
    finish()
    return result
  }

  private mutating func set(_ option: String, _ value: String) {
    if option == "signed-by", value.hasPrefix("/") { signedBy = value }
    if option == "trusted" { isTrusted = value.lowercased() == "yes" }
  }
}
