import DockerTypes
import Engine
import Errors

/// Which networks a `GET /networks` wants.
struct NetworkFilter: Sendable {
  static let accepted: Set<String> = ["dangling", "driver", "id", "label", "name", "scope", "type"]

  let filters: Filters
  /// IDs of those that some container is in, running or not; needed for `dangling` only.
  let used: Set<String>

  init(_ filters: Filters, used: Set<String>) throws(ApusError) {
    self.filters = filters
    self.used = used
    if filters["dangling"].count > 1 {
      throw ApusError(.invalidArgument, "got more than one value for filter key \"dangling\"")
    }
    if !filters["dangling"].isEmpty, filters.flag("dangling") == nil {
      throw ApusError(
        .invalidArgument,
        "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")")
    }
    for type in filters["type"] where type != "builtin" && type != "custom" {
      throw ApusError(.invalidArgument, "invalid filter: 'type'='\(type)'")
    }
  }

  func allows(_ network: NetworkInformation) -> Bool {
    filters.allows("name") { FilterPattern.matches(network.name, $0) }
      && filters.allows("id") { FilterPattern.matches(network.id, $0) }
      && filters.allows("driver") { $0 == network.driver }
      && filters.allows("scope") { $0 == "local" }
      && filters.allows("type") { ($0 == "builtin") == network.isPredefined }
      && filters.allows(labels: network.labels)
      && (filters.flag("dangling").map { $0 != (network.isPredefined || used.contains(network.id)) } ?? true)
  }
}

extension InstanceRecord {
  /// IDs of the networks it is in, or will be when it is started.
  var networkIDs: [String] {
    configuration.network.endpoints.map(\.networkID) + state.endpoints.map(\.endpoint.networkID)
  }
}
