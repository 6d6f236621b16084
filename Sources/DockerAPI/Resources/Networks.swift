import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Hummingbird

/// `/networks`.
extension DockerAPI {
  func addNetworks(to router: Router<APIContext>) {
    router.add(.get, "networks", listNetworks)
    router.add(.post, "networks/create", createNetwork)
    router.add(.post, "networks/prune", pruneNetworks)
    router.add(.get, "networks/:id", inspectNetwork)
    router.add(.delete, "networks/:id", removeNetwork)
    router.add(.post, "networks/:id/connect", connectNetwork)
    router.add(.post, "networks/:id/disconnect", disconnectNetwork)
  }

  /// The networks as they are now, for an answer about instances.
  func networkDirectory() async -> NetworkDirectory { NetworkDirectory(engine.networks.known()) }

  @Sendable func listNetworks(_ request: APIRequest) async throws -> Response {
    let filters = try request.query.filters(accepted: NetworkFilter.accepted)
    let used = filters["dangling"].isEmpty ? [] : await engine.instances().flatMap(\.networkIDs)
    let filter = try NetworkFilter(filters, used: Set(used))
    let networks = await engine.networks.list().filter { filter.allows($0) }
    return .json(networks.map { NetworkSummary($0, containers: request.version < .briefNetworkLists) })
  }

  @Sendable func createNetwork(_ request: APIRequest) async throws -> Response {
    let body = try await request.body(NetworkCreateRequest.self)
    let created = try await engine.networks.create(try NetworkRequest(body, version: request.version))
    var response = NetworkCreateResponse()
    response.id = created.network.id
    response.warning = created.warnings.joined(separator: "\n")
    return .json(response, status: .created)
  }

  @Sendable func inspectNetwork(_ request: APIRequest) async throws -> Response {
    let reference = try request.parameter("id")
    // What it asks for are services, and there are none.
    if let verbose = request.query.text("verbose"), Filters(["verbose": [verbose]]).flag("verbose") == nil {
      throw ApusError(.invalidArgument, "invalid value for verbose: \(verbose)")
    }
    if let scope = request.query.text("scope"), scope != "local" {
      throw ApusError(.notFound, "network \(reference) not found")
    }
    let network = try await engine.networks.get(reference)
    var summary = NetworkSummary(network, containers: true)
    if [NetworkName.host, NetworkName.none].contains(network.name), network.isPredefined {
      for record in await engine.instances()
      where record.state.status == .running && record.configuration.network.mode == network.name {
        var endpoint = NetworkEndpoint()
        endpoint.name = record.name
        summary.containers[record.id] = endpoint
      }
    }
    return .json(summary)
  }

  @Sendable func removeNetwork(_ request: APIRequest) async throws -> Response {
    let reference = try request.parameter("id")
    return try await Self.forbidding { try await engine.networks.remove(reference) } ?? .empty()
  }

  @Sendable func connectNetwork(_ request: APIRequest) async throws -> Response {
    let body = try await request.body(NetworkConnectRequest.self)
    let network = try await engine.networks.get(try request.parameter("id"))
    let name = network.isPredefined ? network.name : network.id
    var settings = body.endpointConfig ?? EndpointSettings()
    settings.networkID = ""
    let configuration = try EndpointConfiguration(name, settings)
    return try await Self.forbidding {
      try await engine.networks.connect(name, instance: ContainerName.bare(body.container), configuration)
    } ?? .empty(.ok)
  }

  @Sendable func disconnectNetwork(_ request: APIRequest) async throws -> Response {
    let body = try await request.body(NetworkDisconnectRequest.self)
    let reference = try request.parameter("id")
    return try await Self.forbidding {
      try await engine.networks.disconnect(reference, instance: ContainerName.bare(body.container), force: body.force)
    } ?? .empty(.ok)
  }

  @Sendable func pruneNetworks(_ request: APIRequest) async throws -> Response {
    let filters = try request.query.filters(accepted: ["label", "label!", "until"])
    let until = try PruneLimit.until(filters)
    let names = try await engine.networks.prune { network in
      (until.map { network.created <= $0 } ?? true) && filters.allows(labels: network.labels)
    }
    var report = NetworksPruneReport()
    report.networksDeleted = names.isEmpty ? nil : names
    return .json(report)
  }

  /// What conflicts with the state of a network is "forbidden" in Docker's API.
  private static func forbidding(_ body: () async throws -> Void) async throws -> Response? {
    do {
      try await body()
      return nil
    } catch let error as ApusError where error.code == .conflict {
      return ErrorTable.response(.forbidden, error.message)
    }
  }
}
