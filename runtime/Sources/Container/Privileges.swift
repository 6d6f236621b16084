import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The five capability sets of a process (capabilities(7)).
struct CapabilitySets: Sendable, Equatable {
  var bounding: Capabilities = []
  var effective: Capabilities = []
  var permitted: Capabilities = []
  var inheritable: Capabilities = []
  var ambient: Capabilities = []

  /// Throws when a name is unknown, or when this host cannot give what is asked for.
  init(_ spec: LinuxCapabilities?) throws(ApusError) {
    guard let spec else { return }
    bounding = try Capabilities(names: spec.bounding)
    effective = try Capabilities(names: spec.effective)
    permitted = try Capabilities(names: spec.permitted)
    inheritable = try Capabilities(names: spec.inheritable)
    ambient = try Capabilities(names: spec.ambient)
  }

  func checkAvailable() throws(ApusError) {
    let wanted = bounding.union(effective).union(permitted).union(inheritable).union(ambient)
    let missing = wanted.subtracting(try Capabilities.current())
    guard missing.isEmpty else {
      throw ApusError(
        .permissionDenied,
        "cannot give a container \(missing.capabilityNames.joined(separator: ", ")): this host does not allow it to Apus "
          + "itself")
    }
  }

  /// Shrinks the bounding set: the last thing for which CAP_SETPCAP is needed.
  func dropBounding() throws(ApusError) {
    for number in 0..<64 where bounding.rawValue >> UInt64(number) & 1 == 0 {
      if clinux_prctl(PrctlOption.boundingDrop, UInt(number), 0, 0, 0) >= 0 { continue }
      // The first number the kernel does not know ends the list.
      if errno == EINVAL { return }
      try check(-1 as Int32, "cannot drop capability \(number)")
    }
  }

  /// Becomes exactly these sets; the last capability-related step.
  func apply() throws(ApusError) {
    try check(
      clinux_capset(effective.rawValue, permitted.rawValue, inheritable.rawValue), "cannot set the capabilities")
    // The change of user has cleared the ambient set already; it grows only within permitted and inheritable.
    for number in 0..<64 where ambient.rawValue >> UInt64(number) & 1 == 1 {
      // PR_CAP_AMBIENT_RAISE
      try check(
        clinux_prctl(PrctlOption.ambient, 2, UInt(number), 0, 0),
        "cannot raise the ambient capability \(Capabilities(rawValue: 1 << UInt64(number)).capabilityNames.first ?? "")"
      )
    }
  }
}

/// What remains of root's rights is given up here, in the order in which each step still has the right to be made.
struct Privileges: Sendable {
  var process: ProcessSpec
  var capabilities: CapabilitySets
  var user: ResolvedUser
  /// A seccomp program; empty for none.
  var filter: [UInt8]
  var filterFlags: UInt32
  /// Where the caller is told of the filter's listener.
  var channel: Int32

  func apply() throws(ApusError) {
    // A filter without no_new_privs needs CAP_SYS_ADMIN, so it goes first, and then has to allow what follows; with
    // no_new_privs it goes last.
    if !process.noNewPrivileges { try loadFilter() }
    try capabilities.dropBounding()
    try processControl(PrctlOption.keepCapabilities, 1)
    let grouped = user.supplementary.withUnsafeBufferPointer { clinux_setgroups($0.count, $0.baseAddress) }
    if grouped < 0, errno != EPERM || !user.supplementary.allSatisfy({ $0 == user.group }) {
      try check(grouped, "cannot set the supplementary groups")
    }
    try check(clinux_setresgid(user.group), "cannot become group \(user.group)")
    try check(clinux_setresuid(user.user), "cannot become user \(user.user)")
    try processControl(PrctlOption.keepCapabilities, 0)
    try capabilities.apply()
    umask(mode_t(process.user.umask ?? 0o022))
    if process.noNewPrivileges {
      try processControl(PrctlOption.noNewPrivileges, 1)
      try loadFilter()
    }
  }

  /// The caller takes the listener out of this process: sending it would be a call that the agent may have to answer.
  private func loadFilter() throws(ApusError) {
    guard let listener = try Seccomp.load(filter, flags: filterFlags) else { return }
    try Channel.send(.listener(listener), on: channel)
    // The number means the listener only until the program closes it, and opens something else.
    guard Channel.wait(for: .delivered, on: channel) else { clinux_exit(1) }
    close(listener)
  }
}
