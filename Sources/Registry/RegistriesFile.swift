import Errors
import ImageSpec

/// Where images may come from besides the registry that their name says: the terms of containers-registries.conf(5),
/// version 2. Names without a registry are always Docker Hub's here, so `unqualified-search-registries` is not used.
public struct RegistriesFile: Sendable, Equatable {
  /// When a mirror is asked.
  public enum MirrorUse: String, Sendable {
    case all
    case digestOnly = "digest-only"
    case tagOnly = "tag-only"
  }

  public struct Mirror: Sendable, Equatable {
    /// `host[:port][/path]`, which takes the place of the prefix.
    public var location: String
    /// TLS certificates are not verified, and plain HTTP will do.
    public var insecure: Bool
    public var use: MirrorUse

    public init(location: String, insecure: Bool = false, use: MirrorUse = .all) {
      self.location = location
      self.insecure = insecure
      self.use = use
    }
  }

  /// One `[[registry]]` table.
  public struct Registry: Sendable, Equatable {
    /// `host[:port][/path…]`, or `*.example.com` for every host below a domain.
    public var prefix: String
    /// What takes the prefix's place; nil: the prefix itself.
    public var location: String?
    public var insecure: Bool
    /// Nothing with this prefix is pulled or pushed.
    public var blocked: Bool
    /// In the order they are tried, before the registry itself.
    public var mirrors: [Mirror]

    public init(
      prefix: String, location: String? = nil, insecure: Bool = false, blocked: Bool = false, mirrors: [Mirror] = []
    ) {
      self.prefix = prefix
      self.location = location
      self.insecure = insecure
      self.blocked = blocked
      self.mirrors = mirrors
    }
  }

  public var registries: [Registry]

  public init(registries: [Registry] = []) { self.registries = registries }

  /// Where a repository is to be looked for, in this order; the last is the registry itself.
  ///
  /// - Parameter pulling: mirrors are for pulls only; a push goes to the registry.
  /// - Throws: `permissionDenied` for what is blocked, `invalidArgument` when a rewritten name is none.
  func locations(of reference: Reference, pulling: Bool) throws(ApusError) -> [Location] {
    let name = reference.name
    guard let (registry, length) = registry(for: name) else {
      return [Location(host: reference.domain, path: reference.path, insecure: false, isMirror: false)]
    }
    guard !registry.blocked else {
      throw ApusError(
        .permissionDenied, "\(reference.familiarName) is blocked: registries.conf says so for '\(registry.prefix)'")
    }
    let rest = name.dropFirst(length)
    var result: [Location] = []
    for mirror in registry.mirrors where pulling {
      switch mirror.use {
      case .digestOnly where reference.digest == nil, .tagOnly where reference.digest != nil: continue
      default: break
      }
      result.append(
        try Location(mirror.location + rest, insecure: mirror.insecure, isMirror: true, of: reference))
    }
    let own = registry.location.map { $0 + rest } ?? name
    result.append(try Location(own, insecure: registry.insecure, isMirror: false, of: reference))
    return result
  }

  /// The table with the longest match, and how many characters of the name it covers.
  private func registry(for name: String) -> (registry: Registry, length: Int)? {
    var best: (registry: Registry, length: Int)?
    for registry in registries {
      guard let length = Self.match(registry.prefix, name) else { continue }
      if let found = best, found.length >= length { continue }
      best = (registry, length)
    }
    return best
  }

  /// The part of `name` that a prefix covers, in characters; nil: none. A prefix ends where a component or a port
  /// begins: `example.com/foo` does not cover `example.com/foobar`.
  static func match(_ prefix: String, _ name: String) -> Int? {
    guard prefix.hasPrefix("*.") else { return covers(prefix[...], name[...]) ? prefix.count : nil }
    // Only hosts vary: `*.example.com` covers `a.b.example.com/x`, not `example.com/x`, nor `x/a.example.com`.
    let suffix = prefix.dropFirst()
    var start = name.startIndex
    while start < name.endIndex, name[start] != "/" {
      if start > name.startIndex, covers(suffix, name[start...]) {
        return name.distance(from: name.startIndex, to: start) + suffix.count
      }
      start = name.index(after: start)
    }
    return nil
  }

  private static func covers(_ prefix: Substring, _ name: Substring) -> Bool {
    guard name.hasPrefix(prefix) else { return false }
    let next = name.dropFirst(prefix.count).first
    return next == nil || next == "/" || next == ":"
  }
}

/// One place that a repository may be had from.
struct Location: Hashable, Sendable {
  /// `registry.example:5000`, `docker.io`.
  var host: String
  /// The repository there.
  var path: String
  var insecure: Bool
  var isMirror: Bool

  init(host: String, path: String, insecure: Bool, isMirror: Bool) {
    self.host = host
    self.path = path
    self.insecure = insecure
    self.isMirror = isMirror
  }

  /// From `host[:port]/path`, as rewriting makes it.
  init(_ name: String, insecure: Bool, isMirror: Bool, of reference: Reference) throws(ApusError) {
    let parts = name.split(separator: "/", maxSplits: 1)
    // A parsed name again, so that no configuration can make a request for anything else than a repository.
    guard parts.count == 2, Reference.isDomain(parts[0]), Reference.isPath(parts[1]) else {
      throw ApusError(
        .invalidArgument, "registries.conf rewrites \(reference.familiarName) to '\(name)', which is no repository")
    }
    self.init(host: String(parts[0]), path: String(parts[1]), insecure: insecure, isMirror: isMirror)
  }
}
