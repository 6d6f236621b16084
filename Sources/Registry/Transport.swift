import AsyncHTTPClient
import Errors
import ImageSpec
import Logging
import NIOCore
import NIOHTTP1

/// One request to a registry: redirects, authentication and repetition are the transport's affair.
struct RegistryRequest: Sendable {
  var method: HTTPMethod = .GET
  /// Below `/v2/`.
  var path: String
  var headers: [(String, String)] = []
  /// What a token must allow: `repository:library/debian:pull`.
  var scope: String
  var subject: Subject
}

/// HTTP as registries use it, over one `HTTPClient`.
///
/// Redirects are followed here and not by the client, for an `Authorization` header must not leave the origin it was
/// made for (CVE-2020-15157 and its kin), nor a request fall back from TLS to plain text.
final class Transport: Sendable {
  let endpoint: Endpoint
  let configuration: RegistryConfiguration
  private let client: HTTPClient
  private let authorizer: Authorizer
  private let logger: Logger

  /// Bytes of an error's body that are read.
  private static let complaintLimit = 64 << 10
  private static let redirects = 5

  init(
    endpoint: Endpoint, configuration: RegistryConfiguration, credentials: RegistryCredentials?, logger: Logger
  ) {
    self.endpoint = endpoint
    self.configuration = configuration
    self.logger = logger
    var settings = HTTPClient.Configuration()
    settings.redirectConfiguration = .disallow
    settings.timeout = .init(
      connect: .seconds(configuration.connectTimeout), read: .seconds(configuration.readTimeout))
    // Layers come several at once: HTTP/2 would put them on one connection with one small flow-control window.
    settings.httpVersion = .http1Only
    settings.connectionPool = .init(idleTimeout: .seconds(15))
    // What may be repeated is decided here; a refused connection is answered at once.
    settings.connectionPool.retryConnectionEstablishment = false
    settings.proxy = Self.proxy(for: endpoint, configuration)
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
    let box = client
    let agent = configuration.userAgent
    authorizer = Authorizer(credentials: credentials) { request in
      try await Transport.fetchToken(request, client: box, agent: agent)
    }
  }

  func shutdown() async {
    try? await client.shutdown()
  }

  private static func proxy(
    for endpoint: Endpoint, _ configuration: RegistryConfiguration
  ) -> HTTPClient.Configuration.Proxy? {
    guard endpoint.scheme == "https", let text = configuration.proxy else { return nil }
    let host = endpoint.host.split(separator: ":").first.map { $0.lowercased() } ?? ""
    for entry in configuration.noProxy where !entry.isEmpty {
      if host == entry || host.hasSuffix(entry.hasPrefix(".") ? entry : "." + entry) { return nil }
    }
    guard let url = URLParts(text), url.scheme == "http" else { return nil }
    return .server(host: url.host, port: url.port ?? 3128)
  }

  // MARK: Requests

  /// The successful answer; its body is still to be read.
  /// - Throws: ``ApusError`` for every other answer, in words; `CancellationError`.
  func send(_ request: RegistryRequest) async throws -> HTTPClientResponse {
    var attempt = 0
    while true {
      let failure: any Error
      var pause = configuration.retryDelay << Int64(min(attempt, 6))
      do {
        let response = try await authorized(request)
        if (200..<300).contains(response.status.code) { return response }
        let body = await Self.complaint(response)
        let error = request.subject.failure(
          status: response.status.code, body: body, authenticated: authorizer.hasCredentials)
        guard response.status == .tooManyRequests || [500, 502, 503, 504].contains(response.status.code) else {
          throw error
        }
        if let text = response.headers.first(name: "retry-after"), let seconds = Int(text), seconds >= 0 {
          guard seconds <= configuration.longestRetryAfter else { throw error }
          pause = max(pause, Int64(seconds) * 1000)
        }
        failure = error
      } catch let error as ApusError {
        throw error
      } catch {
        failure = request.subject.failure(error)
        guard Self.isTransient(error) else { throw failure }
      }
      guard attempt < configuration.retries else { throw failure }
      attempt += 1
      logger.debug("registry request repeated", metadata: ["path": "\(request.path)", "why": "\(failure)"])
      try await Task.sleep(for: .milliseconds(pause))
    }
  }

  /// A name that does not resolve and an untrusted certificate stay what they are; connections get better.
  private static func isTransient(_ error: any Error) -> Bool {
    switch error {
    case is CancellationError: return false
    case let error as HTTPClientError:
      return [.remoteConnectionClosed, .readTimeout, .connectTimeout, .uncleanShutdown].contains(error)
    case let error as IOError: return error.errnoCode != 111
    default: return false
    }
  }

  /// One request with its authentication and its redirects.
  private func authorized(_ request: RegistryRequest) async throws -> HTTPClientResponse {
    var header = await authorizer.header(endpoint: endpoint, scope: request.scope)
    for _ in 0..<3 {
      let response = try await redirected(request, authorization: header)
      guard response.response.status == .unauthorized, response.sameOrigin else { return response.response }
      let challenges = response.response.headers["www-authenticate"].flatMap(Challenge.parse)
      let next = try await authorizer.answer(
        challenges, endpoint: endpoint, scope: request.scope, refused: header, subject: request.subject)
      guard let next else { return response.response }
      _ = await Self.complaint(response.response)
      header = next
    }
    return try await redirected(request, authorization: header).response
  }

  private func redirected(
    _ request: RegistryRequest, authorization: String?
  ) async throws -> (response: HTTPClientResponse, sameOrigin: Bool) {
    let start = endpoint.base + request.path
    guard let origin = URLParts(start) else {
      throw ApusError(.invalidArgument, "'\(request.subject.domain)' is no usable registry address")
    }
    var url = origin
    for _ in 0...Self.redirects {
      var message = HTTPClientRequest(url: url.text)
      message.method = request.method
      for (name, value) in request.headers { message.headers.add(name: name, value: value) }
      message.headers.add(name: "user-agent", value: configuration.userAgent)
      message.headers.add(name: "accept-encoding", value: "identity")
      let sameOrigin = url.hasSameOrigin(as: origin)
      if sameOrigin, let authorization { message.headers.add(name: "authorization", value: authorization) }
      let response = try await client.execute(message, deadline: .distantFuture, logger: nil)
      guard [301, 302, 303, 307, 308].contains(response.status.code) else { return (response, sameOrigin) }
      guard let location = response.headers.first(name: "location"), let next = url.resolving(location) else {
        throw ApusError(.unavailable, "\(url.host) redirects \(request.subject.text) to nowhere")
      }
      guard next.scheme == "https" || url.scheme == "http" else {
        throw ApusError(
          .permissionDenied, "\(url.host) redirects \(request.subject.text) to \(next.host) without TLS: refused")
      }
      _ = await Self.complaint(response)
      url = next
    }
    throw ApusError(.unavailable, "\(endpoint.host) redirects \(request.subject.text) in circles")
  }

  /// The bounded body of an answer that is no success; reading it lets the connection be used again.
  private static func complaint(_ response: HTTPClientResponse) async -> [UInt8] {
    guard let buffer = try? await response.body.collect(upTo: complaintLimit) else { return [] }
    return Array(buffer.readableBytesView)
  }

  private static func fetchToken(
    _ request: Authorizer.TokenRequest, client: HTTPClient, agent: String
  ) async throws -> [UInt8] {
    var message = HTTPClientRequest(url: request.url)
    message.headers.add(name: "user-agent", value: agent)
    if let authorization = request.authorization { message.headers.add(name: "authorization", value: authorization) }
    if let form = request.form {
      message.method = .POST
      message.headers.add(name: "content-type", value: "application/x-www-form-urlencoded")
      message.body = .bytes(ByteBuffer(string: form))
    }
    let response: HTTPClientResponse
    do {
      response = try await client.execute(message, timeout: .seconds(60))
    } catch {
      throw request.subject.failure(error)
    }
    let body = await complaint(response)
    guard response.status == .ok else {
      throw request.subject.failure(
        status: response.status.code, body: body,
        authenticated: request.authorization != nil || request.form != nil)
    }
    return body
  }
}
