import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore

/// One request as the resources see it.
struct Call: Sendable {
  let request: Request
  let query: Query
  let method: HTTPRequest.Method

  init(_ request: Request, query: some StringProtocol) {
    self.request = request
    self.query = Query(query)
    method = request.method
  }

  var headers: HTTPFields { request.headers }

  /// A whole body of at most `limit` bytes.
  /// - Throws: ``Problem``: 413.
  func body(limit: Int) async throws -> [UInt8] {
    do {
      return Array(try await request.body.collect(upTo: limit).readableBytesView)
    } catch is NIOTooManyBytesError {
      throw Problem(.contentTooLarge, .sizeInvalid, "the body is larger than the \(limit) bytes that are accepted")
    }
  }

  /// `n` and `last` of a list.
  /// - Throws: ``Problem`` for an `n` that is no number.
  func page(limit: Int) throws(Problem) -> (limit: Int, last: String) {
    guard let text = query["n"] else { return (limit, query["last"] ?? "") }
    guard let count = Int(text), count >= 0 else {
      throw Problem(.badRequest, .unsupported, "n must be a number of entries")
    }
    return (min(count, limit), query["last"] ?? "")
  }
}
