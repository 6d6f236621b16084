import Errors
import Netlink
import Networking

/// Networks on the host. All of it blocks.
extension NetworkService {
  func driver(_ definition: NetworkDefinition) -> any NetworkDriver {
    switch definition.driver {
    case .bridge: bridges
    case .macvlan: macvlans
    }
  }

  /// Bridges of networks that instances are in.
  var interfacesInUse: [String] {
    state.withLock { state in
      state.networks.values.filter { !$0.members.isEmpty && $0.record.definition.driver == .bridge }
        .map(\.record.definition.interface)
    }.sorted()
  }

  /// Makes the network on the host unless this daemon has done so.
  func prepare(_ id: String) throws {
    if try entry(id).isPrepared { return }
    try changing.withLock { _ in
      var entry = try entry(id)
      guard !entry.isPrepared else { return }
      if entry.record.isDefault { try moveAside(&entry) }
      state.withLock { $0.isOnHost = true }
      try putOnHost(entry.record)
      let record = entry.record
      state.withLock { state in
        state.networks[id]?.record = record
        state.networks[id]?.isPrepared = true
      }
    }
  }

  func putOnHost(_ record: NetworkRecord) throws(ApusError) {
    guard !state.withLock({ $0.isClosed }) else {
      throw ApusError(.unavailable, "the daemon is ending: network \(record.definition.name) is not made any more")
    }
    let definition = record.definition
    try driver(definition).prepare(definition)
    guard let network = FirewallNetwork(record) else { return }
    try firewall.add(network)
  }

  func leaveHost(_ entry: NetworkEntry) throws(ApusError) {
    let definition = entry.record.definition
    if let network = FirewallNetwork(entry.record) { try firewall.remove(network) }
    try driver(definition).remove(definition)
  }

  /// The subnets of the network `bridge` were nobody's asking: where the host has come to use one of them since, and
  /// nothing of ours does, others are taken.
  private func moveAside(_ entry: inout NetworkEntry) throws {
    let definition = entry.record.definition
    let own = state.withLock { Set($0.networks.values.map(\.record.definition.interface)) }
    let host = try HostLinks.subnetsInUse(except: own)
    guard entry.members.isEmpty,
      definition.subnets.contains(where: { mine in host.contains { $0.prefixLength > 0 && $0.overlaps(mine.subnet) } })
    else { return }
    let others = state.withLock { state in
      state.networks.values.filter { !$0.record.isDefault }.flatMap { $0.record.definition.subnets.map(\.subnet) }
    }
    var request = NetworkRequest(name: definition.name)
    request.options = entry.record.options
    let planning = NetworkPlanning(
      pools: pools, networks: others.map { (name: "", subnet: $0) }, host: host)
    var record = try planning.record(request, id: definition.id)
    record.isDefault = true
    record.definition.adoptsInterface = false
    logger.notice(
      "the network bridge moves to \(record.definition.subnets.map(\.subnet.description).joined(separator: ", ")): the host uses a part of what it had"
    )
    try write { try NetworkTable.put(record, $0) }
    entry = NetworkEntry(record)
  }
}

extension FirewallNetwork {
  /// nil where the host's firewall has no say: macvlan bypasses its IP layer.
  init?(_ record: NetworkRecord) {
    guard record.definition.driver == .bridge else { return nil }
    self.init(record.definition, masquerades4: record.masquerades, masquerades6: record.masquerades)
  }
}
