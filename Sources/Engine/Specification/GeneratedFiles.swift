import Errors
import Glibc
import Linux

/// /etc/hostname, /etc/hosts and /etc/resolv.conf of one instance: written anew for every start, mounted into it, and its
/// own to change.
public struct GeneratedFiles: Sendable {
  public var hostname: String
  public var hosts: String
  public var resolvConf: String

  public init(_ configuration: InstanceConfiguration, hostname: String) {
    let network = configuration.network
    let sharesHostNetwork = network.mode == "host"
    let fullName = configuration.domainname.flatMap { $0.isEmpty ? nil : hostname + "." + $0 } ?? hostname
    self.hostname = fullName + "\n"
    if sharesHostNetwork, network.extraHosts.isEmpty {
      hosts = Self.text("/etc/hosts")
    } else {
      // Without a network of its own an instance still is to find itself by name.
      hosts = Self.standardHosts
      if !sharesHostNetwork {
        hosts += "127.0.0.1\t\(fullName == hostname ? hostname : "\(fullName) \(hostname)")\n"
      }
      for entry in network.extraHosts {
        guard let separator = entry.firstIndex(where: { $0 == ":" || $0 == "=" }) else { continue }
        var address = entry[entry.index(after: separator)...]
        if address.hasPrefix("["), address.hasSuffix("]") { address = address.dropFirst().dropLast() }
        if address == "host-gateway" {
          // The host can be reached only from its own network namespace, until there are networks.
          guard sharesHostNetwork else { continue }
          address = "127.0.0.1"
        }
        hosts += "\(address)\t\(entry[..<separator])\n"
      }
    }
    resolvConf = Self.resolver(network, sharesHostNetwork: sharesHostNetwork)
  }

  private static let standardHosts = """
    127.0.0.1\tlocalhost
    ::1\tlocalhost ip6-localhost ip6-loopback
    fe00::\tip6-localnet
    ff00::\tip6-mcastprefix
    ff02::1\tip6-allnodes
    ff02::2\tip6-allrouters

    """

  private static func text(_ path: String) -> String {
    (try? Files.read(path, limit: 1 << 18)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// The host's resolv.conf with what the request replaces; resolvers on the host's loopback cannot be reached from
  /// another network namespace and are left out there.
  static func resolver(_ network: NetworkConfiguration, sharesHostNetwork: Bool, host: String? = nil) -> String {
    let host = host ?? text("/etc/resolv.conf")
    if sharesHostNetwork, network.dns.isEmpty, network.dnsSearch.isEmpty, network.dnsOptions.isEmpty { return host }
    var servers: [String] = []
    var search: [String] = []
    var options: [String] = []
    for line in host.split(separator: "\n") {
      let words = line.split { $0 == " " || $0 == "\t" }.map(String.init)
      switch words.first {
      case "nameserver": servers += words.dropFirst().prefix(1)
      case "search", "domain": search = Array(words.dropFirst())
      case "options": options += words.dropFirst()
      default: break
      }
    }
    if !sharesHostNetwork { servers.removeAll { $0.hasPrefix("127.") || $0 == "::1" } }
    if !network.dns.isEmpty { servers = network.dns }
    // `.` is how one says "none".
    if !network.dnsSearch.isEmpty { search = network.dnsSearch == ["."] ? [] : network.dnsSearch }
    if !network.dnsOptions.isEmpty { options = network.dnsOptions }
    var text = servers.map { "nameserver \($0)\n" }.joined()
    if !search.isEmpty { text += "search " + search.joined(separator: " ") + "\n" }
    if !options.isEmpty { text += "options " + options.joined(separator: " ") + "\n" }
    return text
  }

  /// An IPv4 or IPv6 address (with a zone).
  static func isAddress(_ text: String) -> Bool {
    var buffer = in6_addr()
    let bare = text.split(separator: "%", maxSplits: 1).first.map(String.init) ?? ""
    return inet_pton(AF_INET, text, &buffer) == 1 || inet_pton(AF_INET6, bare, &buffer) == 1
  }

  /// Writes the three files. The run directory must be there.
  public func write(to paths: InstancePaths) throws(ApusError) {
    for (path, text) in [(paths.hostname, hostname), (paths.hosts, hosts), (paths.resolvConf, resolvConf)] {
      let file = try Files.open(path, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o644)
      try Files.write(Array(text.utf8), to: file.raw, name: path)
    }
  }
}
