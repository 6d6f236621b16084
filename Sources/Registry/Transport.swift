import AsyncHTTPClient
import Errors
import FoundationEssentials
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// One request to a registry: redirects, authentication and repetition are the transport's affair.
struct RegistryRequest: Sendable {
  enum Target: Sendable {
    /// Below `/v2/`.
    case path(String)
    /// Below the host's root.
    case root(String)
    /// What a `Location` header named.
    case url(URLParts)

    /// - Parameter base: the URL of the API.
    func url(at base: URLParts) -> URLParts {
      var url = base
      switch self {
      case .path(let path): url.rest += path
      case .root(let path): url.rest = path
      case .url(let other): url = other
      }
      return url
    }
  }

  var method: HTTPMethod = .GET
  var target: Target
  var headers: [(String, String)] = []
  /// Made anew for each exchange, as a redirect or a challenge may ask for another one.
  var body: (@Sendable () async throws -> HTTPClientRequest.Body)?
  /// May it be sent again when it is not known what became of it?
  var repeats = true
  /// What a token must allow: `repository:library/debian:pull`.
  var scope: String
  var subject: Subject

  init(method: HTTPMethod = .GET, path: String, scope: String, subject: Subject) {
    self.method = method
    self.target = .path(path)
    self.scope = scope
    self.subject = subject
  }

  init(method: HTTPMethod, url: URLParts, scope: String, subject: Subject) {
    self.method = method
    self.target = .url(url)
    self.scope = scope
    self.subject = subject
  }
}

/// HTTP as registries use it, towards one host.
///
/// Redirects are followed here and not by the client, for an `Authorization` header must not leave the origin it was
/// made for (CVE-2020-15157 and its kin), nor a request fall back from TLS to plain text.
final class Transport: Sendable {
  /// As references name it: `docker.io`.
  let host: String
  let configuration: RegistryConfiguration
  let hasCredentials: Bool
  let clients: HTTPClients
  private let choices: [Endpoint]
  /// The choice that has answered.
  private let settled = Mutex<Endpoint?>(nil)
  private let authorizer: Authorizer
  private let logger: Logger

  /// Bytes of an error's body that are read.
  private static let complaintLimit = 64 << 10
  private static let redirects = 5

  /// - Throws: `invalidArgument` when the host's certificates cannot be used.
  init(
    host: String, insecure: Bool, credentials: RegistryCredentials?, configuration: RegistryConfiguration,
    clients: HTTPClients, logger: Logger
  ) throws(ApusError) {
    self.host = host
    self.configuration = configuration
    self.clients = clients
    self.logger = logger
    choices = Endpoint.choices(host: host, insecure: insecure, hasCertificates: try clients.hasCertificates(host))
    let agent = configuration.userAgent
    authorizer = Authorizer(credentials: credentials) { request in
      try await Transport.fetchToken(request, clients: clients, agent: agent)
    }
    hasCredentials = authorizer.hasCredentials
  }

  // MARK: Requests

  /// The successful answer; its body is still to be read.
  /// - Throws: ``ApusError`` for every other answer, in words; `CancellationError`.
  func send(_ request: RegistryRequest) async throws -> HTTPClientResponse {
    do {
      return try await answer(request)
    } catch let refused as RefusedRequest {
      throw refused.error
    }
  }

  /// As ``send(_:)``, for callers to whom a refusal may mean something.
  /// - Throws: ``RefusedRequest`` for an answer that would only be given again.
  func answer(_ request: RegistryRequest) async throws -> HTTPClientResponse {
    var attempt = 0
    while true {
      let failure: any Error
      var pause = Self.pause(configuration.retryDelay, attempt: attempt)
      do {
        let response = try await settling(request)
        if (200..<300).contains(response.status.code) { return response }
        let body = await Self.complaint(response)
        let error = request.subject.failure(
          status: response.status.code, body: body, authenticated: authorizer.hasCredentials, at: host)
        guard response.status == .tooManyRequests || [408, 500, 502, 503, 504].contains(response.status.code) else {
          throw RefusedRequest(status: response.status.code, error: error)
        }
        if let text = response.headers.first(name: "retry-after"),
          let seconds = RetryAfter.seconds(text, now: Int64(Date().timeIntervalSince1970))
        {
          guard seconds <= configuration.longestRetryAfter else { throw error }
          pause = max(pause, .seconds(seconds))
        }
        failure = error
      } catch let error as ApusError {
        throw error
      } catch let error as RefusedRequest {
        throw error
      } catch {
        failure = request.subject.failure(error, at: host)
        guard Self.isTransient(error) else { throw failure }
      }
      guard request.repeats, attempt < configuration.retries else { throw failure }
      attempt += 1
      logger.debug("registry request repeated", metadata: ["host": "\(host)", "why": "\(failure)"])
      try await Task.sleep(for: pause)
    }
  }

  /// The pause before another attempt: doubled each time, and shortened by up to a half at random.
  static func pause(_ delay: Int64, attempt: Int) -> Duration {
    let longest = delay << Int64(min(attempt, 6))
    return .milliseconds(longest - Int64.random(in: 0...longest / 2))
  }

  /// A name that does not resolve and an untrusted certificate stay what they are; connections get better.
  static func isTransient(_ error: any Error) -> Bool {
    switch error {
    case is CancellationError: return false
    case let error as HTTPClientError:
      return [.remoteConnectionClosed, .readTimeout, .writeTimeout, .connectTimeout, .uncleanShutdown].contains(error)
    case let error as IOError: return error.errnoCode != 111
    default: return false
    }
  }

  /// Finds out, with the first request, whether the host speaks TLS where both may be.
  private func settling(_ request: RegistryRequest) async throws -> HTTPClientResponse {
    if let endpoint = settled.withLock({ $0 }) { return try await authorized(request, at: endpoint) }
    var first: (any Error)?
    for (index, endpoint) in choices.enumerated() {
      let isLast = index == choices.count - 1
      do {
        let response = try await authorized(request, at: endpoint)
        if !isLast, response.status == .badRequest, endpoint.scheme == "http" {
          // A server of TLS that was spoken to without: Go's says so, in words.
          let body = await Self.complaint(response)
          if String(decoding: body, as: UTF8.self).contains("HTTPS server") { continue }
          settled.withLock { $0 = endpoint }
          throw request.subject.failure(status: 400, body: body, authenticated: hasCredentials, at: host)
        }
        settled.withLock { $0 = endpoint }
        return response
      } catch let error as ApusError {
        throw error
      } catch {
        // The first way is the likeliest: its failure is the one to tell.
        if let first, isLast { throw first }
        if isLast || error is CancellationError || !Self.mayBeTheScheme(error) { throw error }
        first = first ?? error
      }
    }
    throw first ?? ApusError(.unavailable, "\(host) speaks neither HTTP nor TLS")
  }

  /// Could it be that the other side expected TLS, or did not?
  private static func mayBeTheScheme(_ error: any Error) -> Bool {
    switch error {
    case let error as HTTPClientError: return error == .remoteConnectionClosed || error == .tlsHandshakeTimeout
    case is HTTPParserError: return true
    case let error as NIOConnectionError: return !error.connectionErrors.isEmpty
    case is IOError: return true
    default: return ConnectionFailure.tls(error) != nil
    }
  }

  /// One request with its authentication and its redirects.
  private func authorized(_ request: RegistryRequest, at endpoint: Endpoint) async throws -> HTTPClientResponse {
    var header = await authorizer.header(endpoint: endpoint, scope: request.scope)
    for _ in 0..<3 {
      let response = try await redirected(request, at: endpoint, authorization: header)
      guard response.response.status == .unauthorized, response.sameOrigin else { return response.response }
      let challenges = response.response.headers["www-authenticate"].flatMap(Challenge.parse)
      let next = try await authorizer.answer(
        challenges, endpoint: endpoint, name: host, scope: request.scope, refused: header, subject: request.subject)
      guard let next else { return response.response }
      _ = await Self.complaint(response.response)
      header = next
    }
    return try await redirected(request, at: endpoint, authorization: header).response
  }

  private func redirected(
    _ request: RegistryRequest, at endpoint: Endpoint, authorization: String?
  ) async throws -> (response: HTTPClientResponse, sameOrigin: Bool) {
    guard let origin = URLParts(endpoint.base) else {
      throw ApusError(.invalidArgument, "'\(host)' is no usable registry address")
    }
    var url = request.target.url(at: origin)
    var method = request.method
    var body = request.body
    for _ in 0...Self.redirects {
      var message = HTTPClientRequest(url: url.text)
      message.method = method
      for (name, value) in request.headers { message.headers.add(name: name, value: value) }
      message.headers.add(name: "user-agent", value: configuration.userAgent)
      message.headers.add(name: "accept-encoding", value: "identity")
      message.body = try await body?()
      let sameOrigin = url.hasSameOrigin(as: origin)
      if sameOrigin, let authorization { message.headers.add(name: "authorization", value: authorization) }
      let client = try clients.client(
        scheme: url.scheme, host: url.authority, verifies: sameOrigin ? endpoint.verifies : true)
      let response = try await client.execute(message, deadline: .distantFuture, logger: nil)
      guard [301, 302, 303, 307, 308].contains(response.status.code) else {
        return (response, sameOrigin)
      }
      guard let location = response.headers.first(name: "location"), let next = url.resolving(location) else {
        throw ApusError(.unavailable, "\(url.host) redirects \(request.subject.text) to nowhere")
      }
      guard next.scheme == "https" || url.scheme == "http" else {
        throw ApusError(
          .permissionDenied, "\(url.host) redirects \(request.subject.text) to \(next.host) without TLS: refused")
      }
      _ = await Self.complaint(response)
      if response.status == .seeOther, method != .HEAD {
        method = .GET
        body = nil
      }
      url = next
    }
    throw ApusError(.unavailable, "\(host) redirects \(request.subject.text) in circles")
  }

  /// Where a `Location` header of an answer leads.
  /// - Throws: `unavailable` when it leads nowhere, `permissionDenied` when it would leave TLS.
  func location(of response: HTTPClientResponse, to request: RegistryRequest) throws -> URLParts {
    guard let text = response.headers.first(name: "location") else {
      throw ApusError(.unavailable, "\(host) does not say where \(request.subject.text) is to be sent")
    }
    return try resolve(text, from: request)
  }

  /// A URL that an answer named, seen from the request it answered.
  func resolve(_ text: String, from request: RegistryRequest) throws -> URLParts {
    let endpoint = settled.withLock { $0 } ?? choices[0]
    guard let origin = URLParts(endpoint.base) else {
      throw ApusError(.invalidArgument, "'\(host)' is no usable registry address")
    }
    let base = request.target.url(at: origin)
    guard let next = base.resolving(text) else {
      throw ApusError(.unavailable, "\(host) names an address for \(request.subject.text) that is none")
    }
    guard next.scheme == "https" || base.scheme == "http" else {
      throw ApusError(
        .permissionDenied,
        "\(host) names an address without TLS for \(request.subject.text): refused; its administrator may have to set "
          + "its public address")
    }
    return next
  }

  /// The bounded body of an answer that is no success; reading it lets the connection be used again.
  static func complaint(_ response: HTTPClientResponse) async -> [UInt8] {
    guard let buffer = try? await response.body.collect(upTo: complaintLimit) else { return [] }
    return Array(buffer.readableBytesView)
  }

  private static func fetchToken(
    _ request: Authorizer.TokenRequest, clients: HTTPClients, agent: String
  ) async throws -> [UInt8] {
    guard let url = URLParts(request.url) else {
      throw ApusError(.unavailable, "\(request.host) names a token server whose address is none")
    }
    var message = HTTPClientRequest(url: url.text)
    message.headers.add(name: "user-agent", value: agent)
    if let authorization = request.authorization { message.headers.add(name: "authorization", value: authorization) }
    if let form = request.form {
      message.method = .POST
      message.headers.add(name: "content-type", value: "application/x-www-form-urlencoded")
      message.body = .bytes(ByteBuffer(string: form))
    }
    let response: HTTPClientResponse
    do {
      let client = try clients.client(scheme: url.scheme, host: url.authority, verifies: request.verifies)
      response = try await client.execute(message, timeout: .seconds(60))
    } catch {
      throw request.subject.failure(error, at: request.host)
    }
    let body = await complaint(response)
    guard response.status == .ok else {
      throw request.subject.failure(
        status: response.status.code, body: body,
        authenticated: request.authorization != nil || request.form != nil, at: request.host)
    }
    return body
  }
}

/// An answer that is no success and is not worth a repetition: what it was, for callers that can do without, and its
/// sentence for the others.
struct RefusedRequest: Error {
  var status: UInt
  var error: ApusError
}
