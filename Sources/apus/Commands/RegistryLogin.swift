import Errors
import Glibc

/// Credentials for registries, kept where Docker keeps them: `auths` in `~/.docker/config.json`.
enum RegistryLogin {
  /// The key under which Docker files its own registry.
  private static let hub = "https://index.docker.io/v1/"

  /// The header that hands the daemon the credentials for an image's registry; none where there are none.
  static func headers(for name: String) -> [(String, String)] {
    let registry = registry(of: name)
    guard let bytes = try? LocalFile.read(path), let auths = try? JSONReader.read(bytes)["auths"] else { return [] }
    let keys =
      registry == "docker.io"
      ? [hub, "docker.io", "index.docker.io"] : [registry, "https://\(registry)", "http://\(registry)"]
    guard let entry = keys.lazy.map({ auths[$0] }).first(where: { !$0.isNull }) else { return [] }
    var auth: JSON = [:]
    if let token = entry["identitytoken"].string { auth["identitytoken"] = .string(token) }
    if let text = entry["auth"].string, let pair = Base64.decode(text) {
      let parts = String(decoding: pair, as: UTF8.self).split(separator: ":", maxSplits: 1).map(String.init)
      if parts.count == 2 {
        auth["username"] = .string(parts[0])
        auth["password"] = .string(parts[1])
      }
    }
    guard !auth.members.isEmpty else { return [] }
    auth["serveraddress"] = .string(registry == "docker.io" ? hub : registry)
    return [("X-Registry-Auth", Base64.encode(auth.bytes(), urlSafe: true))]
  }

  /// The registry an image name begins with: a first part that has a dot or a colon, or is `localhost`.
  static func registry(of name: String) -> String {
    guard let slash = name.firstIndex(of: "/") else { return "docker.io" }
    let first = name[..<slash]
    let isHost = first.contains(".") || first.contains(":") || first == "localhost"
    return isHost && first != "index.docker.io" ? String(first) : "docker.io"
  }

  static var directory: String {
    if let value = getenv("DOCKER_CONFIG") { return String(cString: value) }
    return (getenv("HOME").map { String(cString: $0) } ?? "/root") + "/.docker"
  }

  static var path: String { directory + "/config.json" }

  /// Files the credentials, leaving everything else in the file as it was. `credentials` nil forgets them.
  static func store(_ credentials: (user: String, password: String)?, for registry: String) throws {
    var file: JSON = [:]
    if access(path, F_OK) == 0 { file = try JSONReader.read(try LocalFile.read(path)) }
    let key = registry == "docker.io" ? hub : registry
    var auths = file["auths"].members.filter { $0.key != key }
    if let credentials {
      let pair = Base64.encode(Array("\(credentials.user):\(credentials.password)".utf8))
      auths.append(.init(key: key, value: ["auth": .string(pair)]))
    }
    file["auths"] = .object(auths)
    mkdir(directory, 0o700)
    // Renamed into place: a full disk must not cost the user his other logins.
    let temporary = path + ".\(getpid())"
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw LocalFile.failure("create", temporary) }
    defer { close(descriptor) }
    try LocalFile.write(file.bytes(.indented)[...] + [0x0A], to: descriptor, named: temporary)
    guard rename(temporary, path) == 0 else { throw LocalFile.failure("replace", path) }
  }
}

/// Base64 (RFC 4648).
enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func encode(_ bytes: [UInt8], urlSafe: Bool = false) -> String {
    var output: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var bits = 0
      for position in 0..<3 { bits = bits << 8 | (position < group.count ? Int(group[start + position]) : 0) }
      for position in 0..<4 {
        if position > group.count {
          output.append(UInt8(ascii: "="))
        } else {
          output.append(alphabet[bits >> (18 - 6 * position) & 63])
        }
      }
    }
    let text = String(decoding: output, as: UTF8.self)
    guard urlSafe else { return text }
    return String(text.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
  }

  static func decode(_ text: String) -> [UInt8]? {
    var output: [UInt8] = []
    var bits = 0, count = 0
    for byte in text.utf8 where byte != UInt8(ascii: "=") {
      guard let value = alphabet.firstIndex(of: byte) else { return nil }
      bits = (bits << 6 | value) & 0xFFFFFF
      count += 6
      if count >= 8 {
        count -= 8
        output.append(UInt8(bits >> count & 0xFF))
      }
    }
    return output
  }
}
