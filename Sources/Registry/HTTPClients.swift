import AsyncHTTPClient
import Errors
import NIOCore
import NIOSSL
import Synchronization

/// The HTTP clients of one ``RegistryClient``: one for each way that TLS is to be set up. A host's certificates are used
/// towards that host alone, whoever redirects to another.
final class HTTPClients: Sendable {
  private struct Key: Hashable {
    /// The host that has certificates of its own; nil: the system's are right.
    var host: String?
    var verifies: Bool
    var proxied: Bool
  }

  private let configuration: RegistryConfiguration
  private let clients = Mutex<[Key: HTTPClient]>([:])

  init(configuration: RegistryConfiguration) { self.configuration = configuration }

  func shutdown() async {
    let all = clients.withLock { clients in
      defer { clients = [:] }
      return Array(clients.values)
    }
    for client in all { try? await client.shutdown() }
  }

  /// Does the host have certificates of its own?
  func hasCertificates(_ host: String) throws(ApusError) -> Bool {
    try HostCertificates.find(host: host, in: configuration.certificateDirectories) != nil
  }

  /// The client for an origin.
  ///
  /// - Parameters:
  ///   - host: with its port, where the URL has one.
  ///   - verifies: whether a certificate must be trusted.
  /// - Throws: `invalidArgument` when the host's certificates cannot be used.
  func client(scheme: String, host: String, verifies: Bool) throws(ApusError) -> HTTPClient {
    let certificates =
      scheme == "https" ? try HostCertificates.find(host: host, in: configuration.certificateDirectories) : nil
    let key = Key(
      host: certificates == nil ? nil : host, verifies: verifies, proxied: proxy(scheme: scheme, host: host) != nil)
    if let known = clients.withLock({ $0[key] }) { return known }
    var settings = HTTPClient.Configuration()
    settings.redirectConfiguration = .disallow
    settings.timeout = .init(
      connect: .seconds(configuration.connectTimeout), read: .seconds(configuration.readTimeout))
    // Layers come several at once: HTTP/2 would put them on one connection with one small flow-control window.
    settings.httpVersion = .http1Only
    settings.connectionPool = .init(idleTimeout: .seconds(15), concurrentHTTP1ConnectionsPerHostSoftLimit: 16)
    // What may be repeated is decided here; a refused connection is answered at once.
    settings.connectionPool.retryConnectionEstablishment = false
    settings.proxy = proxy(scheme: scheme, host: host)
    var tls = TLSConfiguration.makeClientConfiguration()
    if !verifies { tls.certificateVerification = .none }
    try certificates?.apply(to: &tls)
    settings.tlsConfiguration = tls
    let made = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
    let (kept, surplus) = clients.withLock { clients -> (HTTPClient, HTTPClient?) in
      if let known = clients[key] { return (known, made) }
      clients[key] = made
      return (made, nil)
    }
    // It has never been used, so there is nothing to wait for.
    surplus?.shutdown { _ in }
    return kept
  }

  private func proxy(scheme: String, host: String) -> HTTPClient.Configuration.Proxy? {
    guard scheme == "https", let text = configuration.proxy else { return nil }
    let name = host.split(separator: ":").first.map { $0.lowercased() } ?? ""
    for entry in configuration.noProxy where !entry.isEmpty {
      if name == entry || name.hasSuffix(entry.hasPrefix(".") ? entry : "." + entry) { return nil }
    }
    guard !Endpoint.isLoopback(host), let url = URLParts(text), url.scheme == "http" else { return nil }
    return .server(host: url.host, port: url.port ?? 3128)
  }
}
