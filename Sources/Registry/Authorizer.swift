import Errors
import FoundationEssentials
import ImageSpec
import Logging

/// Gets and keeps the tokens of one client (distribution "Token Authentication Specification"; OAuth2 for refresh
/// tokens). One request per scope: those that come meanwhile wait for its answer.
actor Authorizer {
  private struct Token: Sendable {
    var header: String
    var expires: Date
  }

  private struct Key: Hashable {
    var endpoint: Endpoint
    var scope: String
  }

  /// What a token server answers.
  private struct Answer: Decodable {
    var token: String?
    var access_token: String?
    var expires_in: Int?
  }

  private let credentials: RegistryCredentials?
  private var tokens: [Key: Token] = [:]
  private var pending: [Key: Task<Token, any Error>] = [:]
  private let fetch: @Sendable (TokenRequest) async throws -> [UInt8]

  /// A request to a token server.
  struct TokenRequest: Sendable {
    var url: String
    var authorization: String?
    /// A form to POST; nil: GET.
    var form: String?
    /// The registry's, for the error sentences.
    var host: String
    /// Must the token server's certificate be trusted?
    var verifies: Bool
    var subject: Subject
  }

  init(credentials: RegistryCredentials?, fetch: @escaping @Sendable (TokenRequest) async throws -> [UInt8]) {
    self.credentials = credentials.flatMap { $0.isEmpty ? nil : $0 }
    self.fetch = fetch
  }

  nonisolated var hasCredentials: Bool { credentials != nil }

  /// The header that worked last for this scope, nil before the first challenge.
  func header(endpoint: Endpoint, scope: String) -> String? {
    if let token = credentials?.registryToken, !token.isEmpty { return "Bearer \(token)" }
    guard let token = tokens[Key(endpoint: endpoint, scope: scope)], token.expires > Date() else { return nil }
    return token.header
  }

  /// Answers a 401. nil: there is nothing to answer it with, or the answer was already refused.
  func answer(
    _ challenges: [Challenge], endpoint: Endpoint, name: String, scope: String, refused: String?, subject: Subject
  ) async throws -> String? {
    let key = Key(endpoint: endpoint, scope: scope)
    // Another request may have got a token while this one was under way.
    if let token = tokens[key], token.expires > Date(), token.header != refused { return token.header }
    if let task = pending[key] { return try await task.value.header }

    if let bearer = challenges.first(where: { $0.scheme == "bearer" }), let realm = bearer.parameters["realm"] {
      guard realm.hasPrefix("https://") || endpoint.scheme == "http" else {
        throw ApusError(
          .permissionDenied, "\(endpoint.host) names a token server without TLS: no credentials are sent there")
      }
      let request = tokenRequest(
        realm: realm, challenge: bearer, endpoint: endpoint, name: name, scope: scope, subject: subject)
      let task = Task { [fetch] in try Self.token(from: try await fetch(request), host: name) }
      pending[key] = task
      defer { pending[key] = nil }
      let token = try await task.value
      tokens[key] = token
      return token.header == refused ? nil : token.header
    }
    if challenges.contains(where: { $0.scheme == "basic" }), let basic = credentials?.basic, basic != refused {
      tokens[key] = Token(header: basic, expires: .distantFuture)
      return basic
    }
    return nil
  }

  private func tokenRequest(
    realm: String, challenge: Challenge, endpoint: Endpoint, name: String, scope: String, subject: Subject
  ) -> TokenRequest {
    let service = challenge.parameters["service"]
    // The registry knows best which scope it wants, where it says so; but of a mount it may know the target alone.
    let said = challenge.parameters["scope"]?.split(separator: " ") ?? []
    let more = scope.split(separator: " ").filter { !Self.covers(said, $0) }
    let wanted = (said + more).joined(separator: " ")
    // The insecurity of a registry is not that of others.
    let verifies = endpoint.verifies || URLParts(realm)?.authority != endpoint.host
    if let identity = credentials?.identityToken, !identity.isEmpty {
      let form = [
        ("grant_type", "refresh_token"), ("client_id", "apus"), ("service", service ?? ""), ("scope", wanted),
        ("refresh_token", identity),
      ].map { "\($0)=\(PercentEncoding.encode($1))" }.joined(separator: "&")
      return TokenRequest(
        url: realm, authorization: nil, form: form, host: name, verifies: verifies, subject: subject)
    }
    var query = wanted.split(separator: " ").map { "scope=" + PercentEncoding.encode(String($0)) }
    if let service { query.insert("service=" + PercentEncoding.encode(service), at: 0) }
    let url = realm + (query.isEmpty ? "" : (realm.contains("?") ? "&" : "?") + query.joined(separator: "&"))
    return TokenRequest(
      url: url, authorization: credentials?.basic, form: nil, host: name, verifies: verifies, subject: subject)
  }

  /// Is the resource of a scope among those of a challenge?
  private static func covers(_ challenge: [Substring], _ scope: Substring) -> Bool {
    guard let end = scope.lastIndex(of: ":") else { return false }
    return challenge.contains { $0.hasPrefix(scope[...end]) }
  }

  private static func token(from body: [UInt8], host: String) throws -> Token {
    guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(body)),
      let text = [answer.token, answer.access_token].compactMap({ $0 }).first(where: { !$0.isEmpty }),
      text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
    else { throw ApusError(.unavailable, "the token server of \(host) gave no usable token") }
    // The specification's default is a minute; a margin keeps a token from expiring on its way.
    let life = max(answer.expires_in ?? 60, 60)
    return Token(header: "Bearer \(text)", expires: Date(timeIntervalSinceNow: Double(life) * 0.8))
  }
}
