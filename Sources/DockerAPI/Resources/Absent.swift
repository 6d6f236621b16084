import DockerTypes
import Errors
import Hummingbird

/// What a Docker without swarm, plugins and builder answers.
extension DockerAPI {
  func addAbsent(to router: Router<APIContext>) {
    for area in ["nodes", "services", "secrets", "configs", "tasks"] {
      router.add(.get, area, noSwarm)
      router.add(.post, "\(area)/create", noSwarm)
      router.add(.get, "\(area)/:id", noSwarm)
      router.add(.delete, "\(area)/:id", noSwarm)
      router.add(.post, "\(area)/:id/update", noSwarm)
      router.add(.get, "\(area)/:id/logs", noSwarm)
    }
    router.add(.get, "swarm", noSwarm)
    for verb in ["init", "join", "leave", "update", "unlock"] { router.add(.post, "swarm/\(verb)", noSwarm) }
    router.add(.get, "swarm/unlockkey", noSwarm)

    router.add(.get, "plugins") { _ in .json([String]()) }
    router.add(.get, "plugins/:name/json", noPlugin)
    router.add(.delete, "plugins/:name", noPlugin)
    for verb in ["enable", "disable", "push", "set", "upgrade"] { router.add(.post, "plugins/:name/\(verb)", noPlugin) }
    for path in ["plugins/pull", "plugins/create"] { router.add(.post, "\(path)", noPlugins) }
    router.add(.get, "plugins/privileges", noPlugins)

    router.add(.post, "build", noBuilder)
    router.add(.post, "build/prune") { _ in .json(BuildPruneReport()) }
    router.add(.post, "build/cancel", noBuilder)
    router.add(.post, "session", noBuilder)
    router.add(.post, "grpc", noBuilder)
  }

  @Sendable func noSwarm(_ request: APIRequest) async throws -> Response {
    throw ApusError(.unavailable, SwarmAbsent.sentence)
  }

  @Sendable func noPlugin(_ request: APIRequest) async throws -> Response {
    throw ApusError(.notFound, "plugin \"\(try request.parameter("name"))\" not found")
  }

  @Sendable func noPlugins(_ request: APIRequest) async throws -> Response {
    throw ApusError(.unsupported, "plugins are not available: volumes, networks and logs are built in")
  }

  @Sendable func noBuilder(_ request: APIRequest) async throws -> Response {
    throw ApusError(
      .unsupported, "building images is not available in this version: build elsewhere and pull or load the image")
  }
}

enum SwarmAbsent {
  static let sentence =
    "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm "
    + "and try again."
}

/// Answer of `POST /build/prune`.
private struct BuildPruneReport: Encodable {
  var cachesDeleted: [String]?
  var spaceReclaimed = 0

  private enum CodingKeys: String, CodingKey {
    case cachesDeleted = "CachesDeleted"
    case spaceReclaimed = "SpaceReclaimed"
  }
}
