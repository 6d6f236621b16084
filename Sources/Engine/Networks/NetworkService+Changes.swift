import Errors
import Glibc
import Netlink
import Networking

/// Changes while an instance runs. All of it blocks; on failure nothing has changed.
extension NetworkService {
  /// - Parameter record: with the new endpoint in its configuration, last.
  func connect(
    _ configuration: EndpointConfiguration, of record: InstanceRecord, process: pid_t
  ) throws -> Attachment {
    try prepare(configuration.networkID)
    let old = Attachment(endpoints: record.state.endpoints, ports: record.state.ports)
    let names = Set(old.endpoints.map(\.endpoint.interface))
    let leased = try lease(configuration, instance: record.id, avoiding: names)
    var new = old
    new.endpoints = routed(old.endpoints + [leased], record)
    let namespace = try NetworkNamespace(of: process)
    var isPlugged = false
    do {
      try store(new, of: record.id)
      // Without its default route, which the others may have yet.
      try plug(leased.endpoint, into: namespace)
      isPlugged = true
      try setDefaultRoutes(new.endpoints, in: namespace)
      if hasNames(new.endpoints), !hasNames(old.endpoints) { try serveNames(record, in: namespace) }
    } catch {
      if isPlugged, let definition = definition(configuration.networkID) {
        try? driver(definition).unplug(leased.endpoint, of: definition, from: namespace)
        try? setDefaultRoutes(old.endpoints, in: namespace)
      }
      state.withLock { $0.networks[configuration.networkID]?.release(leased.endpoint) }
      try? store(old, of: record.id)
      throw error
    }
    enter(leased, configuration, record)
    tell("connect", configuration.networkID, record.id)
    return new
  }

  /// - Parameter record: without the endpoint in its configuration.
  func disconnect(_ networkID: String, of record: InstanceRecord, process: pid_t) throws -> Attachment {
    let old = Attachment(endpoints: record.state.endpoints, ports: record.state.ports)
    guard let leaving = old.endpoints.first(where: { $0.endpoint.networkID == networkID }) else { return old }
    var new = old
    new.endpoints = routed(old.endpoints.filter { $0 != leaving }, record)
    let targets = PortTargets(new.endpoints) { definition($0) }
    let namespace = try NetworkNamespace(of: process)
    // What led to its address leads to the address that takes its place, or nowhere.
    new.ports = old.ports.compactMap { port in
      guard leaving.endpoint.addresses.contains(port.address) else { return port }
      guard let address = targets.addresses.first(where: { $0.family == port.address.family }) else { return nil }
      var moved = port
      moved.address = address
      return moved
    }
    if old.ports != new.ports {
      try firewall.withdraw(old.ports)
      try publish(new.ports, of: new.endpoints)
    }
    if let definition = definition(networkID) {
      try driver(definition).unplug(leaving.endpoint, of: definition, from: namespace)
    }
    try setDefaultRoutes(new.endpoints, in: namespace)
    if hasNames(old.endpoints), !hasNames(new.endpoints) { resolver.stop(record.id) }
    state.withLock { state in
      state.networks[networkID]?.remove(record.id)
      state.networks[networkID]?.release(leaving.endpoint)
    }
    try store(new, of: record.id)
    tell("disconnect", networkID, record.id)
    return new
  }

  private func setDefaultRoutes(_ endpoints: [AttachedEndpoint], in namespace: NetworkNamespace) throws {
    func route(_ gateway: (Endpoint) -> IPAddress?) -> DefaultRoute? {
      for attached in endpoints {
        guard let address = gateway(attached.endpoint) else { continue }
        return DefaultRoute(through: address, on: attached.endpoint.interface)
      }
      return nil
    }
    try DefaultRoute.set(v4: route(\.gateway4), v6: route(\.gateway6), in: namespace)
  }

  private func routed(_ endpoints: [AttachedEndpoint], _ record: InstanceRecord) -> [AttachedEndpoint] {
    // In the order of the configuration, whatever order the default route has brought them into.
    let wanted = record.configuration.network.endpoints
    let ordered = wanted.compactMap { one in endpoints.first { $0.endpoint.networkID == one.networkID } }
    let priorities = ordered.map { attached in
      wanted.first { $0.networkID == attached.endpoint.networkID }?.gatewayPriority ?? 0
    }
    return GatewayChoice.assign(
      ordered, definitions: ordered.map { definition($0.endpoint.networkID) }, priorities: priorities)
  }

  /// Other ports than before; what both publish goes on.
  func republish(_ old: InstanceRecord, as new: InstanceRecord) throws -> Attachment {
    let before = PortBinding.all(old)
    let after = PortBinding.all(new)
    let kept = old.state.ports.filter { port in after.contains { $0.covers(port) } }
    let added = after.filter { binding in !before.contains(binding) }
    var attachment = Attachment(endpoints: old.state.endpoints, ports: kept)
    let gone = old.state.ports.filter { !kept.contains($0) }
    // Withdrawn first: the same port may be wanted in another way.
    if !gone.isEmpty {
      try firewall.withdraw(gone)
      releaseReservations(of: old.id, for: gone, keeping: kept)
    }
    do {
      let ports = try reserve(added, for: new, endpoints: old.state.endpoints)
      attachment.ports += ports
      do {
        try publish(ports, of: attachment.endpoints)
        try store(attachment, of: old.id)
      } catch {
        try? firewall.withdraw(ports)
        releaseReservations(of: old.id, for: ports, keeping: kept)
        throw error
      }
    } catch {
      if !gone.isEmpty {
        reserveAgain(gone + kept, of: old)
        try? firewall.publish(gone)
      }
      throw error
    }
    return attachment
  }

  private func releaseReservations(of instance: String, for gone: [PublishedPort], keeping kept: [PublishedPort]) {
    func isHeld(_ reservation: PortReservation) -> Bool {
      kept.contains { $0.hostPort == reservation.port && $0.proto == reservation.proto }
        || !gone.contains { $0.hostPort == reservation.port && $0.proto == reservation.proto }
    }
    let released = state.withLock { state -> [PortReservation] in
      let all = state.reservations[instance] ?? []
      state.reservations[instance] = all.filter(isHeld)
      return all.filter { !isHeld($0) }
    }
    for reservation in released { reservation.release() }
  }

  /// Publishes the event.
  func tell(_ action: String, _ networkID: String, _ instance: String) {
    if let definition = definition(networkID) { event(action, definition, instance: instance) }
  }
}

extension PortBinding {
  /// Whether the published port came of this.
  func covers(_ published: PublishedPort) -> Bool {
    proto == published.proto && port == published.port
      && (hostPorts?.contains(published.hostPort) ?? true)
      && (hostAddress.isEmpty || IPAddress(hostAddress) == published.hostAddress)
  }
}
