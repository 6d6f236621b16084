import DockerTypes
import Engine
import Errors
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// What hummingbird carries beside a request.
struct APIContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  var version = APIVersion.current
  var query = Query("")

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }
}

/// One request as handlers see it.
struct APIRequest: Sendable {
  let request: Request
  let context: APIContext

  /// No JSON body of the API comes near it.
  static let bodyLimit = 4 << 20

  var version: APIVersion { context.version }
  var query: Query { context.query }
  var headers: HTTPFields { request.headers }

  /// A path parameter, with its percent encoding undone.
  func parameter(_ name: String) throws -> String {
    let value = try context.parameters.require(name)
    return value.utf8.contains(UInt8(ascii: "%")) ? String(percentEncoded: value) : value
  }

  /// The JSON body; an empty one reads as `{}`.
  func body<Body: WireValue>(_ type: Body.Type) async throws -> Body {
    let bytes = try await bodyBytes()
    guard bytes.readableBytes > 0 else { return Body() }
    let contentType = headers[.contentType] ?? ""
    guard contentType.prefix(while: { $0 != ";" }).lowercased() == "application/json" else {
      throw ApusError(.invalidArgument, "Content-Type specified (\(contentType)) must be 'application/json'")
    }
    do {
      return try JSONDecoder().decode(type, from: Data(bytes.readableBytesView))
    } catch let error as DecodingError {
      throw ApusError(.invalidArgument, error.sentence, cause: error)
    }
  }

  func bodyBytes() async throws -> ByteBuffer {
    do {
      return try await request.body.collect(upTo: Self.bodyLimit)
    } catch let error as NIOTooManyBytesError {
      throw ApusError(
        .invalidArgument, "the request body is larger than \(Self.bodyLimit >> 20) MiB, which no such request needs",
        cause: error)
    }
  }

  /// The body as it arrives, for archives and images.
  func bodyStream() -> ByteStream {
    let iterator = BodyIterator(request.body)
    return ByteStream { try await iterator.next() }
  }

  func connection() async throws -> Connection { try await Connection.of(context.channel) }

  /// Whether the client asks to leave HTTP (`Connection: Upgrade`, `Upgrade: tcp`).
  var asksForUpgrade: Bool { request.asksForUpgrade }
}

extension Request {
  var asksForUpgrade: Bool { headers[.upgrade] != nil }
}

/// Pulls a request's body.
///
/// `@unchecked Sendable`: used by one consumer at a time; a ByteStream does not ask for the next element before it has
/// the last.
private final class BodyIterator: @unchecked Sendable {
  private var iterator: RequestBody.AsyncIterator

  init(_ body: RequestBody) { iterator = body.makeAsyncIterator() }

  func next() async throws -> ByteBuffer? { try await iterator.next() }
}

extension DecodingError {
  /// What is wrong with which field, for the client.
  var sentence: String {
    func field(_ context: Context, _ last: (any CodingKey)? = nil) -> String {
      let path = (context.codingPath + (last.map { [$0] } ?? []))
        .map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
      return path.joined(separator: ".")
    }
    switch self {
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      return context.codingPath.isEmpty
        ? "the request body has the wrong JSON type"
        : "the field \(field(context)) of the request body has the wrong JSON type"
    case .keyNotFound(let key, let context):
      return "the field \(field(context, key)) of the request body is missing"
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty
        ? "invalid JSON: the request body cannot be read"
        : "the field \(field(context)) of the request body has an impossible value"
    @unknown default:
      return "invalid JSON: the request body cannot be read"
    }
  }
}
