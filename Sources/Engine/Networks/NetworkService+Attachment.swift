import Errors
import FoundationEssentials
import Glibc
import Netlink
import Networking

/// What running instances have of the networks. All of it blocks.
extension NetworkService {
  /// An endpoint that has been plugged ahead of the start.
  struct PluggedEndpoint: Sendable {
    var attached: AttachedEndpoint
    /// The process whose namespace has it.
    var process: pid_t
  }

  // MARK: Leasing

  /// Leases an instance's addresses and reserves its ports, and writes that down.
  ///
  /// - Parameter plugged: what stands by for this instance, if it is what the instance is to have.
  /// - Throws: `notFound` where a network is gone, `resourceExhausted` where it is full, `conflict` where an address or
  ///   a port is taken. Then nothing is left of it.
  func attach(_ record: InstanceRecord, plugged: PluggedEndpoint?) throws -> Attachment {
    let wanted = record.configuration.network.endpoints
    guard !wanted.isEmpty else { return Attachment() }
    var attachment = Attachment()
    do {
      if let plugged {
        attachment.endpoints = [plugged.attached]
        guard definition(plugged.attached.endpoint.networkID) != nil else {
          throw ApusError(.notFound, "network \(plugged.attached.networkName) not found")
        }
      } else {
        try lease(wanted, for: record, into: &attachment)
      }
      try reservePorts(of: record, into: &attachment)
      try store(attachment, of: record.id)
    } catch {
      release(attachment, of: record.id)
      throw error
    }
    for (configuration, attached) in zip(ordered(wanted, as: attachment.endpoints), attachment.endpoints) {
      enter(attached, configuration, record)
    }
    return attachment
  }

  private func ordered(
    _ wanted: [EndpointConfiguration], as endpoints: [AttachedEndpoint]
  ) -> [EndpointConfiguration] {
    endpoints.compactMap { attached in wanted.first { $0.networkID == attached.endpoint.networkID } }
  }

  private func lease(
    _ wanted: [EndpointConfiguration], for record: InstanceRecord, into attachment: inout Attachment
  ) throws {
    for configuration in wanted {
      do {
        try prepare(configuration.networkID)
      } catch let error as ApusError where error.code == .notFound {
        throw ApusError(.notFound, "network \(configuration.network) not found")
      }
      let names = Set(attachment.endpoints.map(\.endpoint.interface))
      attachment.endpoints.append(try lease(configuration, instance: record.id, avoiding: names))
    }
    let definitions = attachment.endpoints.map { definition($0.endpoint.networkID) }
    attachment.endpoints = GatewayChoice.assign(
      attachment.endpoints, definitions: definitions, priorities: wanted.map(\.gatewayPriority))
  }

  /// One endpoint with its addresses; the network is on the host.
  ///
  /// - Parameter names: of interfaces that the instance has.
  func lease(
    _ configuration: EndpointConfiguration, instance: String, avoiding names: Set<String>
  ) throws(ApusError) -> AttachedEndpoint {
    let record = try entry(configuration.networkID).record
    let definition = record.definition
    let rate = try EndpointOptions.rate(configuration.driverOptions)
    let mac = try configuration.mac.map(EndpointOptions.mac)
    var interface = configuration.driverOptions[NetworkOption.interfaceName] ?? ""
    if interface.isEmpty {
      interface =
        (0...names.count).lazy.map { record.interfacePrefix + String($0) }.first { !names.contains($0) }
        ?? record.interfacePrefix + String(names.count)
    } else if names.contains(interface) {
      throw ApusError(.conflict, "the interface name \(interface) is asked for twice")
    }
    var endpoint = Endpoint(
      id: Self.newIdentifier(), networkID: definition.id, interface: interface, mac: mac ?? .random())
    endpoint.rate = rate
    endpoint.additional = try configuration.linkLocal.map { (text) throws(ApusError) in
      guard let address = IPAddress(text) else {
        throw ApusError(.invalidArgument, "invalid link-local IP address: \(text)")
      }
      return IPSubnet(address, prefixLength: address.family == .v4 ? 16 : 64)
    }
    do throws(ApusError) {
      endpoint.ipv4 = try takeAddress(.v4, asked: configuration.ipv4, definition)
      endpoint.ipv6 = try takeAddress(.v6, asked: configuration.ipv6, definition)
    } catch {
      let taken = endpoint
      state.withLock { $0.networks[definition.id]?.release(taken) }
      throw error
    }
    // Who remembers the address' last holder, by its Ethernet address, reaches the next one with it. Not beside one
    // another on macvlan's parent, where the kernel takes each once, and the last holder's may not have gone yet.
    if mac == nil, definition.driver == .bridge, let address = endpoint.addresses.first {
      endpoint.mac = .derived(from: address)
    }
    return AttachedEndpoint(
      networkName: definition.name, endpoint: endpoint, namesIPv6: record.namesIPv6 || endpoint.ipv4 == nil)
  }

  private func takeAddress(
    _ family: IPAddress.Family, asked: String?, _ definition: NetworkDefinition
  ) throws(ApusError) -> IPSubnet? {
    let version = family == .v4 ? "IPv4" : "IPv6"
    guard let subnet = definition.subnet(family)?.subnet else {
      guard let asked, !asked.isEmpty else { return nil }
      throw ApusError(
        .invalidArgument,
        "invalid config for network \(definition.name): the address \(asked) was asked for, but the network has no "
          + version)
    }
    if let asked, !asked.isEmpty {
      guard let address = IPAddress(asked), address.family == family else {
        throw ApusError(.invalidArgument, "invalid \(version) address: \(asked)")
      }
      guard subnet.contains(address) else {
        throw ApusError(
          .invalidArgument,
          "invalid config for network \(definition.name): no configured subnet contains IP address \(asked)")
      }
      let holder = state.withLock { state -> String? in
        guard var entry = state.networks[definition.id] else { return "" }
        if entry.take(address) {
          state.networks[definition.id] = entry
          return nil
        }
        return entry.members.values.first { $0.endpoint.addresses.contains(address) }?.instanceName ?? ""
      }
      guard let holder else { return IPSubnet(address, prefixLength: subnet.prefixLength) }
      throw ApusError(
        .conflict,
        "Address already in use: \(asked) in network \(definition.name)"
          + (holder.isEmpty ? " is reserved" : " is the address of container \"\(holder)\""))
    }
    let address = state.withLock { state in
      family == .v4 ? state.networks[definition.id]?.pool4?.take() : state.networks[definition.id]?.pool6?.take()
    }
    guard let address else {
      throw ApusError(
        .resourceExhausted,
        "no available \(version) addresses on this network's address pools: \(definition.name) (\(definition.id)): "
          + "stop instances that are in it, or use a larger subnet")
    }
    return IPSubnet(address, prefixLength: subnet.prefixLength)
  }

  func definition(_ id: String) -> NetworkDefinition? { state.withLock { $0.networks[id]?.record.definition } }

  /// From here on the instance is found by its names, and the network is in use.
  func enter(_ attached: AttachedEndpoint, _ configuration: EndpointConfiguration, _ record: InstanceRecord) {
    let member = Member(attached, configuration, record)
    state.withLock { $0.networks[attached.endpoint.networkID]?.insert(member, of: record.id) }
  }

  // MARK: Plugging

  /// Plugs what an instance of the usual kind will have, before there is one.
  func plug(ahead instance: String, network: String, process: pid_t) throws -> PluggedEndpoint {
    try prepare(network)
    let leased = try lease(EndpointConfiguration(id: network), instance: instance, avoiding: [])
    let attached = GatewayChoice.assign([leased], definitions: [definition(network)], priorities: [0])[0]
    do {
      let namespace = try NetworkNamespace(of: process)
      try plug(attached.endpoint, into: namespace)
      // It may have been removed before this was a part of it.
      _ = try entry(network)
      if hasNames([attached]) {
        let forwards = mayForward([EndpointConfiguration(id: network)])
        try resolver.serve(instance, in: namespace, upstreams: [], forwards: forwards)
      }
    } catch {
      release(Attachment(endpoints: [attached]), of: instance)
      throw error
    }
    return PluggedEndpoint(attached: attached, process: process)
  }

  /// Takes away what was plugged ahead and is not wanted.
  func unplug(_ plugged: PluggedEndpoint, of instance: String) {
    let endpoint = plugged.attached.endpoint
    if hasNames([plugged.attached]) { resolver.stop(instance) }
    if let definition = definition(endpoint.networkID) {
      do {
        try driver(definition).unplug(endpoint, of: definition, from: try? NetworkNamespace(of: plugged.process))
      } catch {
        logger.warning("an interface in network \(definition.name) that was made ahead: \(error)")
      }
    }
    release(Attachment(endpoints: [plugged.attached]), of: instance)
  }

  /// Puts the leased endpoints into the namespace of the instance's first process.
  func plug(_ attachment: Attachment, of record: InstanceRecord, process: pid_t) throws {
    guard !attachment.endpoints.isEmpty else { return }
    let namespace = try NetworkNamespace(of: process)
    for attached in attachment.endpoints { try plug(attached.endpoint, into: namespace) }
    if hasNames(attachment.endpoints) { try serveNames(record, in: namespace) }
  }

  /// Publishes the ports, and tells that the instance is in its networks.
  func announce(_ attachment: Attachment, of record: InstanceRecord) throws {
    try publish(attachment.ports, of: attachment.endpoints)
    for attached in attachment.endpoints {
      if let definition = definition(attached.endpoint.networkID) { event("connect", definition, instance: record.id) }
    }
  }

  func plug(_ endpoint: Endpoint, into namespace: NetworkNamespace) throws {
    let entry = try entry(endpoint.networkID)
    let definition = entry.record.definition
    do {
      try driver(definition).plug(endpoint, of: definition, into: namespace)
    } catch {
      // Somebody has taken the bridge away: it is made again, once.
      guard (try? HostLinks.names().contains(definition.interface)) == false, definition.driver == .bridge else {
        throw error
      }
      logger.notice("network \(definition.name): the bridge \(definition.interface) is gone and is made again")
      // Not where it was removed meanwhile.
      try changing.withLock { _ in try putOnHost(self.entry(endpoint.networkID).record) }
      try driver(definition).plug(endpoint, of: definition, into: namespace)
    }
  }

  /// Whether the instance has names to ask for: those of the network `bridge` find each other by links alone.
  func hasNames(_ endpoints: [AttachedEndpoint]) -> Bool {
    let defaultID = defaultID
    return endpoints.contains { $0.endpoint.networkID != defaultID }
  }

  /// The host's address in the instance's network, the one with the default route first.
  func hostGateway(of endpoints: [AttachedEndpoint]) -> IPAddress? {
    for attached in endpoints {
      guard let definition = definition(attached.endpoint.networkID), definition.driver == .bridge else { continue }
      if let gateway = (definition.subnet(.v4) ?? definition.subnet(.v6))?.gateway { return gateway }
    }
    return nil
  }

  /// What is in internal networks alone learns nothing from outside, and tells nothing.
  private func mayForward(_ endpoints: [EndpointConfiguration]) -> Bool {
    endpoints.contains { definition($0.networkID)?.isInternal == false }
  }

  func serveNames(_ record: InstanceRecord, in namespace: NetworkNamespace) throws {
    try resolver.serve(
      record.id, in: namespace, upstreams: record.configuration.network.dns.compactMap { IPAddress($0) },
      forwards: mayForward(record.configuration.network.endpoints))
  }

  // MARK: Letting go

  /// Gives back everything an instance has that does not run any more.
  ///
  /// - Returns: what is left to do and needs no waiting for.
  func detach(_ attachment: Attachment, of instance: String) -> @Sendable () -> Void {
    guard !attachment.endpoints.isEmpty else { return {} }
    if !attachment.ports.isEmpty {
      do {
        try firewall.withdraw(attachment.ports)
      } catch {
        logger.error("instance \(instance): its published ports could not be withdrawn: \(error)")
      }
    }
    if hasNames(attachment.endpoints) { resolver.stop(instance) }
    release(attachment, of: instance)
    noteDeletion(of: instance)
    for attached in attachment.endpoints {
      if let definition = definition(attached.endpoint.networkID) {
        event("disconnect", definition, instance: instance)
      }
    }
    return { [self] in
      for attached in attachment.endpoints {
        guard let definition = definition(attached.endpoint.networkID) else { continue }
        do {
          try driver(definition).unplug(attached.endpoint, of: definition, from: nil)
        } catch {
          logger.warning("instance \(instance): its interface in network \(definition.name): \(error)")
        }
      }
      deleteStrays(attachment)
    }
  }

  /// How long the kernel may take to let go of a namespace that nobody is in any more.
  private static let departure = Duration.milliseconds(300)

  /// Sees to it that nothing answers at the addresses any more.
  private func deleteStrays(_ attachment: Attachment) {
    Task { [self] in
      try? await Task.sleep(for: Self.departure)
      try? await blocking.run { [self] in
        for attached in attachment.endpoints { try? bridges.deleteStray(attached.endpoint) }
      }
    }
  }

  /// In memory: addresses, names and ports are free from here on.
  func release(_ attachment: Attachment, of instance: String) {
    let reservations = state.withLock { state in
      for attached in attachment.endpoints {
        state.networks[attached.endpoint.networkID]?.remove(instance)
        state.networks[attached.endpoint.networkID]?.release(attached.endpoint)
      }
      return state.reservations.removeValue(forKey: instance) ?? []
    }
    for reservation in reservations { reservation.release() }
  }

  // MARK: Rows

  /// Blocks until it is on disk.
  func store(_ attachment: Attachment, of instance: String) throws {
    let deletions = takeDeletions(sparing: instance)
    try write { database in
      for id in deletions { try NetworkTable.deleteAttachment(of: id, database) }
      try NetworkTable.put(attachment, of: instance, database)
    }
  }

  private func takeDeletions(sparing instance: String) -> Set<String> {
    state.withLock { state in
      state.deletions.remove(instance)
      defer { state.deletions = [] }
      return state.deletions
    }
  }

  /// Deleted with the next row that is written, or soon: what it says of an instance that is gone is of no harm.
  private func noteDeletion(of instance: String) {
    let isFirst = state.withLock { state in
      state.deletions.insert(instance)
      defer { state.isDeletionDue = true }
      return !state.isDeletionDue
    }
    guard isFirst else { return }
    Task { [self] in
      try? await Task.sleep(for: .milliseconds(50))
      do {
        try await blocking.run { [self] in try flush() }
      } catch is CancellationError {
        // The engine is closing, and does it itself.
      } catch {
        logger.error("leases that have ended could not be deleted: \(error)")
      }
    }
  }

  /// Writes what is noted.
  func flush() throws {
    let deletions = state.withLock { state in
      state.isDeletionDue = false
      defer { state.deletions = [] }
      return state.deletions
    }
    guard !deletions.isEmpty else { return }
    try write { database in
      for id in deletions { try NetworkTable.deleteAttachment(of: id, database) }
    }
  }
}

extension Member {
  init(_ attached: AttachedEndpoint, _ configuration: EndpointConfiguration, _ record: InstanceRecord) {
    var names = [record.name, String(record.id.prefix(12))] + configuration.aliases
    if let hostname = record.configuration.hostname, !hostname.isEmpty { names.append(hostname) }
    var seen: Set<String> = []
    let unique = names.map { $0.lowercased() }.filter { seen.insert($0).inserted }
    var links: [String: String] = [:]
    for link in configuration.links {
      let parts = link.split(separator: ":", maxSplits: 1).map(String.init)
      guard let target = parts.first else { continue }
      links[(parts.count > 1 ? parts[1] : target).lowercased()] = target
    }
    self.init(instanceName: record.name, endpoint: attached.endpoint, names: unique, links: links)
  }
}
