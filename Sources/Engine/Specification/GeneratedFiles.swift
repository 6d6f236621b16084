import Errors
import Glibc
import Linux
import Netlink
import Networking

/// /etc/hostname, /etc/hosts and /etc/resolv.conf of one instance: written anew for every start, mounted into it, and its
/// own to change.
public struct GeneratedFiles: Sendable {
  public var hostname: String
  public var hosts: String
  public var resolvConf: String

  /// - Parameters:
  ///   - record: with its endpoints, where it has any.
  ///   - linked: addresses of other instances with the names this one knows them by.
  ///   - hostGateway: the address at which the instance reaches the host (`host-gateway`); nil: it cannot.
  public init(
    _ record: InstanceRecord, hostname: String, linked: [LinkedInstance] = [], hostGateway: IPAddress? = nil,
    servesNames: Bool = false
  ) {
    let configuration = record.configuration
    let network = configuration.network
    let sharesHostNetwork = network.mode == "host"
    let fullName = configuration.domainname.flatMap { $0.isEmpty ? nil : hostname + "." + $0 } ?? hostname
    self.hostname = hostname + "\n"
    let names = fullName == hostname ? hostname : "\(fullName) \(hostname)"
    if sharesHostNetwork, network.extraHosts.isEmpty {
      hosts = Self.text("/etc/hosts")
    } else {
      hosts = Self.standardHosts
      // Without a network of its own an instance still is to find itself by name.
      if !sharesHostNetwork, record.state.endpoints.isEmpty { hosts += "127.0.0.1\t\(names)\n" }
      for entry in network.extraHosts {
        guard let separator = entry.firstIndex(where: { $0 == ":" || $0 == "=" }) else { continue }
        var address = entry[entry.index(after: separator)...]
        if address.hasPrefix("["), address.hasSuffix("]") { address = address.dropFirst().dropLast() }
        if address == "host-gateway" {
          guard let gateway = sharesHostNetwork ? "127.0.0.1" : hostGateway?.description else { continue }
          address = gateway[...]
        }
        hosts += "\(address)\t\(entry[..<separator])\n"
      }
      hosts += linked.map { "\($0.address)\t\($0.names.joined(separator: " "))\n" }.joined()
      hosts += Self.ownLines(record.state.endpoints, names: names)
    }
    resolvConf =
      servesNames
      ? Self.resolver(network, servers: [Self.nameServer])
      : Self.resolver(network, sharesHostNetwork: sharesHostNetwork)
  }

  /// Where an instance asks for names (``Network/Resolver``).
  static let nameServer = "127.0.0.11"

  /// Its own name at the addresses that names lead to.
  private static func ownLines(_ endpoints: [AttachedEndpoint], names: String) -> String {
    endpoints.flatMap { attached in
      [attached.endpoint.ipv4, attached.namesIPv6 ? attached.endpoint.ipv6 : nil].compactMap { $0?.address }
    }.map { "\($0)\t\(names)\n" }.joined()
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
  ///
  /// - Parameter servers: those to ask instead of all others.
  static func resolver(
    _ network: NetworkConfiguration, sharesHostNetwork: Bool = false, servers replacing: [String]? = nil,
    host: String? = nil
  ) -> String {
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
    if let replacing { servers = replacing }
    // `.` is how one says "none".
    if !network.dnsSearch.isEmpty { search = network.dnsSearch == ["."] ? [] : network.dnsSearch }
    if !network.dnsOptions.isEmpty { options = network.dnsOptions }
    // One label is a name of the instance's own networks: it is asked as it is first, which is what 0 says.
    if replacing != nil, !options.contains(where: { $0.hasPrefix("ndots:") }) { options.append("ndots:0") }
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

  /// Brings the files of a running instance from one state of its networks into another: what is ours in them is
  /// replaced, what the instance has added stays.
  ///
  /// A resolv.conf that is not as we wrote it is the instance's own.
  static func rewrite(_ paths: InstancePaths, from old: GeneratedFiles, to new: GeneratedFiles) throws(ApusError) {
    if old.hosts != new.hosts {
      let gone = old.hosts.split(separator: "\n").filter { !new.hosts.contains($0) }
      let added = new.hosts.split(separator: "\n").filter { !old.hosts.contains($0) }
      var lines = text(paths.hosts).split(separator: "\n", omittingEmptySubsequences: false).filter {
        !gone.contains($0)
      }
      if lines.last?.isEmpty ?? false { lines.removeLast() }
      try write((lines + added).joined(separator: "\n") + "\n", to: paths.hosts)
    }
    if old.resolvConf != new.resolvConf, text(paths.resolvConf) == old.resolvConf {
      try write(new.resolvConf, to: paths.resolvConf)
    }
  }

  /// Writes the three files. The run directory must be there.
  public func write(to paths: InstancePaths) throws(ApusError) {
    for (path, text) in [(paths.hostname, hostname), (paths.hosts, hosts), (paths.resolvConf, resolvConf)] {
      try Self.write(text, to: path)
    }
  }

  /// In place: the instance has the file mounted.
  private static func write(_ text: String, to path: String) throws(ApusError) {
    let file = try Files.open(path, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o644)
    try Files.write(Array(text.utf8), to: file.raw, name: path)
  }
}

/// Another instance that this one knows by names of its own (`--link`).
public struct LinkedInstance: Sendable, Equatable {
  public var address: IPAddress
  public var names: [String]
  /// What tells programs where it is, as Docker's legacy links do.
  public var environment: [String]
  public init(address: IPAddress, names: [String], environment: [String] = []) {
    self.address = address
    self.names = names
    self.environment = environment
  }
}

extension LinkedInstance {
  /// `DB_NAME`, `DB_PORT_5432_TCP_ADDR` and their kin, and the other's own variables.
  init(_ target: InstanceRecord, alias: String, address: IPAddress, of name: String) {
    let known = [alias, target.configuration.hostname(id: target.id), target.name]
    let names = known.reduce(into: [String]()) { names, name in if !names.contains(name) { names.append(name) } }
    let prefix = alias.uppercased().replacing("-", with: "_")
    var environment: [String] = []
    let ports = target.resolved.exposedPorts.flatMap(PortBinding.exposed).sorted { $0.port < $1.port }
    for (index, port) in ports.enumerated() {
      let proto = port.proto.rawValue
      let variable = "\(prefix)_PORT_\(port.port)_\(proto.uppercased())"
      if index == 0 { environment.append("\(prefix)_PORT=\(proto)://\(address):\(port.port)") }
      environment += [
        "\(variable)=\(proto)://\(address):\(port.port)", "\(variable)_ADDR=\(address)",
        "\(variable)_PORT=\(port.port)",
        "\(variable)_PROTO=\(proto)",
      ]
    }
    environment.append("\(prefix)_NAME=/\(name)/\(alias)")
    for assignment in target.resolved.environment
    where !["HOME", "PATH"].contains(ResolvedProcess.variableName(assignment))
      && assignment.utf8.contains(UInt8(ascii: "="))
    {
      environment.append("\(prefix)_ENV_\(assignment)")
    }
    self.init(address: address, names: names, environment: environment)
  }
}
