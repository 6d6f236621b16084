import Errors
import Netlink
import Networking

/// Published ports. All of it blocks.
extension NetworkService {
  /// Reserves what an instance is to publish, and says where it leads.
  func reservePorts(of record: InstanceRecord, into attachment: inout Attachment) throws {
    let wanted = PortBinding.all(record)
    guard !wanted.isEmpty else { return }
    attachment.ports = try reserve(wanted, for: record, endpoints: attachment.endpoints)
  }

  /// - Returns: nothing where the instance is in no network from which anything could come.
  func reserve(
    _ bindings: [PortBinding], for record: InstanceRecord, endpoints: [AttachedEndpoint]
  ) throws -> [PublishedPort] {
    let targets = PortTargets(endpoints) { definition($0) }
    guard !targets.isEmpty else { return [] }
    var ports: [PublishedPort] = []
    var reservations: [PortReservation] = []
    do {
      // What can be had in one way only comes first.
      for binding in bindings.sorted(by: { $0.choice < $1.choice }) {
        let address = try hostAddress(of: binding, targets)
        let reservation = try hostPorts.reserve(
          PortRequest(proto: binding.proto, address: address, ports: binding.hostPorts),
          owner: "container \"\(record.name)\"")
        reservations.append(reservation)
        for target in targets.addresses where address == nil || address?.family == target.family {
          ports.append(
            PublishedPort(
              proto: binding.proto, hostAddress: address ?? IPAddress(target.family, 0), hostPort: reservation.port,
              address: target, port: binding.port))
        }
      }
    } catch {
      for reservation in reservations { reservation.release() }
      throw error
    }
    let all = reservations
    state.withLock { $0.reservations[record.id, default: []] += all }
    return ports
  }

  /// Lets connections in, those of the host to itself too.
  func publish(_ ports: [PublishedPort], of endpoints: [AttachedEndpoint]) throws {
    guard !ports.isEmpty else { return }
    for attached in endpoints where ports.contains(where: { attached.endpoint.addresses.contains($0.address) }) {
      let id = attached.endpoint.networkID
      try bridges.publishToItself(attached.endpoint)
      guard let entry = try? entry(id), !entry.isLoopbackPublished else { continue }
      try bridges.publishLoopback(of: entry.record.definition)
      state.withLock { $0.networks[id]?.isLoopbackPublished = true }
    }
    try firewall.publish(ports)
  }

  /// nil: every address of both families.
  private func hostAddress(of binding: PortBinding, _ targets: PortTargets) throws(ApusError) -> IPAddress? {
    var address: IPAddress?
    if binding.hostAddress.isEmpty {
      guard let standard = targets.hostBinding4(of: self), !standard.isUnspecified else { return nil }
      address = standard
    } else {
      address = IPAddress(binding.hostAddress)
      guard address != nil else {
        throw ApusError(.invalidArgument, "invalid host IP address: \(binding.hostAddress)")
      }
    }
    if let address, !targets.addresses.contains(where: { $0.family == address.family }) {
      throw ApusError(
        .invalidArgument,
        "port \(binding.port)/\(binding.proto.rawValue) cannot be published at \(address): the instance has no "
          + (address.family == .v4 ? "IPv4" : "IPv6") + " address")
    }
    return address
  }

  /// Takes the ports an earlier daemon has published: they go on, whoever else has come to listen on them.
  func reserveAgain(_ ports: [PublishedPort], of record: InstanceRecord) {
    var reservations: [PortReservation] = []
    var seen: Set<PublishedPort> = []
    for port in ports {
      // Both families of one binding are one reservation.
      var key = port
      key.address = IPAddress(.v4, 0)
      let isAny = port.hostAddress.isUnspecified
      if isAny { key.hostAddress = IPAddress(.v4, 0) }
      guard seen.insert(key).inserted else { continue }
      do {
        reservations.append(
          try hostPorts.reserve(
            PortRequest(
              proto: port.proto, address: isAny && hasBothFamilies(port, ports) ? nil : port.hostAddress,
              ports: port.hostPort...port.hostPort), owner: "container \"\(record.name)\""))
      } catch {
        logger.warning("instance \(record.id): port \(port.hostPort) stays published, but \(error)")
      }
    }
    let all = reservations
    state.withLock { $0.reservations[record.id] = all }
  }

  private func hasBothFamilies(_ port: PublishedPort, _ ports: [PublishedPort]) -> Bool {
    ports.contains {
      $0.proto == port.proto && $0.hostPort == port.hostPort && $0.hostAddress.isUnspecified
        && $0.hostAddress.family != port.hostAddress.family
    }
  }
}

/// The addresses that published ports lead to: those of the endpoints that have the default routes.
struct PortTargets {
  var addresses: [IPAddress] = []
  private var network: String?

  init(_ endpoints: [AttachedEndpoint], definition: (String) -> NetworkDefinition?) {
    for attached in endpoints where definition(attached.endpoint.networkID)?.driver == .bridge {
      let endpoint = attached.endpoint
      if endpoint.gateway4 != nil, let address = endpoint.ipv4?.address {
        addresses.append(address)
        network = endpoint.networkID
      }
      if endpoint.gateway6 != nil, let address = endpoint.ipv6?.address { addresses.append(address) }
    }
  }

  var isEmpty: Bool { addresses.isEmpty }

  func hostBinding4(of service: NetworkService) -> IPAddress? {
    network.flatMap { try? service.entry($0).record.hostBinding }
  }
}

extension PortBinding {
  /// What an instance is to publish: what is asked for, and with `publishAll` whatever else it exposes.
  static func all(_ record: InstanceRecord) -> [PortBinding] {
    let network = record.configuration.network
    guard network.publishAll else { return network.ports }
    let exposed = (record.resolved.exposedPorts + network.exposedPorts).flatMap(PortBinding.exposed)
    var bindings = network.ports
    for binding in exposed where !bindings.contains(where: { $0.proto == binding.proto && $0.port == binding.port }) {
      bindings.append(binding)
    }
    return bindings
  }

  /// `80`, `80/udp`, `8000-8010/tcp`; nothing for what is none of these.
  static func exposed(_ text: String) -> [PortBinding] {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let proto = parts.count == 1 ? .tcp : PortProtocol(rawValue: parts[1].lowercased()) else {
      return []
    }
    let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
    guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first > 0, first <= last
    else { return [] }
    return (first...last).map { PortBinding(proto: proto, port: $0) }
  }

  /// How much choice there is.
  fileprivate var choice: Int { hostPorts?.count ?? .max }

  /// Whether this is meant by `pattern`, of which what is empty says nothing.
  func matches(_ pattern: PortBinding) -> Bool {
    proto == pattern.proto && port == pattern.port
      && (pattern.hostAddress.isEmpty || hostAddress == pattern.hostAddress)
      && (pattern.hostPorts == nil || hostPorts == pattern.hostPorts)
  }
}
