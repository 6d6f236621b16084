import Errors

/// The unit of systemd that a container is in, as runc's `slice:prefix:name` says it.
public struct SystemdUnit: Sendable, Equatable {
  /// Such as `apus-web.scope`.
  public let name: String
  /// Such as `system.slice`: the unit above it.
  public let slice: String
  /// Whether it is one of the calling user's manager, not of the host's.
  public let isUser: Bool

  /// A slice holds no processes of its own that systemd knows: who names one enters its group by oneself.
  public var isSlice: Bool { name.hasSuffix(".slice") }

  /// - Parameters:
  ///   - text: `linux.cgroupsPath`; empty means a scope named after the container.
  ///   - isUser: the calling user's manager is to have it; a missing slice is that of users then.
  public init(_ text: String, id: String, isUser: Bool) throws(ApusError) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard text.isEmpty || parts.count == 3 else {
      throw ApusError(
        .invalidArgument,
        "linux.cgroupsPath: with --systemd-cgroup it is slice:prefix:name, such as system.slice:apus:web, not \"\(text)\""
      )
    }
    let (slice, prefix, name) = text.isEmpty ? ("", "apus", id) : (parts[0], parts[1], parts[2])
    if slice.isEmpty {
      self.slice = isUser ? "user.slice" : "system.slice"
    } else {
      self.slice = slice == "-" ? "-.slice" : slice
    }
    if name.hasSuffix(".slice") {
      self.name = name
    } else {
      self.name = (prefix.isEmpty ? name : "\(prefix)-\(name)") + ".scope"
    }
    self.isUser = isUser
    _ = try Self.directory(ofSlice: self.slice)
    try Self.validate(self.name)
    if isSlice { _ = try Self.directory(ofSlice: self.name) }
  }

  /// Of a record; what has been checked then.
  public init(name: String, slice: String, isUser: Bool) {
    self.name = name
    self.slice = slice
    self.isUser = isUser
  }

  /// Where it is below the manager's own control group, without a slash in front.
  public func path() throws(ApusError) -> String {
    if isSlice { return try Self.directory(ofSlice: name) }
    let parent = try Self.directory(ofSlice: slice)
    return parent.isEmpty ? name : "\(parent)/\(name)"
  }

  /// `a-b.slice` is in `a.slice` (systemd.slice(5)); `-.slice` is the root, an empty path.
  static func directory(ofSlice slice: String) throws(ApusError) -> String {
    if slice == "-.slice" { return "" }
    try validate(slice)
    let parts = slice.dropLast(".slice".count).split(separator: "-", omittingEmptySubsequences: false)
    guard slice.hasSuffix(".slice"), parts.allSatisfy({ !$0.isEmpty }) else {
      throw ApusError(
        .invalidArgument,
        "linux.cgroupsPath: \"\(slice)\" is not a slice of systemd, such as system.slice or user-1000.slice")
    }
    return parts.indices.map { parts[...$0].joined(separator: "-") + ".slice" }.joined(separator: "/")
  }

  /// What systemd takes as a unit's name (systemd.unit(5)).
  private static func validate(_ name: String) throws(ApusError) {
    let allowed = name.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
      default: ":-_.\\".utf8.contains(byte)
      }
    }
    guard allowed, name.utf8.count < 256, name.first != "." else {
      throw ApusError(
        .invalidArgument,
        "linux.cgroupsPath: \"\(name)\" is not the name of a unit of systemd: letters, digits and \":-_.\\\", at most 255"
      )
    }
  }
}
