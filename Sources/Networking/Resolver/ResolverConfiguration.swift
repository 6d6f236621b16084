import Netlink

/// What a resolv.conf(5) says.
public struct ResolverConfiguration: Sendable, Equatable {
  public var servers: [IPAddress] = []
  /// Domains that names without a dot are looked up in.
  public var search: [String] = []
  public var options: [String] = []

  public init(servers: [IPAddress] = [], search: [String] = [], options: [String] = []) {
    self.servers = servers
    self.search = search
    self.options = options
  }

  /// Lines that are not understood are left out, and so are servers whose address has a zone (`fe80::1%eth0`).
  public init(parsing text: String) {
    for line in text.split(whereSeparator: \.isNewline) {
      guard let first = line.first, first != "#", first != ";" else { continue }
      let words = line.split { $0 == " " || $0 == "\t" }
      switch words.first {
      case "nameserver": servers += words.dropFirst().prefix(1).compactMap { IPAddress(String($0)) }
      // The last one counts.
      case "search", "domain": search = words.dropFirst().map(String.init)
      case "options": options += words.dropFirst().map(String.init)
      default: continue
      }
    }
  }

  /// As a file has it.
  public var text: String {
    var lines = servers.map { "nameserver \($0)" }
    if !search.isEmpty { lines.append("search " + search.joined(separator: " ")) }
    if !options.isEmpty { lines.append("options " + options.joined(separator: " ")) }
    return lines.map { $0 + "\n" }.joined()
  }
}
