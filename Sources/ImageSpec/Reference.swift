import Errors

/// The name of an image: `[domain/]path[:tag][@digest]` (grammar: distribution/reference; Docker's short forms).
///
/// `debian` is `docker.io/library/debian`; `localhost/x` and `host:5000/x` name their registry themselves.
public struct Reference: Hashable, Sendable, Codable, CustomStringConvertible {
  public static let defaultDomain = "docker.io"
  public static let defaultTag = "latest"

  /// `docker.io`, `registry.example:5000`.
  public let domain: String
  /// `library/debian`.
  public let path: String
  /// nil: none was written.
  public private(set) var tag: String?
  public private(set) var digest: Digest?

  /// - Throws: `invalidArgument` in Docker's words.
  public init(parsing text: String) throws(ApusError) {
    func invalid(_ why: String = "") -> ApusError {
      ApusError(.invalidArgument, "invalid reference format" + why)
    }
    guard !text.isEmpty, text.utf8.count <= 255 + 1 + 128 + 1 + 136 else { throw invalid() }
    if text.utf8.count == 64, text.utf8.allSatisfy(Self.isHex) {
      throw invalid(": repository name (\(text)) cannot be 64-byte hexadecimal strings")
    }
    var rest = Substring(text)
    var digest: Digest?
    if let at = rest.firstIndex(of: "@") {
      guard let parsed = Digest(String(rest[rest.index(after: at)...])) else { throw invalid() }
      digest = parsed
      rest = rest[..<at]
    }
    var domain = Self.defaultDomain
    if let slash = rest.firstIndex(of: "/") {
      let first = rest[..<slash]
      let named = first.utf8.contains { $0 == 0x2e || $0 == 0x3a } || first == "localhost"
      if named || first.utf8.contains(where: { (0x41...0x5a).contains($0) }) {
        guard Self.isDomain(first) else { throw invalid() }
        domain = first == "index.docker.io" ? Self.defaultDomain : String(first)
        rest = rest[rest.index(after: slash)...]
      }
    }
    var tag: String?
    if let colon = rest.lastIndex(of: ":") {
      let text = rest[rest.index(after: colon)...]
      guard Self.isTag(text) else { throw invalid() }
      tag = String(text)
      rest = rest[..<colon]
    }
    if domain == Self.defaultDomain, !rest.isEmpty, !rest.contains("/") { rest = "library/" + rest }
    if rest.utf8.contains(where: { (0x41...0x5a).contains($0) }) {
      throw invalid(": repository name (\(rest)) must be lowercase")
    }
    guard Self.isPath(rest) else { throw invalid() }
    guard domain.utf8.count + 1 + rest.utf8.count <= 255 else {
      throw invalid(": repository name must not be more than 255 characters")
    }
    self.domain = domain
    self.path = String(rest)
    self.tag = tag
    self.digest = digest
  }

  public init(from decoder: any Decoder) throws {
    try self.init(parsing: decoder.singleValueContainer().decode(String.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(canonical)
  }

  /// `docker.io/library/debian`.
  public var name: String { "\(domain)/\(path)" }

  /// The name as people write it: `debian`.
  public var familiarName: String {
    guard domain == Self.defaultDomain else { return name }
    let parts = path.split(separator: "/")
    if parts.count == 2, parts[0] == "library" {
      // Alone, 64 hexadecimal digits are an image's ID and no name.
      return parts[1].utf8.count == 64 && parts[1].utf8.allSatisfy(Self.isHex) ? name : String(parts[1])
    }
    // A first part that looks like a registry would be read as one.
    return parts.count > 1 && (parts[0].contains(".") || parts[0] == "localhost") ? name : path
  }

  /// `debian:12`, `debian@sha256:…`: short, with the tag and digest that were written.
  public var familiar: String { familiarName + suffix }

  /// `docker.io/library/debian:12`: the full form of the same.
  public var canonical: String { name + suffix }

  public var description: String { canonical }

  private var suffix: String { (tag.map { ":" + $0 } ?? "") + (digest.map { "@\($0)" } ?? "") }

  /// With `latest` where neither a tag nor a digest was written.
  public var withDefaultTag: Reference {
    tag == nil && digest == nil ? replacing(tag: Self.defaultTag, digest: nil) : self
  }

  /// - Throws: `invalidArgument` when `tag` is none.
  public func with(tag: String) throws(ApusError) -> Reference {
    guard Self.isTag(tag[...]) else { throw ApusError(.invalidArgument, "invalid tag format") }
    return replacing(tag: tag, digest: nil)
  }

  public func with(digest: Digest) -> Reference { replacing(tag: nil, digest: digest) }

  private func replacing(tag: String?, digest: Digest?) -> Reference {
    var copy = self
    copy.tag = tag
    copy.digest = digest
    return copy
  }

  // MARK: Grammar

  private static func isHex(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x7a).contains(byte) || (0x41...0x5a).contains(byte)
  }

  /// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
  public static func isTag(_ text: Substring) -> Bool {
    guard let first = text.utf8.first, isAlphanumeric(first) || first == 0x5f, text.utf8.count <= 128 else {
      return false
    }
    return text.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x5f || $0 == 0x2e || $0 == 0x2d }
  }

  /// Components of lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
  public static func isPath(_ text: Substring) -> Bool {
    text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { component in
      var separator: [UInt8] = []
      var any = false
      for byte in component.utf8 {
        switch byte {
        case 0x30...0x39, 0x61...0x7a:
          let joined =
            separator.isEmpty || separator == [0x2e] || separator == [0x5f] || separator == [0x5f, 0x5f]
            || separator.allSatisfy { $0 == 0x2d }
          guard joined else { return false }
          separator = []
          any = true
        case 0x2e, 0x5f, 0x2d:
          guard any else { return false }
          separator.append(byte)
        default:
          return false
        }
      }
      return any && separator.isEmpty
    }
  }

  /// A host name or address (IPv6 in brackets), and a port.
  public static func isDomain(_ text: Substring) -> Bool {
    var host = text
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return false }
      let address = text[text.index(after: text.startIndex)..<end]
      guard !address.isEmpty, address.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 0x3a }) else { return false }
      host = text[text.index(after: end)...]
      return host.isEmpty || isPort(host)
    }
    if let colon = host.firstIndex(of: ":") {
      guard isPort(host[colon...]) else { return false }
      host = host[..<colon]
    }
    return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      guard let first = label.utf8.first, let last = label.utf8.last, isAlphanumeric(first), isAlphanumeric(last) else {
        return false
      }
      return label.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2d }
    }
  }

  private static func isPort(_ text: Substring) -> Bool {
    text.hasPrefix(":") && (2...6).contains(text.utf8.count)
      && text.utf8.dropFirst().allSatisfy { (0x30...0x39).contains($0) }
  }
}
