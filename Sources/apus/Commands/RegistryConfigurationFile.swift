import Errors
import Glibc

/// `~/.docker/config.json`, of which this program changes only what it knows.
struct DockerConfiguration {
  private var file: JSON

  static var directory: String {
    if let value = getenv("DOCKER_CONFIG"), value.pointee != 0 { return String(cString: value) }
    return (getenv("HOME").map { String(cString: $0) } ?? "/root") + "/.docker"
  }

  static var path: String { directory + "/config.json" }

  /// - Throws: when there is a file that is no JSON: nothing must be written over it.
  static func read() throws -> DockerConfiguration {
    guard access(path, F_OK) == 0 else { return DockerConfiguration(file: [:]) }
    do {
      return DockerConfiguration(file: try JSONReader.read(try LocalFile.read(path)))
    } catch {
      throw ApusError(error.code, "\(path) cannot be used: \(error.message)", cause: error)
    }
  }

  init(file: JSON) { self.file = file }

  /// Renamed into place: a full disk must not cost the user his other logins.
  func write() throws {
    mkdir(Self.directory, 0o700)
    // Where the file is a link, what it leads to is replaced.
    let real = Glibc.realpath(Self.path, nil).map { pointer in
      defer { free(pointer) }
      return String(cString: pointer)
    }
    let target = real ?? Self.path
    let temporary = target + ".\(getpid())"
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw LocalFile.failure("create", temporary) }
    defer { close(descriptor) }
    do {
      try LocalFile.write(file.bytes(.indented)[...] + [0x0A], to: descriptor, named: temporary)
      guard rename(temporary, target) == 0 else { throw LocalFile.failure("replace", target) }
    } catch {
      unlink(temporary)
      throw error
    }
  }

  // MARK: Accounts

  /// The helper that keeps the credentials of a registry; nil: the file does.
  func helper(for registry: String) -> CredentialHelper? {
    for key in RegistryLogin.keys(for: registry) {
      if let name = file["credHelpers"][key].string, !name.isEmpty { return CredentialHelper(name: name) }
    }
    return file["credsStore"].string.flatMap { $0.isEmpty ? nil : CredentialHelper(name: $0) }
  }

  func contains(_ key: String) -> Bool { !file["auths"][key].isNull }

  /// The first account that is filed under one of the keys.
  func account(_ keys: [String]) -> RegistryAccount? {
    for key in keys {
      let entry = file["auths"][key]
      var account = RegistryAccount(user: entry["username"].string ?? "", secret: entry["password"].string ?? "")
      if let text = entry["auth"].string, let pair = Base64.decode(text) {
        let parts = String(decoding: pair, as: UTF8.self).split(
          separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { account = RegistryAccount(user: String(parts[0]), secret: String(parts[1])) }
      }
      if let token = entry["identitytoken"].string, !token.isEmpty {
        account.secret = token
        account.isToken = true
      }
      if !account.secret.isEmpty { return account }
    }
    return nil
  }

  static func entry(_ account: RegistryAccount) -> JSON {
    if account.isToken {
      let pair = Base64.encode(Array("\(account.user):".utf8))
      return ["auth": .string(pair), "identitytoken": .string(account.secret)]
    }
    return ["auth": .string(Base64.encode(Array("\(account.user):\(account.secret)".utf8)))]
  }

  mutating func set(_ entry: JSON, for key: String) {
    var auths = file["auths"].members.filter { $0.key != key }
    auths.append(.init(key: key, value: entry))
    file["auths"] = .object(auths)
  }

  mutating func remove(_ key: String) {
    guard contains(key) else { return }
    file["auths"] = .object(file["auths"].members.filter { $0.key != key })
  }
}
