import DockerTypes
import Engine
import Errors
import FoundationEssentials

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
  private let exitCodes: [Int32]

  struct AncestorImage: Sendable {
    let id: String
    let layers: [String]
  }

  init(
    _ filters: Filters, all: Bool, ancestors: [AncestorImage], before: Date?, since: Date?
  ) throws(ApusError) {
    self.filters = filters
    self.all = all || !filters["status"].isEmpty
    self.ancestors = ancestors
    self.before = before
    self.since = since
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
      && filters.allows("name") { Self.matches(record.name, $0) }
      && filters.allows(labels: record.resolved.labels)
      && filters.allows("network") { Self.isOn(record, network: $0) }
      && filters.allows("isolation") { $0 == record.configuration.isolation.rawValue || $0 == "default" }
      && filters.allows("volume") { wanted in
        record.mounts.contains { $0.name == wanted || $0.target == wanted || $0.source == wanted }
      }
      && filters.allows("expose") { Self.exposes(record, $0) }
      && filters["publish"].isEmpty
      && (filters["ancestor"].isEmpty || ancestors.contains { Self.descends(record, from: $0) })
  }

  /// A name filter is a regular expression that may match the name with or without its slash.
  private static func matches(_ name: String, _ pattern: String) -> Bool {
    if pattern.utf8.allSatisfy({ isPlain($0) }) { return name.contains(pattern) }
    guard let expression = try? Regex(pattern) else { return name.contains(pattern) }
    return ("/" + name).firstMatch(of: expression) != nil || name.firstMatch(of: expression) != nil
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  private static func isOn(_ record: InstanceRecord, network: String) -> Bool {
    let mode = record.configuration.network.mode
    guard let predefined = PredefinedNetwork(mode: mode) else { return mode == network }
    return predefined.rawValue == network || predefined.id.hasPrefix(network)
  }

  private static func exposes(_ record: InstanceRecord, _ wanted: String) -> Bool {
    let port = wanted.contains("/") ? wanted : wanted + "/tcp"
    return record.resolved.exposedPorts.contains(port)
  }

  private static func descends(_ record: InstanceRecord, from image: AncestorImage) -> Bool {
    if record.imageID.description == image.id { return true }
    let layers = record.layers.map(\.description)
    return !image.layers.isEmpty && layers.starts(with: image.layers)
  }
}
