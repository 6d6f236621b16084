import CLinux
import Errors
import Glibc

/// One of the resources of getrlimit(2), by the name the OCI specification uses (RLIMIT_*).
public struct ResourceLimit: Sendable, Equatable {
  /// The kernel's number.
  public let resource: Int32
  public let name: String

  private static let names: [StaticString] = [
    "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING",
    "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
  ]

  /// `RLIMIT_NOFILE`, `nofile`, …; nil when there is none of that name.
  public init?(named text: String) {
    var name = text.uppercased()
    if name.hasPrefix("RLIMIT_") { name.removeFirst(7) }
    guard let number = Self.names.firstIndex(where: { $0.description == name }) else { return nil }
    self.resource = Int32(number)
    self.name = name.lowercased()
  }

  /// Soft and hard limit of a process (0: this one); UInt64.max is unlimited.
  public func current(of process: pid_t = 0) throws(ApusError) -> (soft: UInt64, hard: UInt64) {
    var soft: UInt64 = 0
    var hard: UInt64 = 0
    try check(
      clinux_prlimit(process, resource, nil, nil, &soft, &hard), "cannot read the limit \(name)")
    return (soft, hard)
  }

  /// Sets both limits of a process (0: this one). Raising a hard limit needs CAP_SYS_RESOURCE.
  public func set(soft: UInt64, hard: UInt64, of process: pid_t = 0) throws(ApusError) {
    var soft = soft
    var hard = hard
    guard clinux_prlimit(process, resource, &soft, &hard, nil, nil) < 0 else { return }
    let why = errno
    if why == EPERM, let allowed = try? current(of: process).hard, hard > allowed {
      throw ApusError(
        .permissionDenied,
        "cannot set the limit \(name) to \(hard): this host allows at most \(allowed); ask for less or raise the host's "
          + "limit", cause: SystemFailure(errno: why, stage: "prlimit"))
    }
    throw ApusError(errno: why, "cannot set the limit \(name) to \(soft):\(hard)")
  }
}
