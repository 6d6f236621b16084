import CSeccomp
import Linux

/// What this library knows to do, by the specification's names, whatever the host (features.md).
public enum RuntimeFeatures {
  public static var mountOptions: [String] { MountOptions.names }
  public static let namespaces = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
  public static var capabilities: [String] { Capabilities.all.capabilityNames }
  public static var seccompActions: [String] { Seccomp.actionNames }
  public static var seccompOperators: [String] { Seccomp.comparators.keys.sorted() }
  public static var seccompFlags: [String] { Seccomp.flagNumbers.keys.sorted() }

  /// Those that the libseccomp of this build knows.
  public static var seccompArchitectures: [String] {
    [
      "AARCH64", "ARM", "LOONGARCH64", "M68K", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32",
      "PARISC", "PARISC64", "PPC", "PPC64", "PPC64LE", "RISCV64", "S390", "S390X", "SH", "SHEB", "X32", "X86",
      "X86_64",
    ].filter { seccomp_arch_resolve_name($0.lowercased()) != 0 }.map { "SCMP_ARCH_\($0)" }
  }

  /// Of libseccomp, such as `2.5.4`.
  public static var seccompVersion: String {
    let version = seccomp_version().pointee
    return "\(version.major).\(version.minor).\(version.micro)"
  }
}
