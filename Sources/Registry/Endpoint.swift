import ImageSpec

/// Where the API of one registry answers.
struct Endpoint: Hashable, Sendable {
  /// `https` or `http`.
  let scheme: String
  /// With its port, where it has one.
  let host: String
  /// Must its certificate be trusted?
  let verifies: Bool

  var base: String { "\(scheme)://\(host)/v2/" }

  /// The ways to try for one host, the likeliest first; the first that answers is kept to.
  ///
  /// Docker Hub is named by one host and answers on another. Registries on the loopback interface are spoken to without
  /// TLS, as nobody else can listen there; where one does speak TLS, it need not prove who it is, as with Docker. A
  /// registry that is configured as insecure is asked by TLS without verification, then without TLS. For whom certificates
  /// are kept, TLS is expected.
  static func choices(host: String, insecure: Bool, hasCertificates: Bool = false) -> [Endpoint] {
    let name = host == Reference.defaultDomain ? "registry-1.docker.io" : host
    if isLoopback(host), !hasCertificates {
      return [
        Endpoint(scheme: "http", host: name, verifies: true), Endpoint(scheme: "https", host: name, verifies: false),
      ]
    }
    if insecure {
      return [
        Endpoint(scheme: "https", host: name, verifies: false), Endpoint(scheme: "http", host: name, verifies: true),
      ]
    }
    return [Endpoint(scheme: "https", host: name, verifies: true)]
  }

  static func isLoopback(_ domain: String) -> Bool {
    if domain.hasPrefix("[") { return domain.hasPrefix("[::1]") }
    let name = domain.split(separator: ":", maxSplits: 1).first.map(String.init) ?? domain
    if name == "localhost" || name.hasSuffix(".localhost") { return true }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }
}
