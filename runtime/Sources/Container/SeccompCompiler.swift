import CLinux
import CSeccomp
import Errors
import Glibc
import Linux
import RuntimeSpec

/// libseccomp, from an OCI configuration to a BPF program.
extension Seccomp {
  /// `inRanges`: what most calls are allowed with, see ``SeccompRanges``. Without, libseccomp does it all.
  static func compile(_ profile: LinuxSeccomp, inRanges: Bool = true) throws(ApusError) -> [UInt8] {
    try validate(profile)
    let defaultAction = try action(profile.defaultAction, errno: profile.defaultErrnoRet)
    guard let context = seccomp_init(defaultAction) else {
      throw ApusError(.invalidArgument, "linux.seccomp.defaultAction: there is no action \"\(profile.defaultAction)\"")
    }
    defer { seccomp_release(context) }
    var architectures = [seccomp_arch_native()]
    for name in profile.architectures {
      let architecture = seccomp_arch_resolve_name(architectureName(name))
      guard architecture != 0 else {
        throw ApusError(.invalidArgument, "linux.seccomp.architectures: there is no architecture \"\(name)\"")
      }
      let result = seccomp_arch_add(context, architecture)
      // The native one is there already.
      guard result == 0 || result == -EEXIST else {
        throw ApusError(errno: -result, "cannot add the architecture \(name) to a seccomp filter")
      }
      if !architectures.contains(architecture) { architectures.append(architecture) }
    }
    let ranges = inRanges ? SeccompRanges(profile, architectures: architectures) : nil
    // A balanced tree instead of a list: fewer comparisons for each system call of the container's life.
    _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
    var highest: Int32 = -1
    for rule in profile.syscalls {
      let action = try action(rule.action, errno: rule.errnoRet)
      for name in rule.names {
        let number = seccomp_syscall_resolve_name(name)
        // Profiles name calls of every architecture and of every kernel: unknown ones are none of ours.
        guard number != __NR_SCMP_ERROR else { continue }
        highest = max(highest, number)
        // libseccomp refuses rules that say what the default says already.
        guard action != defaultAction, ranges?.covered.contains(name) != true else { continue }
        try add(rule, name, number, action, to: context)
      }
    }
    return prologue(profile, highest: highest) + SeccompRanges.bytes(ranges?.instructions ?? []) + (try export(context))
  }

  private static func add(
    _ rule: LinuxSyscall, _ name: String, _ number: Int32, _ action: UInt32, to context: scmp_filter_ctx
  ) throws(ApusError) {
    var comparisons: [scmp_arg_cmp] = []
    for argument in rule.args {
      guard argument.index < 6 else {
        throw ApusError(
          .invalidArgument, "linux.seccomp.syscalls: a rule for \(name) is about argument \(argument.index) of six")
      }
      var comparison = scmp_arg_cmp()
      comparison.arg = argument.index
      comparison.op = try comparator(argument.op)
      comparison.datum_a = argument.value
      comparison.datum_b = argument.valueTwo
      comparisons.append(comparison)
    }
    func add(_ comparisons: [scmp_arg_cmp]) throws(ApusError) {
      let result = comparisons.withUnsafeBufferPointer {
        seccomp_rule_add_array(context, action, number, UInt32($0.count), $0.baseAddress)
      }
      guard result == 0 else { throw ApusError(errno: -result, "cannot add a seccomp rule for \(name)") }
    }
    // Several conditions on the same argument cannot all hold in one rule of libseccomp: they are alternatives.
    if Set(rule.args.map(\.index)).count < rule.args.count {
      for comparison in comparisons { try add([comparison]) }
    } else {
      try add(comparisons)
    }
  }

  /// What libseccomp writes, read back. It writes to a descriptor only.
  private static func export(_ context: scmp_filter_ctx) throws(ApusError) -> [UInt8] {
    let memory = OwnedDescriptor(
      owning: try check(memfd_create("seccomp", UInt32(MFD_CLOEXEC)), "cannot make a file in memory"))
    let result = seccomp_export_bpf(context, memory.raw)
    guard result == 0 else { throw ApusError(errno: -result, "cannot compile a seccomp filter") }
    try check(Int(lseek(memory.raw, 0, SEEK_SET)), "cannot rewind a compiled seccomp filter")
    return try Files.read(descriptor: memory.raw, limit: 4096 * 8, name: "a compiled seccomp filter")
  }

  /// Calls that are newer than everything in the profile get ENOSYS instead of the default's EPERM: C libraries fall
  /// back to an older call on the one, and fail on the other.
  private static func prologue(_ profile: LinuxSeccomp, highest: Int32) -> [UInt8] {
    guard highest > 0, profile.defaultAction != "SCMP_ACT_ALLOW", profile.defaultAction != "SCMP_ACT_LOG" else {
      return []
    }
    // struct sock_filter: code, jump if true, jump if false, operand. The offsets are those of struct seccomp_data.
    let instructions: [SeccompRanges.Instruction] = [
      (0x20, 0, 0, 4),  // load the architecture
      (0x15, 0, 4, seccomp_arch_native()),  // another one: on to the profile
      (0x20, 0, 0, 0),  // load the number
      (0x35, 2, 0, 0x4000_0000),  // x32: on to the profile
      (0x25, 0, 1, UInt32(highest)),  // not newer: on to the profile
      (0x06, 0, 0, 0x0005_0000 | UInt32(ENOSYS)),
    ]
    return SeccompRanges.bytes(instructions)
  }

  /// `SCMP_ARCH_X86_64` is `x86_64` to libseccomp.
  private static func architectureName(_ name: String) -> String {
    (name.hasPrefix("SCMP_ARCH_") ? String(name.dropFirst(10)) : name).lowercased()
  }

  /// What a profile must not say.
  static func validate(_ profile: LinuxSeccomp) throws(ApusError) {
    func refuse(_ reason: String) -> ApusError { ApusError(.invalidArgument, "linux.seccomp\(reason)") }
    guard profile.defaultAction != "SCMP_ACT_NOTIFY" else {
      throw refuse(".defaultAction: an agent cannot answer every call, its own process's set-up would wait for it")
    }
    guard profile.listenerMetadata.isEmpty || !profile.listenerPath.isEmpty else {
      throw refuse(".listenerMetadata: is for an agent, and there is no listenerPath to reach one by")
    }
    for (index, rule) in profile.syscalls.enumerated() {
      guard !rule.names.isEmpty else { throw refuse(".syscalls[\(index)].names: names no call") }
      guard rule.action == "SCMP_ACT_NOTIFY" else { continue }
      guard profile.listenerPath.hasPrefix("/") else {
        throw refuse(
          ".listenerPath: calls are to be answered by an agent, but \"\(profile.listenerPath)\" leads to none")
      }
      // By it the listener is handed over.
      guard !rule.names.contains("write") else {
        throw refuse(".syscalls[\(index)]: an agent cannot answer write(2), which is needed to reach it")
      }
    }
  }

  static let actionNames = [
    "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
  ]

  static func action(_ name: String, errno number: UInt32?) throws(ApusError) -> UInt32 {
    guard number == nil || name == "SCMP_ACT_ERRNO" || name == "SCMP_ACT_TRACE" else {
      throw ApusError(.invalidArgument, "linux.seccomp: the action \(name) has no errno to return")
    }
    switch name {
    case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return 0x0000_0000
    case "SCMP_ACT_KILL_PROCESS": return 0x8000_0000
    case "SCMP_ACT_TRAP": return 0x0003_0000
    case "SCMP_ACT_ERRNO": return 0x0005_0000 | (number ?? UInt32(EPERM)) & 0xffff
    case "SCMP_ACT_TRACE": return 0x7ff0_0000 | (number ?? UInt32(EPERM)) & 0xffff
    case "SCMP_ACT_LOG": return 0x7ffc_0000
    case "SCMP_ACT_ALLOW": return 0x7fff_0000
    case "SCMP_ACT_NOTIFY": return 0x7fc0_0000
    default: throw ApusError(.invalidArgument, "linux.seccomp: there is no action \"\(name)\"")
    }
  }

  static let comparators: [String: scmp_compare] = [
    "SCMP_CMP_NE": SCMP_CMP_NE, "SCMP_CMP_LT": SCMP_CMP_LT, "SCMP_CMP_LE": SCMP_CMP_LE, "SCMP_CMP_EQ": SCMP_CMP_EQ,
    "SCMP_CMP_GE": SCMP_CMP_GE, "SCMP_CMP_GT": SCMP_CMP_GT, "SCMP_CMP_MASKED_EQ": SCMP_CMP_MASKED_EQ,
  ]

  private static func comparator(_ name: String) throws(ApusError) -> scmp_compare {
    guard let comparator = comparators[name] else {
      throw ApusError(.invalidArgument, "linux.seccomp: there is no comparison \"\(name)\"")
    }
    return comparator
  }
}
