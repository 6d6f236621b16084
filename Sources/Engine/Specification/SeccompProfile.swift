import Errors
import Linux
import RuntimeSpec

/// A system call filter whose rules depend on where and with what it is used: capabilities, processor, kernel.
///
/// The form is Docker's (its profile documents): what applies is selected once, when an instance starts.
struct SeccompProfile: Sendable, Equatable {
  /// When a rule applies, or does not.
  struct Condition: Sendable, Equatable {
    var capabilities: Capabilities = []
    /// A capability nobody has a name for was listed: it can never be held.
    var listsUnknownCapability = false
    /// Go's names of processors; empty: any.
    var architectures: [String] = []
    var kernel: KernelVersion?
  }

  struct Rule: Sendable, Equatable {
    var names: [String]
    var action = SeccompAction.allow
    var errnoRet: UInt32?
    var arguments: [LinuxSeccompArgument] = []
    var includes = Condition()
    var excludes = Condition()
  }

  struct Architecture: Sendable, Equatable {
    var name: String
    var subArchitectures: [String]
  }

  var defaultAction: String
  var defaultErrnoRet: UInt32?
  /// What applies to which processor, with the ABIs its kernel also runs; exclusive with `architectures`.
  var architectureMap: [Architecture] = []
  var architectures: [String] = []
  var flags: [String] = []
  var listenerPath = ""
  var listenerMetadata = ""
  var rules: [Rule] = []

  /// What of it applies to a process with `capabilities` on `host`.
  func section(capabilities: Capabilities, host: HostFacts) -> LinuxSeccomp {
    var section = LinuxSeccomp(
      defaultAction: defaultAction, defaultErrnoRet: defaultErrnoRet, architectures: architectures, flags: flags,
      listenerPath: listenerPath, listenerMetadata: listenerMetadata)
    if let native = SeccompArchitecture.name(of: host.architecture),
      let entry = architectureMap.first(where: { $0.name == native })
    {
      section.architectures = [entry.name] + entry.subArchitectures
    }
    section.syscalls.reserveCapacity(rules.count)
    for rule in rules where rule.applies(capabilities: capabilities, host: host) {
      section.syscalls.append(
        LinuxSyscall(names: rule.names, action: rule.action, errnoRet: rule.errnoRet, args: rule.arguments))
    }
    return section
  }
}

extension SeccompProfile.Rule {
  func applies(capabilities: Capabilities, host: HostFacts) -> Bool {
    if excludes.architectures.contains(host.architecture) { return false }
    if !excludes.capabilities.isDisjoint(with: capabilities) { return false }
    if let kernel = excludes.kernel, host.kernel >= kernel { return false }
    if !includes.architectures.isEmpty, !includes.architectures.contains(host.architecture) { return false }
    if includes.listsUnknownCapability || !includes.capabilities.isSubset(of: capabilities) { return false }
    if let kernel = includes.kernel, host.kernel < kernel { return false }
    return true
  }
}

/// The action names of seccomp(2) as the OCI runtime specification writes them.
enum SeccompAction {
  static let allow = "SCMP_ACT_ALLOW"
  static let errno = "SCMP_ACT_ERRNO"
  static let all: Set<String> = [
    "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", errno, "SCMP_ACT_TRACE", allow,
    "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY",
  ]
}

enum SeccompArchitecture {
  /// The OCI runtime specification's name of a processor that Go calls `architecture`.
  static func name(of architecture: String) -> String? { names[architecture] }

  private static let names: [String: String] = [
    "386": "SCMP_ARCH_X86", "amd64": "SCMP_ARCH_X86_64", "arm": "SCMP_ARCH_ARM", "arm64": "SCMP_ARCH_AARCH64",
    "loong64": "SCMP_ARCH_LOONGARCH64", "mips64": "SCMP_ARCH_MIPS64", "mips64n32": "SCMP_ARCH_MIPS64N32",
    "mips64le": "SCMP_ARCH_MIPSEL64", "ppc64le": "SCMP_ARCH_PPC64LE", "riscv64": "SCMP_ARCH_RISCV64",
    "s390x": "SCMP_ARCH_S390X",
  ]
}
