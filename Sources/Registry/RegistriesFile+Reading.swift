import Errors
import Glibc
import TOMLKit

extension RegistriesFile {
  /// The files that are looked for, in this order; the first that exists is the only one that is read.
  public static let paths = ["/etc/apus/registries.conf", "/etc/containers/registries.conf"]
  /// Bytes of a configuration file.
  private static let limit = 1 << 20

  /// What this host has configured.
  ///
  /// - Parameter path: the file to read instead of the usual ones; it must exist.
  /// - Throws: `invalidArgument`, naming the file and the line or the key.
  public static func read(path: String? = nil) throws(ApusError) -> RegistriesFile {
    for candidate in path.map({ [$0] }) ?? paths {
      guard let text = try contents(of: candidate) else { continue }
      return try RegistriesFile(toml: text, name: candidate)
    }
    if let path { throw ApusError(.notFound, "\(path) does not exist: name a registries.conf that does") }
    return RegistriesFile()
  }

  /// - Parameter name: of the file, for error sentences.
  init(toml text: String, name: String) throws(ApusError) {
    let table: TOMLTable
    do {
      table = try TOMLTable(string: text)
    } catch let error as TOMLParseError {
      throw ApusError(
        .invalidArgument, "\(name) is no TOML: \(error.description) (line \(error.source.begin.line))", cause: error)
    } catch {
      throw ApusError(.invalidArgument, "\(name) is no TOML", cause: error)
    }
    guard table["registries"] == nil else {
      throw ApusError(
        .unsupported, "\(name) is in the obsolete version 1 of its format: write [[registry]] tables instead")
    }
    self.init()
    let reader = Reader(name: name)
    for entry in try reader.tables(table, "registry") {
      registries.append(try reader.registry(entry))
    }
    var seen: Set<String> = []
    for registry in registries where !seen.insert(registry.prefix).inserted {
      throw ApusError(.invalidArgument, "\(name) has two [[registry]] tables for the prefix '\(registry.prefix)'")
    }
  }

  /// nil: no such file.
  private static func contents(of path: String) throws(ApusError) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0, errno == ENOENT || errno == ENOTDIR { return nil }
    defer { if descriptor >= 0 { close(descriptor) } }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      guard count >= 0 else {
        throw ApusError(.permissionDenied, "cannot read \(path): \(String(cString: strerror(errno)))")
      }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
      guard bytes.count <= limit else {
        throw ApusError(.invalidArgument, "\(path) is larger than the \(limit) bytes that are read")
      }
    }
  }
}

/// Values of one file, with its name for the sentences.
private struct Reader {
  let name: String

  func registry(_ table: TOMLTable) throws(ApusError) -> RegistriesFile.Registry {
    let location = try text(table, "location")
    guard let prefix = try text(table, "prefix") ?? location, !prefix.isEmpty else {
      throw invalid("a [[registry]] table needs a prefix or a location")
    }
    guard !prefix.dropFirst(prefix.hasPrefix("*.") ? 2 : 0).contains("*") else {
      throw invalid("the prefix '\(prefix)' has a wildcard that is not at its beginning")
    }
    let digestsOnly = try flag(table, "mirror-by-digest-only")
    var mirrors: [RegistriesFile.Mirror] = []
    for entry in try tables(table, "mirror") {
      guard let location = try text(entry, "location"), !location.isEmpty else {
        throw invalid("a mirror of '\(prefix)' has no location")
      }
      var use = digestsOnly ? RegistriesFile.MirrorUse.digestOnly : .all
      if let word = try text(entry, "pull-from-mirror") {
        guard !digestsOnly else {
          throw invalid("'\(prefix)' has both mirror-by-digest-only and pull-from-mirror: keep one")
        }
        guard let known = RegistriesFile.MirrorUse(rawValue: word) else {
          throw invalid("pull-from-mirror of '\(location)' is '\(word)': expected all, digest-only or tag-only")
        }
        use = known
      }
      mirrors.append(.init(location: trimmed(location), insecure: try flag(entry, "insecure"), use: use))
    }
    // A wildcard that is its own location rewrites nothing.
    return .init(
      prefix: trimmed(prefix), location: location == prefix ? nil : location.map(trimmed),
      insecure: try flag(table, "insecure"), blocked: try flag(table, "blocked"), mirrors: mirrors)
  }

  func tables(_ table: TOMLTable, _ key: String) throws(ApusError) -> [TOMLTable] {
    guard let value = table[key] else { return [] }
    guard let array = value.array else { throw invalid("'\(key)' must be an array of tables: [[\(key)]]") }
    var result: [TOMLTable] = []
    for element in array {
      guard let table = element.table else { throw invalid("'\(key)' must be an array of tables: [[\(key)]]") }
      result.append(table)
    }
    return result
  }

  private func text(_ table: TOMLTable, _ key: String) throws(ApusError) -> String? {
    guard let value = table[key] else { return nil }
    guard let text = value.string else { throw invalid("'\(key)' must be a string") }
    return text
  }

  private func flag(_ table: TOMLTable, _ key: String) throws(ApusError) -> Bool {
    guard let value = table[key] else { return false }
    guard let flag = value.bool else { throw invalid("'\(key)' must be true or false") }
    return flag
  }

  private func trimmed(_ location: String) -> String {
    var location = location
    while location.hasSuffix("/") { location.removeLast() }
    return location
  }

  private func invalid(_ why: String) -> ApusError { ApusError(.invalidArgument, "\(name): \(why)") }
}
