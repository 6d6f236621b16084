import Errors
import Glibc

/// Who somebody is to a registry.
struct RegistryAccount: Equatable {
  var user: String
  var secret: String
  /// The secret is an OAuth refresh token; there is no password then.
  var isToken = false

  /// The value of `X-Registry-Auth` before base64.
  func auth(for registry: String) -> JSON {
    let server = registry == "docker.io" ? RegistryLogin.hub : registry
    if isToken {
      return [
        "username": .string(user), "identitytoken": .string(secret), "serveraddress": .string(server),
      ]
    }
    return ["username": .string(user), "password": .string(secret), "serveraddress": .string(server)]
  }
}

/// Accounts at registries, kept where Docker keeps them: in a credential helper where `~/.docker/config.json` names one
/// (`credHelpers`, `credsStore`), else in its `auths`.
enum RegistryLogin {
  /// The key under which Docker files its own registry.
  static let hub = "https://index.docker.io/v1/"

  /// The header that hands the daemon the credentials for an image's registry; none where there are none.
  static func headers(for name: String) -> [(String, String)] {
    let registry = registry(of: name)
    guard let account = account(for: registry) else { return [] }
    return [("X-Registry-Auth", Base64.encode(account.auth(for: registry).bytes(), urlSafe: true))]
  }

  /// The account that is kept for a registry. What cannot be read is no account: the registry will say what it misses.
  static func account(for registry: String) -> RegistryAccount? {
    guard let file = try? DockerConfiguration.read() else { return nil }
    if let helper = file.helper(for: registry) {
      for key in keys(for: registry) {
        if let account = try? helper.get(key) { return account }
      }
      // A helper that has nothing does not hide what an earlier login left in the file.
    }
    return file.account(keys(for: registry))
  }

  /// The registry an image name begins with: a first part that has a dot or a colon, or is `localhost`.
  static func registry(of name: String) -> String {
    guard let slash = name.firstIndex(of: "/") else { return "docker.io" }
    let first = name[..<slash]
    let isHost = first.contains(".") || first.contains(":") || first == "localhost"
    return isHost && first != "index.docker.io" && first != "registry-1.docker.io" ? String(first) : "docker.io"
  }

  /// The registry that a user names in `login` and `logout`: a name, or an address as old clients keep it.
  static func registry(named text: String) -> String {
    var rest = text[...]
    for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
    return registry(of: String(rest.prefix { $0 != "/" }) + "/")
  }

  /// The names under which a registry may be filed, the usual one first.
  static func keys(for registry: String) -> [String] {
    registry == "docker.io"
      ? [hub, "docker.io", "index.docker.io"] : [registry, "https://\(registry)", "http://\(registry)"]
  }

  /// Keeps an account.
  /// - Returns: the file in which its password can be read, nil where a helper keeps it.
  static func store(_ account: RegistryAccount, for registry: String) throws -> String? {
    var file = try DockerConfiguration.read()
    let key = keys(for: registry)[0]
    if let helper = file.helper(for: registry) {
      try helper.store(account, for: key)
      // The entry without a secret says that there is one elsewhere.
      file.set([:], for: key)
      try file.write()
      return nil
    }
    file.set(DockerConfiguration.entry(account), for: key)
    try file.write()
    return DockerConfiguration.path
  }

  /// Forgets an account.
  /// - Returns: whether there was one.
  static func erase(_ registry: String) throws -> Bool {
    var file = try DockerConfiguration.read()
    let keys = keys(for: registry)
    var found = keys.contains { file.contains($0) }
    if let helper = file.helper(for: registry) {
      for key in keys where (try? helper.get(key)) != nil {
        found = true
        try helper.erase(key)
      }
    }
    guard found else { return false }
    for key in keys { file.remove(key) }
    try file.write()
    return true
  }
}
