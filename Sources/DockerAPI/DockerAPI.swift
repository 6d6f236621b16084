import DockerTypes
import Engine
import HTTPTypes
import Hummingbird
import Logging

/// The Docker Engine API over one engine. Handlers are in Resources, one file for each; this is their table of contents.
struct DockerAPI: Sendable {
  typealias Handler = @Sendable (APIRequest) async throws -> Response

  let engine: Engine
  let logger: Logger
  let versionAnswer = Memo<SystemVersion>()

  func router() -> Router<APIContext> {
    let router = Router(context: APIContext.self)
    addSystem(to: router)
    addContainers(to: router)
    addExecs(to: router)
    addImages(to: router)
    addVolumes(to: router)
    addNetworks(to: router)
    addAbsent(to: router)
    return router
  }
}

extension Router<APIContext> {
  func add(_ method: HTTPRequest.Method, _ path: String, _ handler: @escaping DockerAPI.Handler) {
    on(RouterPath(path), method: method) { request, context in
      try await handler(APIRequest(request: request, context: context))
    }
  }
}
