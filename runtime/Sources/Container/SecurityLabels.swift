import Errors
import Glibc
import Linux
import RuntimeSpec

/// The labels of Linux security modules that a process gets with its program: an AppArmor profile, a SELinux context.
struct SecurityLabels {
  /// Where each module takes its orders; -1 where nothing is asked for.
  private var profileFile: Int32 = -1
  private var contextFile: Int32 = -1
  private let profile: String
  private let context: String

  /// Opens the files, the host's, while they can be reached: in the container they would be the container's word
  /// (CVE-2019-19921, CVE-2025-52881).
  init(_ process: ProcessSpec) throws(ApusError) {
    profile = process.apparmorProfile == "unconfined" ? "" : process.apparmorProfile
    context = process.selinuxLabel
    if !profile.isEmpty {
      let own = "/proc/self/attr/apparmor/exec"
      profileFile = try Files.open(Files.exists(own) ? own : "/proc/self/attr/exec", flags: O_WRONLY).release()
    }
    if !context.isEmpty { contextFile = try Files.open("/proc/self/attr/exec", flags: O_WRONLY).release() }
  }

  /// Whether this host can do what is asked for. Without it a container would run with more rights than meant.
  static func validate(_ process: ProcessSpec, mountLabel: String = "") throws(ApusError) {
    let profile = process.apparmorProfile
    if !profile.isEmpty, profile != "unconfined" {
      guard Files.exists("/sys/kernel/security/apparmor") || Files.exists("/sys/module/apparmor/parameters/enabled")
      else { throw ApusError(.unsupported, "cannot apply the AppArmor profile \(profile): this host has no AppArmor") }
    }
    if !process.selinuxLabel.isEmpty || !mountLabel.isEmpty, !Files.exists("/sys/fs/selinux/enforce") {
      let field = process.selinuxLabel.isEmpty ? "linux.mountLabel" : "process.selinuxLabel"
      throw ApusError(
        .unsupported,
        "cannot apply \(field) \"\(process.selinuxLabel.isEmpty ? mountLabel : process.selinuxLabel)\": this host has no "
          + "SELinux")
    }
  }

  /// They take effect with the program.
  func apply() throws(ApusError) {
    if profileFile >= 0 {
      try Files.write(Array("exec \(profile)".utf8), to: profileFile, name: "the AppArmor profile \(profile)")
      close(profileFile)
    }
    if contextFile >= 0 {
      try Files.write(Array(context.utf8), to: contextFile, name: "the SELinux context \(context)")
      close(contextFile)
    }
  }
}
