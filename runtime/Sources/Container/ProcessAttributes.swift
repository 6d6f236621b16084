import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// Attributes of the calling process that live in the host's /proc or have a call of their own.
enum ProcessAttributes {
  static func setOOMScore(_ score: Int) throws(ApusError) {
    do {
      try Files.write(String(score), toExisting: "/proc/self/oom_score_adj")
    } catch  where error.errno == EACCES || error.errno == EPERM {
      throw ApusError(
        .permissionDenied, "cannot set the OOM score to \(score): this host does not allow lowering it",
        cause: error.cause)
    }
  }

  /// Opens the file that takes an AppArmor profile; -1 when none is asked for. The host's, while it can be reached.
  static func openLabel(_ profile: String) throws(ApusError) -> Int32 {
    guard !profile.isEmpty, profile != "unconfined" else { return -1 }
    guard Files.exists("/sys/kernel/security/apparmor") || Files.exists("/sys/module/apparmor/parameters/enabled")
    else { throw ApusError(.unsupported, "cannot apply the AppArmor profile \(profile): this host has no AppArmor") }
    let path = Files.exists("/proc/self/attr/apparmor/exec") ? "/proc/self/attr/apparmor/exec" : "/proc/self/attr/exec"
    return try Files.open(path, flags: O_WRONLY).release()
  }

  /// The profile takes effect with the program.
  static func setLabel(_ profile: String, _ descriptor: Int32) throws(ApusError) {
    try Files.write(Array("exec \(profile)".utf8), to: descriptor, name: "the AppArmor profile \(profile)")
    close(descriptor)
  }

  static func setScheduling(_ process: ProcessSpec) throws(ApusError) {
    if let priority = process.ioPriority {
      let classes: [String: Int32] = ["IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3]
      guard let number = classes[priority.class] else {
        throw ApusError(.invalidArgument, "unknown I/O priority class \"\(priority.class)\"")
      }
      try check(clinux_ioprio_set(number, Int32(clamping: priority.priority)), "cannot set the I/O priority")
    }
    if let scheduler = process.scheduler {
      let policies: [String: Int32] = [
        "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_IDLE": 5,
      ]
      guard let policy = policies[scheduler.policy] else {
        throw ApusError(.unsupported, "the scheduling policy \"\(scheduler.policy)\" is not supported")
      }
      try check(
        clinux_sched_setscheduler(0, policy, Int32(clamping: scheduler.priority)),
        "cannot set the scheduling policy \(scheduler.policy)")
      if scheduler.nice != 0 { try check(setpriority(PRIO_PROCESS, 0, scheduler.nice), "cannot set the nice value") }
    }
  }
}

/// Kernel parameters of the container's own namespaces (config-linux.md, Sysctl).
enum Sysctl {
  /// Through the host's /proc, where they are those of the writing process's namespaces.
  static func apply(_ parameters: [String: String], namespaces: Namespaces) throws(ApusError) {
    guard !parameters.isEmpty else { return }
    let root = try Files.open("/proc/sys", flags: O_PATH | O_DIRECTORY)
    for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
      guard isNamespaced(name, namespaces: namespaces) else {
        throw ApusError(
          .invalidArgument,
          "the sysctl \(name) is not the container's own: only those of a namespace it does not share can be set")
      }
      let path = path(of: name)
      let file = clinux_openat2(
        root.raw, path, UInt64(O_WRONLY | O_CLOEXEC), 0, Files.Resolve([.beneath, .noSymlinks]).rawValue)
      if file < 0, errno == ENOENT {
        throw ApusError(.invalidArgument, "there is no sysctl \(name) on this host's kernel")
      }
      try check(file, "cannot open the sysctl \(name)")
      defer { close(file) }
      try Files.write(Array(value.utf8), to: file, name: "the sysctl \(name)")
    }
  }

  /// Dots separate, slashes are dots of a name; or the other way round, whichever comes first (sysctl.d(5)).
  static func path(of name: String) -> String {
    guard let separator = name.first(where: { $0 == "." || $0 == "/" }), separator == "." else { return name }
    return String(name.map { $0 == "." ? "/" : $0 == "/" ? "." : $0 })
  }

  static func isNamespaced(_ name: String, namespaces: Namespaces) -> Bool {
    let path = path(of: name)
    func own(_ kind: Namespaces.Kind) -> Bool { namespaces.makes(kind) || namespaces.joins(kind) != nil }
    if path.hasPrefix("net/") { return own(.network) }
    if path.hasPrefix("fs/mqueue/") { return own(.ipc) }
    switch path {
    case "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall", "kernel/shmmax",
      "kernel/shmmni", "kernel/shm_rmid_forced", "kernel/auto_msgmni", "kernel/msg_next_id", "kernel/sem_next_id",
      "kernel/shm_next_id":
      return own(.ipc)
    case "kernel/domainname": return own(.uts)
    default: return false
    }
  }
}
