import Errors
import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore

/// From a connection's request to the resources and back: who asks, what for, and how failures are told.
struct RegistryResponder: Sendable {
  let resources: RegistryResources
  let passwords: Passwords?
  let logger: Logger

  func respond(_ request: Request, _ writer: consuming ResponseWriter, _ channel: any Channel) async throws {
    var response = await response(to: request)
    response.headers[.apiVersion] = "registry/2.0"
    response.headers[.date] = Self.date()
    if request.method == .head {
      // The length is that of the answer to GET, the body nothing.
      let length = response.headers[.contentLength] ?? response.body.contentLength.map { "\($0)" }
      response.body = ResponseBody()
      response.headers[.contentLength] = length
    }
    try await writer.write(response: response.head, body: response.body)
  }

  /// Now, as RFC 9110, section 5.6.7 writes it.
  private static func date() -> String {
    var now = time(nil)
    var parts = tm()
    gmtime_r(&now, &parts)
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 40) { buffer in
      guard let start = buffer.baseAddress, strftime(start, 40, "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0 else {
        return ""
      }
      return String(cString: start)
    }
  }

  private func response(to request: Request) async -> Response {
    do {
      if let passwords, await !passwords.accepts(request.headers[.authorization]) {
        throw Problem(.unauthorized, .unauthorized, "the registry wants a user's name and password")
          .with(.wwwAuthenticate, "Basic realm=\"apus registry\", charset=\"UTF-8\"")
      }
      let target = request.head.path ?? "/"
      let path = target.prefix { $0 != "?" }
      let call = Call(request, query: target.dropFirst(path.count + 1))
      return try await resources.answer(call, try Route(path))
    } catch {
      if !(error is Problem) { logger.error("\(request.method) \(request.uri.path): \(error)") }
      return Problem(error).response
    }
  }
}
