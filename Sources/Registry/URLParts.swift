/// As much of a URL (RFC 3986) as redirects need: its origin, and the rest untouched.
struct URLParts: Equatable, Sendable {
  /// Lower case; `http` or `https` only.
  var scheme: String
  /// Lower case, IPv6 in brackets.
  var host: String
  var port: Int?
  /// Path, query: from the first slash on.
  var rest: String

  init?(_ text: String) {
    guard text.utf8.count <= 16_384, text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }),
      let mark = Self.firstRange(of: "://", in: text)
    else { return nil }
    scheme = text[..<mark.lowerBound].lowercased()
    guard scheme == "http" || scheme == "https" else { return nil }
    var tail = text[mark.upperBound...]
    if let fragment = tail.firstIndex(of: "#") { tail = tail[..<fragment] }
    let end = tail.firstIndex { $0 == "/" || $0 == "?" } ?? tail.endIndex
    let authority = tail[..<end]
    rest = String(tail[end...])
    if !rest.hasPrefix("/") { rest = "/" + rest }
    // User information in a URL would be credentials chosen by whoever wrote the URL.
    guard !authority.contains("@") else { return nil }
    var name = authority
    if let colon = authority.lastIndex(of: ":"), authority[colon...].firstIndex(of: "]") == nil {
      guard let number = Int(authority[authority.index(after: colon)...]), (1...65535).contains(number) else {
        return nil
      }
      port = number
      name = authority[..<colon]
    }
    host = name.lowercased()
    guard !host.isEmpty else { return nil }
  }

  /// The host with its port, where one is written.
  var authority: String { host + (port.map { ":\($0)" } ?? "") }

  var text: String { "\(scheme)://\(authority)\(rest)" }

  func hasSameOrigin(as other: URLParts) -> Bool {
    func effective(_ url: URLParts) -> Int { url.port ?? (url.scheme == "https" ? 443 : 80) }
    return scheme == other.scheme && host == other.host && effective(self) == effective(other)
  }

  /// The target of a `Location` header seen at this URL.
  func resolving(_ location: String) -> URLParts? {
    if Self.firstRange(of: "://", in: location) != nil, let absolute = URLParts(location) { return absolute }
    if location.hasPrefix("//") { return URLParts("\(scheme):\(location)") }
    let origin = "\(scheme)://\(authority)"
    if location.hasPrefix("/") { return URLParts(origin + location) }
    if location.contains("://") { return nil }
    let path = rest.prefix { $0 != "?" }
    let directory = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
    return URLParts(origin + directory + location)
  }

  private static func firstRange(of mark: String, in text: String) -> Range<String.Index>? {
    var start = text.startIndex
    while start < text.endIndex {
      if text[start...].hasPrefix(mark) { return start..<text.index(start, offsetBy: mark.count) }
      // Only a scheme may come before it.
      guard text[start].isASCII, text[start].isLetter || text[start].isNumber || "+-.".contains(text[start]) else {
        return nil
      }
      start = text.index(after: start)
    }
    return nil
  }
}
