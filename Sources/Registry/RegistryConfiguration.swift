import Errors
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
  /// Mirrors, other locations, and what is blocked.
  public var registries = RegistriesFile()
  /// Where `HOST[:PORT]/` holds a registry's own certificates, in the layout of Docker's certs.d: `*.crt` are authorities to
  /// trust, `NAME.cert` and `NAME.key` the client's. The first directory that has one for a host is used.
  public var certificateDirectories = ["/etc/apus/certs.d", "/etc/docker/certs.d"]
  /// Further attempts after a failure that may pass: a cut connection, 429, 5xx.
  public var retries = 4
  /// First pause between attempts, in milliseconds; doubled each time, and shortened by up to a half at random, so that
  /// many clients do not come back together.
  public var retryDelay: Int64 = 250
  /// Longest `Retry-After` that is waited for, in seconds; a longer one fails at once.
  public var longestRetryAfter = 30
  /// Bytes of a manifest or index; the distribution spec lets a registry refuse more than 4 MiB.
  public var manifestLimit = 4 << 20
  /// Bytes of an image configuration.
  public var configurationLimit = 8 << 20
  /// Blobs from this size on are downloaded in several ranges at once; bytes.
  public var parallelThreshold: Int64 = 16 << 20
  /// Ranges of one blob under way at once. As many times ``rangeSize`` is held in memory at most.
  public var parallelRanges = 3
  /// Bytes of one such range.
  public var rangeSize: Int64 = 4 << 20
  /// Blobs up to this size are uploaded in one request; bytes.
  public var monolithicLimit: Int64 = 1 << 20
  /// Bytes of one request of a larger upload, which is what is sent again when a connection breaks at its worst. Proxies
  /// before registries refuse more than about 100 MB.
  public var uploadChunk: Int64 = 64 << 20
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

  /// With the proxies of the environment and this host's registries.conf.
  ///
  /// - Parameter registriesFile: read instead of the usual ones, see ``RegistriesFile/paths``.
  /// - Throws: `invalidArgument` for a file that says nothing sensible.
  public static func system(registriesFile: String? = nil) throws(ApusError) -> RegistryConfiguration {
    var configuration = Self.fromEnvironment
    configuration.registries = try RegistriesFile.read(path: registriesFile)
    return configuration
  }
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
