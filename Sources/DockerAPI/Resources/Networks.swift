import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Hummingbird

/// `/networks`: the three that every client expects. Making more is for the network driver to come.
extension DockerAPI {
  func addNetworks(to router: Router<APIContext>) {
    router.add(.get, "networks", listNetworks)
    router.add(.get, "networks/:id", inspectNetwork)
    router.add(.delete, "networks/:id", removeNetwork)
    router.add(.post, "networks/create", noNetworks)
    router.add(.post, "networks/:id/connect", noNetworks)
    router.add(.post, "networks/:id/disconnect", noNetworks)
    router.add(.post, "networks/prune", pruneNetworks)
  }

  @Sendable func listNetworks(_ request: APIRequest) async throws -> Response {
    let filters = try request.query.filters(
      accepted: ["dangling", "driver", "id", "label", "label!", "name", "scope", "type"])
    let networks = PredefinedNetwork.allCases.filter { network in
      filters.allows("name") { network.rawValue.contains($0) }
        && filters.allows("id") { network.id.hasPrefix($0) }
        && filters.allows("driver") { network.driver == $0 }
        && filters.allows("scope") { $0 == "local" }
        && filters.allows("type") { $0 == "builtin" }
        && filters.allows(labels: [:])
        && filters.flag("dangling") != true
    }
    return .json(networks.map { NetworkSummary($0, created: GoTime.zero) })
  }

  @Sendable func inspectNetwork(_ request: APIRequest) async throws -> Response {
    let network = try Self.network(try request.parameter("id"))
    var summary = NetworkSummary(network, created: GoTime.zero)
    for record in await engine.instances()
    where record.state.status == .running && PredefinedNetwork(mode: record.configuration.network.mode) == network {
      var endpoint = NetworkEndpoint()
      endpoint.name = record.name
      summary.containers[record.id] = endpoint
    }
    return .json(summary)
  }

  @Sendable func removeNetwork(_ request: APIRequest) async throws -> Response {
    let network = try Self.network(try request.parameter("id"))
    throw ApusError(.permissionDenied, "\(network.rawValue) is a pre-defined network and cannot be removed")
  }

  @Sendable func pruneNetworks(_ request: APIRequest) async throws -> Response {
    .json(["NetworksDeleted": [String]?.none])
  }

  @Sendable func noNetworks(_ request: APIRequest) async throws -> Response {
    throw ApusError(
      .unsupported, "networks cannot be made or connected in this version: there are none, host and bridge (a loopback)"
    )
  }

  private static func network(_ reference: String) throws(ApusError) -> PredefinedNetwork {
    let found = PredefinedNetwork.allCases.first { network in
      network.rawValue == reference || (reference.utf8.count >= 3 && network.id.hasPrefix(reference))
    }
    guard let found else { throw ApusError(.notFound, "network \(reference) not found") }
    return found
  }
}
