import DockerTypes
import Errors
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// Headers that every answer has.
enum StandardHeaders {
  static let apiVersion = HTTPField.Name(unchecked: "Api-Version")
  static let experimental = HTTPField.Name(unchecked: "Docker-Experimental")
  static let osType = HTTPField.Name(unchecked: "Ostype")

  static let fields: HTTPFields = [
    apiVersion: DockerAPIVersion.current,
    experimental: "false",
    osType: "linux",
    .server: "Apus/\(ApusVersion.current) (linux)",
  ]
}

extension HTTPField.Name {
  /// For names that are valid by sight.
  fileprivate init(unchecked name: String) {
    guard let valid = HTTPField.Name(name) else { preconditionFailure("\(name) is no header name") }
    self = valid
  }

  static let pragma = HTTPField.Name(unchecked: "Pragma")
  static let pathStat = HTTPField.Name(unchecked: "X-Docker-Container-Path-Stat")
  static let registryAuth = HTTPField.Name(unchecked: "X-Registry-Auth")
  static let builderVersion = HTTPField.Name(unchecked: "Builder-Version")
  static let swarm = HTTPField.Name(unchecked: "Swarm")
}

extension ByteBuffer {
  /// JSON and a newline, as Go's encoder ends it.
  init(json value: some Encodable) throws {
    self.init(bytes: try WireEncoder.encode(value) + [UInt8(ascii: "\n")])
  }
}

extension Response {
  static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
    do {
      let body = try ByteBuffer(json: value)
      return Response(status: status, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: body))
    } catch {
      // Only a number that JSON cannot say can end here, and no type of the API holds one.
      return Response(status: .internalServerError)
    }
  }

  static func text(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: "text/plain; charset=utf-8"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  static func empty(_ status: HTTPResponse.Status = .noContent) -> Response {
    // 204 and 304 have no Content-Length; everything else without a body says so.
    var response = Response(status: status)
    if status == .noContent || status == .notModified { response.headers[.contentLength] = nil }
    return response
  }

  /// An answer of unknown length. Its headers leave at once; `write` is cancelled when the client goes away.
  static func stream(
    _ type: String, to connection: Connection, headers: HTTPFields = [:],
    _ write: @escaping @Sendable (BodyWriter) async throws -> Void
  ) -> Response {
    var headers = headers
    headers[.contentType] = type
    let body = ResponseBody { writer in
      let output = BodyWriter(writer)
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await write(output) }
        group.addTask {
          await connection.clientGone()
          throw CancellationError()
        }
        defer { group.cancelAll() }
        try await group.next()
      }
      try await output.finish()
    }
    return Response(status: .ok, headers: headers, body: body)
  }
}

/// Writes a streamed body, each piece at the client's pace.
///
/// `@unchecked Sendable`: used by one task at a time; the one that writes, then, when that has ended, the one that
/// finishes.
final class BodyWriter: @unchecked Sendable {
  private var writer: any ResponseBodyWriter

  init(_ writer: any ResponseBodyWriter) { self.writer = writer }

  func write(_ bytes: ByteBuffer) async throws { try await writer.write(bytes) }

  func write(json value: some Encodable) async throws { try await writer.write(ByteBuffer(json: value)) }

  func write(contentsOf stream: some AsyncSequence<ByteBuffer, any Error>) async throws {
    for try await bytes in stream { try await writer.write(bytes) }
  }

  fileprivate func finish() async throws { try await writer.finish(nil) }
}
