import Errors
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore

/// From a connection's requests to the router and back: version, standard headers, errors.
struct Responder: Sendable {
  private let router: RouterResponder<APIContext>
  private let logger: Logger

  init(api: DockerAPI, logger: Logger) {
    router = api.router().buildResponder()
    self.logger = logger
  }

  func respond(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
    var response = await response(to: request, channel)
    for header in StandardHeaders.fields { response.headers[header.name] = header.value }
    response.headers[.date] = HTTPDate.now()
    if request.method == .head { response.body = ResponseBody() }
    // The decoder stops for good at a request to upgrade; where that was not granted the connection is of no more use.
    let last = request.asksForUpgrade
    if last { response.headers[.connection] = "close" }
    try await writer.write(response: response.head, body: response.body)
    if last { channel.close(promise: nil) }
  }

  private func response(to request: Request, _ channel: any Channel) async -> Response {
    do {
      let path = RequestPath(request.head.path ?? "/")
      try path.version?.requireSupported()
      var context = APIContext(source: ApplicationRequestContextSource(channel: channel, logger: logger))
      context.version = path.version ?? .current
      context.query = Query(path.query)
      var head = request.head
      head.path = path.path
      let response = try await router.respond(to: Request(head: head, body: request.body), context: context)
      // What no route matches is answered by the router itself, with nothing in it.
      guard response.status == .notFound, response.body.contentLength == 0 else { return response }
      return ErrorTable.response(.notFound, "page not found")
    } catch {
      if (error as? ApusError)?.code == .internal || !(error is ApusError) {
        logger.error("\(request.method) \(request.uri.path): \(error)")
      }
      return ErrorTable.response(error)
    }
  }
}
