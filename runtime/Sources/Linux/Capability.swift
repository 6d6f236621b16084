import CLinux
import Errors
import Glibc

/// A set of Linux capabilities (capabilities(7)) as the kernel's bit set.
public struct Capabilities: OptionSet, Sendable, Hashable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Names by number, without CAP_.
  private static let names: [StaticString] = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
  ]

  /// How many capabilities this build has names for.
  public static var count: Int { names.count }

  /// The capability called `CAP_NET_RAW`, `net_raw`, …; nil when there is none of that name.
  public init?(named text: String) {
    var name = text.uppercased()
    if name.hasPrefix("CAP_") { name.removeFirst(4) }
    guard let number = Self.names.firstIndex(where: { $0.description == name }) else { return nil }
    self.init(rawValue: 1 << UInt64(number))
  }

  /// All of the named ones. Throws invalidArgument with the first unknown name.
  public init(names: [String]) throws(ApusError) {
    var set = Capabilities()
    for name in names {
      guard let one = Capabilities(named: name) else {
        throw ApusError(.invalidArgument, "unknown capability \"\(name)\"; see capabilities(7) for the names")
      }
      set.formUnion(one)
    }
    self = set
  }

  /// `CAP_…` names in the kernel's order.
  public var capabilityNames: [String] {
    Self.names.indices.filter { rawValue >> UInt64($0) & 1 == 1 }.map { "CAP_\(Self.names[$0])" }
  }

  /// Every capability this build has a name for.
  public static var all: Capabilities { Capabilities(rawValue: (1 << UInt64(names.count)) - 1) }

  /// The effective set of the calling thread: what the host lets us use at all.
  public static func current() throws(ApusError) -> Capabilities {
    var effective: UInt64 = 0
    var permitted: UInt64 = 0
    var inheritable: UInt64 = 0
    try check(clinux_capget(&effective, &permitted, &inheritable), "cannot read the capabilities of this process")
    return Capabilities(rawValue: effective)
  }

  /// Runs `body` as another user and group where files are concerned, with all rights kept.
  public static func withFileOwner<Result: ~Copyable>(
    user: uid_t, group: gid_t, _ body: () throws(ApusError) -> Result
  ) throws(ApusError) -> Result {
    var effective: UInt64 = 0
    var permitted: UInt64 = 0
    var inheritable: UInt64 = 0
    try check(clinux_capget(&effective, &permitted, &inheritable), "cannot read the capabilities of this process")
    clinux_setfsids(user, group)
    // Leaving user 0 has taken the rights over files away.
    _ = clinux_capset(effective, permitted, inheritable)
    defer {
      clinux_setfsids(geteuid(), getegid())
      _ = clinux_capset(effective, permitted, inheritable)
    }
    return try body()
  }

  /// Whether the kernel knows the capability with this number.
  static func kernelKnows(_ number: Int) -> Bool { clinux_prctl(PrctlOption.boundingRead, UInt(number), 0, 0, 0) >= 0 }
}

/// prctl(2) options used by Apus.
public enum PrctlOption {
  public static let parentDeathSignal: Int32 = 1
  public static let dumpable: Int32 = 4
  public static let keepCapabilities: Int32 = 8
  public static let name: Int32 = 15
  public static let boundingRead: Int32 = 23
  public static let boundingDrop: Int32 = 24
  public static let childSubreaper: Int32 = 36
  public static let noNewPrivileges: Int32 = 38
  public static let ambient: Int32 = 47
}

/// prctl(2).
@discardableResult
public func processControl(_ option: Int32, _ argument: UInt, _ second: UInt = 0) throws(ApusError) -> Int32 {
  try check(clinux_prctl(option, argument, second, 0, 0), "cannot set attribute \(option) of this process")
}
