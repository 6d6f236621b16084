import Glibc
import ImageSpec

/// What a user gave to be let in: the fields of Docker's `X-Registry-Auth`.
public struct RegistryCredentials: Sendable, Equatable {
  public var username: String
  public var password: String
  /// An OAuth refresh token, exchanged for access tokens.
  public var identityToken: String
  /// A bearer token that is sent as it is.
  public var registryToken: String

  public init(username: String = "", password: String = "", identityToken: String = "", registryToken: String = "") {
    self.username = username
    self.password = password
    self.identityToken = identityToken
    self.registryToken = registryToken
  }

  public var isEmpty: Bool { username.isEmpty && identityToken.isEmpty && registryToken.isEmpty }

  var basic: String? {
    username.isEmpty ? nil : "Basic " + Base64.encode(Array("\(username):\(password)".utf8))
  }
}

/// How registries are reached, and what is accepted from them.
public struct RegistryConfiguration: Sendable {
  /// Registries (`host` or `host:port`) spoken to without TLS besides those on the loopback interface.
  public var insecureRegistries: Set<String> = []
  /// Further attempts after a failure that may pass: a cut connection, 429, 5xx.
  public var retries = 4
  /// First pause between attempts, in milliseconds; doubled each time.
  public var retryDelay: Int64 = 250
  /// Longest `Retry-After` that is waited for, in seconds; a longer one fails at once.
  public var longestRetryAfter = 30
  /// Bytes of a manifest or index; the distribution spec lets a registry refuse more than 4 MiB.
  public var manifestLimit = 4 << 20
  /// Bytes of an image configuration.
  public var configurationLimit = 8 << 20
  /// Seconds without a byte before a connection counts as dead.
  public var readTimeout: Int64 = 60
  public var connectTimeout: Int64 = 15
  public var userAgent = "apus"
  /// `http://host:port` for HTTPS registries, from the environment; nil: direct.
  public var proxy: String?
  /// Host names and suffixes reached without the proxy.
  public var noProxy: [String] = []

  public init() {}

  /// With the proxy settings of the environment (`HTTPS_PROXY`, `NO_PROXY`, either case).
  public static var fromEnvironment: RegistryConfiguration {
    func variable(_ name: String) -> String? {
      guard let value = getenv(name) ?? getenv(name.lowercased()), value.pointee != 0 else { return nil }
      return String(cString: value)
    }
    var configuration = RegistryConfiguration()
    configuration.proxy = variable("HTTPS_PROXY")
    configuration.noProxy = (variable("NO_PROXY") ?? "").split(separator: ",").map {
      String($0.drop { $0 == " " || $0 == "*" }).lowercased()
    }
    return configuration
  }
}

/// Where the API of one registry answers.
struct Endpoint: Hashable, Sendable {
  /// `https` or `http`.
  let scheme: String
  /// With its port, where it has one.
  let host: String

  /// Docker Hub is named by one host and answers on another. Registries on the loopback interface are spoken to
  /// without TLS, as Docker does: nobody else can listen.
  init(domain: String, configuration: RegistryConfiguration) {
    host = domain == Reference.defaultDomain ? "registry-1.docker.io" : domain
    let plain = Self.isLoopback(domain) || configuration.insecureRegistries.contains(domain)
    scheme = plain ? "http" : "https"
  }

  static func isLoopback(_ domain: String) -> Bool {
    if domain.hasPrefix("[") { return domain.hasPrefix("[::1]") }
    let name = domain.split(separator: ":", maxSplits: 1).first.map(String.init) ?? domain
    if name == "localhost" || name.hasSuffix(".localhost") { return true }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
  }

  var base: String { "\(scheme)://\(host)/v2/" }
}

enum Base64 {
  static func encode(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var result: [UInt8] = []
    result.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var word: UInt32 = 0
      for (index, byte) in group.enumerated() { word |= UInt32(byte) << (16 - 8 * UInt32(index)) }
      for digit in 0..<4 {
        result.append(digit <= group.count ? alphabet[Int(word >> (18 - 6 * UInt32(digit)) & 63)] : 0x3d)
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
