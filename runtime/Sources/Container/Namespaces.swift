import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The namespaces of a container (config-linux.md, Namespaces): which are made, which are joined.
struct Namespaces: Sendable, Equatable {
  enum Kind: Int32, Sendable, CaseIterable {
    case time = 0x0000_0080
    case mount = 0x0002_0000
    case cgroup = 0x0200_0000
    case uts = 0x0400_0000
    case ipc = 0x0800_0000
    case user = 0x1000_0000
    case process = 0x2000_0000
    case network = 0x4000_0000

    /// By the specification's name.
    init?(named name: String) {
      switch name {
      case "time": self = .time
      case "mount": self = .mount
      case "cgroup": self = .cgroup
      case "uts": self = .uts
      case "ipc": self = .ipc
      case "user": self = .user
      case "pid": self = .process
      case "network": self = .network
      default: return nil
      }
    }
  }

  private(set) var made: [Kind] = []
  /// In the order of the specification.
  private(set) var joined: [(kind: Kind, path: String)] = []

  static func == (left: Namespaces, right: Namespaces) -> Bool {
    left.made == right.made && left.joined.map(\.kind) == right.joined.map(\.kind)
      && left.joined.map(\.path) == right.joined.map(\.path)
  }

  /// Those of a container that exists: what they were made with is not asked for again.
  init(_ namespaces: [LinuxNamespace]) throws(ApusError) {
    for namespace in namespaces {
      guard let kind = Kind(named: namespace.type) else {
        throw ApusError(.invalidArgument, "unknown kind of namespace \"\(namespace.type)\"")
      }
      guard !made.contains(kind), !joined.contains(where: { $0.kind == kind }) else {
        throw ApusError(.invalidArgument, "the namespace \"\(namespace.type)\" is asked for twice")
      }
      if namespace.path.isEmpty { made.append(kind) } else { joined.append((kind, namespace.path)) }
    }
  }

  /// Those of a container that is to be made.
  init(_ section: LinuxSection) throws(ApusError) {
    try self.init(section.namespaces)
    if made.contains(.user), section.uidMappings.isEmpty || section.gidMappings.isEmpty {
      throw ApusError(.invalidArgument, "a user namespace needs linux.uidMappings and linux.gidMappings")
    }
    let hasUsers = made.contains(.user) || joined.contains { $0.kind == .user }
    guard hasUsers || section.uidMappings.isEmpty && section.gidMappings.isEmpty else {
      throw ApusError(
        .invalidArgument, "linux.uidMappings and linux.gidMappings need a user namespace, and linux.namespaces has none"
      )
    }
    guard makes(.time) || section.timeOffsets.isEmpty else {
      throw ApusError(.invalidArgument, "linux.timeOffsets needs a new time namespace, and linux.namespaces has none")
    }
    for clock in section.timeOffsets.keys.sorted() where clock != "monotonic" && clock != "boottime" {
      throw ApusError(.invalidArgument, "linux.timeOffsets: the clocks are monotonic and boottime, not \(clock)")
    }
  }

  func makes(_ kind: Kind) -> Bool { made.contains(kind) }
  func joins(_ kind: Kind) -> String? { joined.first { $0.kind == kind }?.path }

  /// What clone3(2) makes. Not the cgroup namespace, whose root is the group its maker is in at that moment; and not
  /// the time namespace, whose offsets can only be set while nobody is in it.
  var cloneFlags: UInt64 {
    made.reduce(0) { flags, kind in
      kind == .cgroup || kind == .time ? flags : flags | UInt64(UInt32(bitPattern: kind.rawValue))
    }
  }

  /// Joins all but the process namespace, which only children can enter (see ``whileJoined(process:_:)``).
  ///
  /// A namespace that belongs to a joined user namespace may admit us only after that one has been joined; one that
  /// does not, only before. So: what can be joined, then the user namespace, then the rest.
  func join() throws(ApusError) {
    let others = joined.filter { $0.kind != .process && $0.kind != .user }
    guard let user = joins(.user) else {
      for (kind, path) in others { try Self.join(kind, path) }
      return
    }
    var postponed: [(kind: Kind, descriptor: Int32, path: String)] = []
    let userDescriptor = try Files.open(user, flags: O_RDONLY)
    for (kind, path) in others {
      let descriptor = try Files.open(path, flags: O_RDONLY)
      if clinux_setns(descriptor.raw, kind.rawValue) < 0 { postponed.append((kind, descriptor.release(), path)) }
    }
    try check(clinux_setns(userDescriptor.raw, Kind.user.rawValue), "cannot join the namespace \(user)")
    for (kind, descriptor, path) in postponed {
      try check(clinux_setns(descriptor, kind.rawValue), "cannot join the namespace \(path)")
      close(descriptor)
    }
  }

  private static func join(_ kind: Kind, _ path: String) throws(ApusError) {
    let descriptor = try Files.open(path, flags: O_RDONLY)
    // With the kind given, a path to a namespace of another kind is refused.
    try check(clinux_setns(descriptor.raw, kind.rawValue), "cannot join the namespace \(path)")
  }

  /// Runs `body`, whose children are born into the process namespace of `descriptor` (a pidfd or a namespace).
  static func whileJoined<Result>(
    process descriptor: Int32, _ body: () throws(ApusError) -> Result
  ) throws(ApusError) -> Result {
    let own = try Files.open("/proc/self/ns/pid", flags: O_RDONLY)
    try check(clinux_setns(descriptor, Kind.process.rawValue), "cannot join a process namespace")
    defer { _ = clinux_setns(own.raw, Kind.process.rawValue) }
    return try body()
  }

  /// Makes a time namespace with the given offsets and enters it.
  static func enterNewTime(offsets: [String: LinuxTimeOffset]) throws(ApusError) {
    try check(clinux_unshare(Kind.time.rawValue), "cannot make a time namespace")
    for (clock, offset) in offsets.sorted(by: { $0.key < $1.key }) {
      try Files.write("\(clock) \(offset.secs) \(offset.nanosecs)\n", toExisting: "/proc/self/timens_offsets")
    }
    // unshare(2) has made it for our children; we join it ourselves.
    let namespace = try Files.open("/proc/self/ns/time_for_children", flags: O_RDONLY)
    try check(clinux_setns(namespace.raw, Kind.time.rawValue), "cannot enter the new time namespace")
  }

  /// Whether the calling process's user namespace has been denied any change of groups.
  static var deniesGroups: Bool {
    (try? Files.read("/proc/self/setgroups", limit: 64))?.starts(with: Array("deny".utf8)) ?? false
  }
}
