import Errors
import Glibc
import Netlink
import Networking

/// What a new daemon finds of the last one's, and what it leaves behind. All of it blocks.
extension NetworkService {
  /// Every lease that is written down, by instance; those that nobody adopts are dropped with ``restore(running:)``.
  func stored() throws -> [String: Attachment] { try database.read { try NetworkTable.attachments($0) } }

  /// An instance that runs goes on with what it has.
  ///
  /// - Parameter process: its first, whose namespace its resolver is to listen in.
  func adopt(_ attachment: Attachment, of record: InstanceRecord, process: pid_t) {
    for attached in attachment.endpoints {
      let endpoint = attached.endpoint
      let configuration =
        record.configuration.network.endpoints.first { $0.networkID == endpoint.networkID }
        ?? EndpointConfiguration(network: attached.networkName)
      state.withLock { state in
        for address in endpoint.addresses { _ = state.networks[endpoint.networkID]?.take(address) }
      }
      enter(attached, configuration, record)
    }
    reserveAgain(attachment.ports, of: record)
    guard hasNames(attachment.endpoints) else { return }
    do {
      try serveNames(record, in: NetworkNamespace(of: process))
    } catch {
      logger.error("instance \(record.id): names cannot be resolved in it: \(error)")
    }
  }

  /// Brings the host into the form that the running instances need, in one transaction: nothing that goes on is
  /// interrupted. What is written down of others is dropped.
  func restore(_ stored: [String: Attachment], running: Set<String>) throws {
    let gone = stored.filter { !running.contains($0.key) }
    if !gone.isEmpty {
      try write { database in
        for id in gone.keys { try NetworkTable.deleteAttachment(of: id, database) }
      }
    }
    let entries = state.withLock { Array($0.networks.values) }
    let used = entries.filter { !$0.members.isEmpty }
    let names = try HostLinks.names()
    let idle = entries.filter {
      $0.members.isEmpty && $0.record.definition.driver == .bridge && names.contains($0.record.definition.interface)
    }
    // What an earlier daemon had made and nobody uses goes; the next start makes it again.
    for entry in idle {
      do { try bridges.remove(entry.record.definition) } catch {
        logger.warning("network \(entry.record.definition.name) could not be taken from the host: \(error)")
      }
    }
    guard !used.isEmpty else {
      if !idle.isEmpty { try firewall.removeTable() }
      return
    }
    for entry in used {
      let definition = entry.record.definition
      do {
        try driver(definition).prepare(definition)
        let endpoints = entry.members.values.map(\.endpoint)
        if definition.driver == .bridge {
          try bridges.plugAgain(endpoints, of: definition)
          try bridges.removeStrays(of: definition, except: endpoints)
        }
        if definition.driver == .bridge, running.contains(where: { stored[$0]?.ports.isEmpty == false }) {
          try bridges.publishLoopback(of: definition)
        }
      } catch {
        logger.error("network \(definition.name) could not be brought back: \(error)")
      }
    }
    let ports = running.compactMap { stored[$0]?.ports }.flatMap { $0 }
    state.withLock { $0.isOnHost = true }
    try firewall.restore(networks: used.compactMap { FirewallNetwork($0.record) }, ports: ports)
    state.withLock { state in
      for entry in used { state.networks[entry.record.definition.id]?.isPrepared = true }
    }
    for attachment in gone.values {
      for attached in attachment.endpoints {
        guard let definition = definition(attached.endpoint.networkID) else { continue }
        try? driver(definition).unplug(attached.endpoint, of: definition, from: nil)
      }
    }
  }

  /// The daemon ends. Where nothing runs, nothing of the networks is left on the host.
  func close() {
    resolverIfMade?.shutdown()
    changing.withLock { _ in state.withLock { $0.isClosed = true } }
    do {
      try flush()
      let entries = state.withLock { Array($0.networks.values) }
      guard entries.allSatisfy({ $0.members.isEmpty }), state.withLock({ $0.isOnHost }) else { return }
      for entry in entries where entry.isPrepared {
        try driver(entry.record.definition).remove(entry.record.definition)
      }
      try firewall.removeTable()
    } catch {
      logger.warning("the networks could not be taken from the host: \(error)")
    }
  }
}
