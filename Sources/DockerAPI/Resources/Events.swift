import DockerTypes
import Engine
import FoundationEssentials
import Hummingbird

/// `GET /events`.
extension DockerAPI {
  @Sendable func events(_ request: APIRequest) async throws -> Response {
    let filter = EventFilter(filters: try request.query.filters(accepted: EventFilter.accepted))
    let stream = engine.events.subscribe(since: try request.query.date("since"), until: try request.query.date("until"))
    return .stream("application/json", to: try await request.connection()) { writer in
      for await event in stream where filter.allows(event) {
        try await writer.write(json: EventMessage(event))
      }
    }
  }
}
