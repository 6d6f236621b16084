import DockerTypes
import Engine
import Errors
import Netlink

extension NetworkConfiguration {
  /// What a `POST /containers/create` of the present form says of networks, names and ports.
  ///
  /// - Throws: `invalidArgument` in Docker's words for what contradicts itself or cannot be read.
  init(_ config: ContainerConfig, _ host: HostConfig, _ networking: NetworkingConfig?) throws(ApusError) {
    self.init()
    mode = NetworkName.mode(host.networkMode)
    let asked = networking?.endpointsConfig ?? [:]
    try Self.checkConflicts(host, asked: Set(asked.keys))
    extraHosts = host.extraHosts ?? []
    dns = host.dns ?? []
    dnsSearch = host.dnsSearch ?? []
    dnsOptions = host.dnsOptions ?? []
    disabled = config.networkDisabled ?? false
    let bindings = host.portBindings ?? [:]
    let published = try PortBinding.all(bindings)
    exposedPorts = try Self.exposed((config.exposedPorts ?? [:]).keys.sorted() + bindings.keys.sorted())
    var endpoints: [EndpointConfiguration] = []
    for (name, settings) in asked.sorted(by: { $0.key < $1.key }) {
      do {
        endpoints.append(try EndpointConfiguration(name, settings ?? EndpointSettings()))
      } catch {
        throw ApusError(.invalidArgument, "invalid config for network \(name): \(error.message)")
      }
    }
    ports = published
    publishAll = host.publishAllPorts
    guard ![NetworkName.host, NetworkName.none].contains(mode), !NetworkName.isContainer(mode) else { return }
    self.endpoints = endpoints
    // Networks that are named are all there are: the default one is for those who name none.
    if mode == NetworkName.bridge, asked[mode] == nil, let first = endpoints.max(by: { $0.comesAfter($1) }) {
      mode = first.network
    }
    if mode == NetworkName.bridge {
      for link in host.links ?? [] { links.append(try LinkText(link).description) }
    }
  }

  private static func exposed(_ texts: [String]) throws(ApusError) -> [String] {
    var exposed: Set<String> = []
    for text in texts {
      let found = try PortText(text)
      guard found.ports.lowerBound > 0 else { throw PortText.invalid(text) }
      for port in found.ports { exposed.insert("\(port)/\(found.proto.rawValue)") }
    }
    return exposed.sorted()
  }

  private static func checkConflicts(_ host: HostConfig, asked: Set<String>) throws(ApusError) {
    let mode = NetworkName.mode(host.networkMode)
    func invalid(_ sentence: String) -> ApusError { ApusError(.invalidArgument, sentence) }
    let hasLinks = host.links?.isEmpty == false
    if NetworkName.isContainer(mode) {
      if hasLinks {
        throw invalid(
          "conflicting options: container type network can't be used with links. This would result in undefined behavior"
        )
      }
      if host.publishAllPorts || host.portBindings?.isEmpty == false {
        throw invalid("conflicting options: port publishing and the container type network mode")
      }
    }
    if mode == NetworkName.host, hasLinks {
      throw invalid(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior")
    }
    let others = asked.subtracting([mode])
    if others.contains(NetworkName.host) {
      throw invalid("cannot connect container to host network - container must be created in host network mode")
    }
    if NetworkName.isContainer(mode) || mode == NetworkName.host, !others.isEmpty {
      throw invalid(
        "container sharing network namespace with another container or host cannot be connected to any other network")
    }
    if mode == NetworkName.none ? !others.isEmpty : asked.contains(NetworkName.none) && asked.count > 1 {
      throw invalid(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode")
    }
  }
}

extension EndpointConfiguration {
  /// One of `NetworkingConfig.EndpointsConfig`, or `EndpointConfig` of a connect.
  ///
  /// - Throws: `invalidArgument` in Docker's words.
  init(_ network: String, _ settings: EndpointSettings) throws(ApusError) {
    let isUserDefined = NetworkName.isUserDefined(network)
    self.init(network: isUserDefined && !settings.networkID.isEmpty ? settings.networkID : network)
    func invalid(_ sentence: String) -> ApusError {
      ApusError(.invalidArgument, "invalid endpoint settings: \(sentence)")
    }
    ipv4 = settings.ipamConfig?.iPv4Address?.nonEmpty
    ipv6 = settings.ipamConfig?.iPv6Address?.nonEmpty
    linkLocal = settings.ipamConfig?.linkLocalIPs ?? []
    aliases = settings.aliases ?? []
    if !isUserDefined {
      if ipv4 != nil || ipv6 != nil {
        throw invalid("user specified IP address is supported on user defined networks only")
      }
      if !aliases.isEmpty {
        throw invalid("network-scoped alias is supported only for containers in user defined networks")
      }
    }
    func isUsable(_ text: String, _ family: IPAddress.Family? = nil) -> Bool {
      guard let address = IPAddress(text), !address.isUnspecified else { return false }
      return family == nil || address.family == family
    }
    if let ipv4, !isUsable(ipv4, .v4) { throw invalid("invalid IPv4 address: \(ipv4)") }
    if let ipv6, !isUsable(ipv6, .v6) { throw invalid("invalid IPv6 address: \(ipv6)") }
    for address in linkLocal where !isUsable(address) { throw invalid("invalid link-local IP address: \(address)") }
    mac = settings.macAddress.nonEmpty
    if let mac, MACAddress(mac) == nil { throw invalid("invalid MAC address \(mac)") }
    for link in settings.links ?? [] { links.append(try LinkText(link).description) }
    driverOptions = settings.driverOpts ?? [:]
    gatewayPriority = settings.gwPriority
  }

  /// Docker's order of networks: by priority, then by name.
  fileprivate func comesAfter(_ other: EndpointConfiguration) -> Bool {
    gatewayPriority == other.gatewayPriority ? network > other.network : gatewayPriority < other.gatewayPriority
  }
}

/// `container:alias`, `container`, or, as an inspect gives it back, `/container:/this/alias`.
struct LinkText: CustomStringConvertible {
  let container: String
  let alias: String

  /// - Throws: `invalidArgument` in Docker's words.
  init(_ text: String) throws(ApusError) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    if text.isEmpty { throw ApusError(.invalidArgument, "empty string specified for links") }
    guard parts.count <= 2, let first = parts.first, let last = parts.last, !first.isEmpty, !last.isEmpty else {
      throw ApusError(.invalidArgument, "bad format for links: \(text)")
    }
    container = first.hasPrefix("/") ? String(first.dropFirst()) : String(first)
    alias = last.split(separator: "/").last.map(String.init) ?? container
  }

  var description: String { "\(container):\(alias)" }

  /// As an inspect of the container `name` shows it.
  static func described(_ text: String, by name: String) -> String {
    guard let link = try? LinkText(text) else { return text }
    return "/\(link.container):/\(name)/\(link.alias)"
  }
}
