import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Networking

/// Which containers a `GET /containers/json` wants.
struct ContainerFilter: Sendable {
  static let accepted: Set<String> = [
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "label!", "name",
    "network", "publish", "since", "status", "volume",
  ]

  let filters: Filters
  /// Those that do not run, too.
  let all: Bool
  /// What `ancestor`, `before` and `since` stand for.
  let ancestors: [AncestorImage]
  let before: Date?
  let since: Date?
  let networks: NetworkDirectory
  private let exitCodes: [Int32]
  private let published: [PortText]
  private let exposed: [PortText]

  struct AncestorImage: Sendable {
    let id: String
    let layers: [String]
  }

  init(
    _ filters: Filters, all: Bool, ancestors: [AncestorImage], before: Date?, since: Date?, networks: NetworkDirectory
  ) throws(ApusError) {
    self.filters = filters
    self.all = all || !filters["status"].isEmpty
    self.ancestors = ancestors
    self.before = before
    self.since = since
    self.networks = networks
    published = try Self.ports("publish", filters)
    exposed = try Self.ports("expose", filters)
    for status in filters["status"] where InstanceStatus(rawValue: status) == nil {
      throw ApusError(.invalidArgument, "invalid filter 'status=\(status)'")
    }
    for health in filters["health"] where HealthState.Status(rawValue: health) == nil {
      throw ApusError(.invalidArgument, "invalid filter 'health=\(health)'")
    }
    var codes: [Int32] = []
    for text in filters["exited"] {
      guard let code = Int32(text) else { throw ApusError(.invalidArgument, "invalid filter 'exited=\(text)'") }
      codes.append(code)
    }
    exitCodes = codes
    for key in ["is-task"] where !filters[key].isEmpty && filters.flag(key) == nil {
      throw ApusError(.invalidArgument, "invalid filter '\(key)=\(filters[key])'")
    }
  }

  func allows(_ record: InstanceRecord) -> Bool {
    let state = record.state
    guard all || state.status == .running || state.status == .paused || state.status == .restarting else {
      return false
    }
    if let before, record.created >= before { return false }
    if let since, record.created <= since { return false }
    if filters.flag("is-task") == true { return false }
    if !exitCodes.isEmpty {
      guard state.status == .exited || state.status == .dead, exitCodes.contains(state.exitCode) else { return false }
    }
    return filters.allows("status") { $0 == state.status.rawValue }
      && filters.allows("health") { $0 == (state.health?.status ?? .none).rawValue }
      && filters.allows("id") { record.id.hasPrefix($0) }
      && filters.allows("name") { pattern in
        // With or without its slash.
        FilterPattern.matches(record.name, pattern) || FilterPattern.matches("/" + record.name, pattern)
      }
      && filters.allows(labels: record.resolved.labels)
      && filters.allows("network") { isOn(record, network: $0) }
      && filters.allows("isolation") { $0 == record.configuration.isolation.rawValue || $0 == "default" }
      && filters.allows("volume") { wanted in
        record.mounts.contains { $0.name == wanted || $0.target == wanted || $0.source == wanted }
      }
      && (published.isEmpty && exposed.isEmpty || publishes(record) || exposes(record))
      && (filters["ancestor"].isEmpty || ancestors.contains { Self.descends(record, from: $0) })
  }

  private static func ports(_ key: String, _ filters: Filters) throws(ApusError) -> [PortText] {
    var ports: [PortText] = []
    for value in filters[key] {
      if value.contains(":") {
        throw ApusError(.invalidArgument, "filter for '\(key)' should not contain ':': \(value)")
      }
      do {
        ports.append(try PortText(value))
      } catch {
        throw ApusError(.invalidArgument, "error while looking up for \(key) \(value): \(error.message)")
      }
    }
    return ports
  }

  private func isOn(_ record: InstanceRecord, network: String) -> Bool {
    networks.memberships(of: record).contains { $0.name == network || $0.networkID.hasPrefix(network) }
  }

  private func publishes(_ record: InstanceRecord) -> Bool {
    record.state.ports.contains { port in
      published.contains { $0.proto == port.proto && $0.ports.contains(port.hostPort) }
    }
  }

  private func exposes(_ record: InstanceRecord) -> Bool {
    record.resolved.exposedPorts.contains { text in
      guard let port = try? PortText(text) else { return false }
      return exposed.contains { $0.proto == port.proto && $0.ports.overlaps(port.ports) }
    }
  }

  private static func descends(_ record: InstanceRecord, from image: AncestorImage) -> Bool {
    if record.imageID.description == image.id { return true }
    let layers = record.layers.map(\.description)
    return !image.layers.isEmpty && layers.starts(with: image.layers)
  }
}
