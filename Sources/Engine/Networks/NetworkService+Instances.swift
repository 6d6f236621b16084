import Errors
import Netlink
import Networking

/// What instances ask for.
extension NetworkService {
  /// A request with its networks found: each by its id and name, the one of the mode first, the others by name.
  ///
  /// - Throws: `notFound` where there is no such network, `invalidArgument` for what contradicts itself.
  func resolved(
    _ configuration: NetworkConfiguration, warnings: inout [String]
  ) throws -> NetworkConfiguration {
    var configuration = configuration
    let mode = configuration.mode
    let isPlain = ["host", "none"].contains(mode) || mode.hasPrefix("container:")
    if isPlain || configuration.disabled {
      let others = configuration.endpoints.filter { $0.network != mode && $0.network != "default" }
      guard others.isEmpty else {
        throw ApusError(
          .invalidArgument,
          "conflicting options: an instance with the network mode \(mode) cannot be in network \(others[0].network) too"
        )
      }
      if mode == "host", !configuration.ports.isEmpty || configuration.publishAll {
        warnings.append("Published ports are discarded when using host network mode")
      }
      configuration.endpoints = []
      return configuration
    }
    let primary = try resolved(EndpointConfiguration(network: mode))
    var endpoints: [String: EndpointConfiguration] = [:]
    for asked in configuration.endpoints {
      let endpoint = try resolved(asked)
      guard endpoints.updateValue(endpoint, forKey: endpoint.networkID) == nil else {
        throw ApusError(.invalidArgument, "network \"\(asked.network)\" is specified multiple times")
      }
    }
    var first = endpoints.removeValue(forKey: primary.networkID) ?? primary
    first.links += configuration.links
    configuration.endpoints = [first] + endpoints.values.sorted { $0.network < $1.network }
    for endpoint in configuration.endpoints { try check(endpoint) }
    return configuration
  }

  func resolved(_ asked: EndpointConfiguration) throws -> EndpointConfiguration {
    var endpoint = asked
    if ["", "default"].contains(asked.network) {
      endpoint.networkID = defaultID
    } else {
      guard case .made(let id) = try find(asked.network) else {
        throw ApusError(.invalidArgument, "an instance cannot be in network \(asked.network) and in others")
      }
      endpoint.networkID = id
    }
    endpoint.network = try entry(endpoint.networkID).record.definition.name
    return endpoint
  }

  /// What can be said to be wrong before anything is leased.
  func check(_ endpoint: EndpointConfiguration) throws(ApusError) {
    let definition = try entry(endpoint.networkID).record.definition
    _ = try EndpointOptions.rate(endpoint.driverOptions)
    if let mac = endpoint.mac { _ = try EndpointOptions.mac(mac) }
    if let name = endpoint.driverOptions[NetworkOption.interfaceName] {
      guard (1...NetworkPlanning.longestInterface).contains(name.utf8.count), name != ".", name != "..", name != "lo",
        name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") })
      else { throw ApusError(.invalidArgument, "invalid interface name \"\(name.prefix(40))\"") }
    }
    for (family, text) in [(IPAddress.Family.v4, endpoint.ipv4), (.v6, endpoint.ipv6)] {
      guard let text, !text.isEmpty else { continue }
      guard let address = IPAddress(text), address.family == family else {
        throw ApusError(.invalidArgument, "invalid \(family == .v4 ? "IPv4" : "IPv6") address: \(text)")
      }
      guard definition.subnets.contains(where: { $0.subnet.contains(address) }) else {
        throw ApusError(
          .invalidArgument,
          "invalid config for network \(definition.name): invalid endpoint settings:\n"
            + "no configured subnet contains IP address \(text)")
      }
    }
    for text in endpoint.linkLocal where IPAddress(text)?.isLinkLocal != true {
      throw ApusError(.invalidArgument, "invalid link-local IP address: \(text)")
    }
    for name in endpoint.aliases where name.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) || name.isEmpty {
      throw ApusError(.invalidArgument, "invalid network alias \"\(name)\"")
    }
  }

  /// An instance that is in networks has another name.
  func rename(_ instance: String, from old: String, to new: String) {
    state.withLock { state in
      for (id, entry) in state.networks {
        guard var member = entry.members[instance] else { continue }
        member.instanceName = new
        member.names = member.names.map { $0 == old.lowercased() ? new.lowercased() : $0 }
        state.networks[id]?.insert(member, of: instance)
      }
    }
  }

  /// Puts an instance into one more network, at once where it runs.
  public func connect(_ reference: String, instance: String, _ configuration: EndpointConfiguration) async throws {
    guard case .made = try find(reference) else {
      throw ApusError(
        .permissionDenied, "container cannot be connected to network \(reference): it is one for instances alone")
    }
    var asked = configuration
    asked.network = reference
    try await index.resolve(instance).connect(resolved(asked))
  }

  /// Takes an instance out of a network.
  ///
  /// - Parameter force: an instance that is not there is fine.
  public func disconnect(_ reference: String, instance: String, force: Bool) async throws {
    guard case .made(let id) = try find(reference) else {
      throw ApusError(
        .permissionDenied, "container cannot be disconnected from network \(reference)")
    }
    let found: Instance
    do {
      found = try index.resolve(instance)
    } catch let error as ApusError where force && error.code == .notFound {
      return
    }
    try await found.disconnect(id)
  }
}

extension NetworkConfiguration {
  /// The one network it is in, where nothing more is asked for; what stands by fits then. Ports are published
  /// later than an endpoint is plugged, so they are of no interest.
  var usualNetworkID: String? {
    guard endpoints.count == 1, dns.isEmpty else { return nil }
    let endpoint = endpoints[0]
    var plain = EndpointConfiguration(id: endpoint.networkID)
    plain.network = endpoint.network
    plain.aliases = endpoint.aliases
    plain.links = endpoint.links
    plain.gatewayPriority = endpoint.gatewayPriority
    return plain == endpoint ? endpoint.networkID : nil
  }
}
