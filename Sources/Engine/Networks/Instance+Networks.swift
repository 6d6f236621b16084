import Errors
import Glibc
import Netlink
import Networking

extension Instance {
  // MARK: At its start and end

  /// Leases what the instance is to have of the networks.
  ///
  /// - Parameter standby: what has been started for it ahead; given up where nothing can be leased.
  /// - Returns: what it has, and the process whose namespace has that already.
  func attach(_ standby: StartedShim?) async throws -> (Attachment, pid_t?) {
    let (services, record) = (services, current)
    if record.configuration.network.endpoints.isEmpty, standby?.isPlugged != true { return (Attachment(), nil) }
    do {
      return try await givingWay(record.configuration.network.endpoints.map(\.networkID)) {
        let plugged = standby?.takePlugged(for: record, services)
        return (try services.networks.attach(record, plugged: plugged), plugged?.process)
      }
    } catch {
      if let standby { services.standby.dismiss(standby, services) }
      throw error
    }
  }

  /// Where addresses have run out, or are taken, that may be for what only stands by: it is ended, and asked again.
  private func givingWay<Result: Sendable>(
    _ networks: [String], _ body: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    do {
      return try await services.lifecycle.run(body)
    } catch let error as ApusError where error.code == .resourceExhausted || error.code == .conflict {
      for network in networks { await services.networks.evict(network) }
      return try await services.lifecycle.run(body)
    }
  }

  /// Puts the leased endpoints into the new sandbox, and publishes its ports.
  func plug(_ launch: Launch, process: pid_t) async throws {
    let (services, record, attachment) = (services, current, launch.attachment)
    let isAnnounced = launch.plugged != nil
    try await services.lifecycle.run {
      try services.networks.plug(attachment, of: record, process: process)
      if isAnnounced {
        try services.networks.publish(attachment.ports, of: attachment.endpoints)
      } else {
        try services.networks.announce(attachment, of: record)
      }
    }
  }

  /// What it has, which is nobody's from here on.
  func takeAttachment() -> Attachment {
    defer { (current.state.endpoints, current.state.ports) = ([], []) }
    return Attachment(endpoints: current.state.endpoints, ports: current.state.ports)
  }

  /// Gives back what the instance had of the networks. - Returns: what is left to do and needs no waiting for.
  func detach(_ attachment: Attachment) async -> @Sendable () async -> Void {
    guard !attachment.endpoints.isEmpty else { return {} }
    let (services, id) = (services, id)
    // Withdrawing ports takes a process; the rest is a matter of memory.
    let rest: @Sendable () -> Void
    if attachment.ports.isEmpty {
      rest = services.networks.detach(attachment, of: id)
    } else {
      rest = (try? await services.lifecycle.run { services.networks.detach(attachment, of: id) }) ?? {}
    }
    return { try? await services.lifecycle.run { rest() } }
  }

  // MARK: While it runs

  /// One more network.
  func connect(_ configuration: EndpointConfiguration) async throws {
    try await lifecycle.withLock {
      try checkNotRemoving()
      try checkMayChangeNetworks()
      guard !current.configuration.network.endpoints.contains(where: { $0.networkID == configuration.networkID }) else {
        throw ApusError(
          .permissionDenied,
          "endpoint with name \(current.name) already exists in network \(configuration.network)")
      }
      try services.networks.check(configuration)
      var record = current
      record.configuration.network.endpoints.append(configuration)
      if isUp {
        let (services, changed, pid) = (services, record, current.state.pid)
        let attachment = try await givingWay([configuration.networkID]) {
          try services.networks.connect(configuration, of: changed, process: pid)
        }
        record.state.endpoints = attachment.endpoints
        rewriteFiles(record, before: current)
        current.state.endpoints = attachment.endpoints
      }
      try await store { $0.configuration.network.endpoints.append(configuration) }
      if !isUp { services.networks.tell("connect", configuration.networkID, id) }
    }
  }

  /// One network less.
  func disconnect(_ networkID: String) async throws {
    try await lifecycle.withLock {
      try checkNotRemoving()
      guard current.configuration.network.endpoints.contains(where: { $0.networkID == networkID }) else {
        throw ApusError(.notFound, "container \(id) is not connected to network \(networkID.prefix(12))")
      }
      var record = current
      record.configuration.network.endpoints.removeAll { $0.networkID == networkID }
      if isUp {
        let (services, changed, pid) = (services, record, current.state.pid)
        let attachment = try await services.lifecycle.run {
          try services.networks.disconnect(networkID, of: changed, process: pid)
        }
        record.state.endpoints = attachment.endpoints
        record.state.ports = attachment.ports
        rewriteFiles(record, before: current)
        current.state.endpoints = attachment.endpoints
        current.state.ports = attachment.ports
      } else {
        services.networks.tell("disconnect", networkID, id)
      }
      try await store { $0.configuration.network.endpoints.removeAll { $0.networkID == networkID } }
    }
  }

  /// ``Engine/updatePorts(_:publish:withdraw:)``.
  func updatePorts(publish: [PortBinding], withdraw: [PortBinding]) async throws {
    try await lifecycle.withLock {
      try checkNotRemoving()
      let mode = current.configuration.network.mode
      guard mode != "host", !mode.hasPrefix("container:") else {
        throw ApusError(
          .conflict, "container \(current.name) has no network of its own whose ports could be published")
      }
      var ports = current.configuration.network.ports
      for pattern in withdraw {
        guard ports.contains(where: { $0.matches(pattern) }) else {
          throw ApusError(
            .notFound, "container \(current.name) does not publish \(pattern)")
        }
        ports.removeAll { $0.matches(pattern) }
      }
      for binding in publish where !ports.contains(binding) { ports.append(binding) }
      var record = current
      record.configuration.network.ports = ports
      if isUp {
        let (services, old, new) = (services, current, record)
        let attachment = try await services.lifecycle.run { try services.networks.republish(old, as: new) }
        current.state.ports = attachment.ports
      }
      let changed = ports
      try await store { $0.configuration.network.ports = changed }
      self.publish("update")
    }
  }

  private func files(_ record: InstanceRecord) -> GeneratedFiles {
    GeneratedFiles(
      record, hostname: record.configuration.hostname(id: id),
      hostGateway: services.networks.hostGateway(of: record.state.endpoints),
      servesNames: services.networks.hasNames(record.state.endpoints))
  }

  /// The instances that links of the network `bridge` name: what user-defined networks have names for.
  func linkedInstances() async throws -> [LinkedInstance] {
    let network = services.networks.defaultID
    guard let links = current.configuration.network.endpoints.first(where: { $0.networkID == network })?.links else {
      return []
    }
    var linked: [LinkedInstance] = []
    for link in links {
      let parts = link.split(separator: ":", maxSplits: 1).map(String.init)
      guard let name = parts.first else { continue }
      let target = try await services.index.resolve(name).record
      let alias = parts.count > 1 ? parts[1] : name
      guard let address = target.state.endpoints.first(where: { $0.endpoint.networkID == network })?.endpoint.ipv4
      else {
        throw ApusError(
          .invalidArgument,
          "Cannot link to a non running container: /\(target.name) AS /\(current.name)/\(alias): it must run, in the "
            + "network bridge too")
      }
      linked.append(LinkedInstance(target, alias: alias, address: address.address, of: current.name))
    }
    return linked
  }

  private func checkMayChangeNetworks() throws {
    let mode = current.configuration.network.mode
    guard mode != "host", !mode.hasPrefix("container:"), !current.configuration.network.disabled else {
      throw ApusError(
        .conflict,
        "container sharing network namespace with another container or host cannot be connected to any other network")
    }
    guard mode != "none" else {
      throw ApusError(
        .conflict,
        "container cannot be connected to multiple networks with one of the networks in private (none) mode")
    }
  }

  /// /etc/hosts and /etc/resolv.conf follow: lines that are ours, in the files that the instance has mounted.
  private func rewriteFiles(_ new: InstanceRecord, before old: InstanceRecord) {
    do {
      try GeneratedFiles.rewrite(paths, from: files(old), to: files(new))
    } catch {
      logger.warning("instance \(id): its hosts and resolver files stay as they are: \(error)")
    }
  }
}
