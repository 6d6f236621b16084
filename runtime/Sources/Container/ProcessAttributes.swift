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

  /// In the order of the specification's fields: class of I/O, policy of scheduling.
  static func setScheduling(_ process: ProcessSpec) throws(ApusError) {
    if let priority = process.ioPriority {
      let number = try ioClass(priority)
      try check(clinux_ioprio_set(number, Int32(clamping: priority.priority)), "cannot set the I/O priority")
    }
    if let scheduler = process.scheduler {
      let (policy, flags) = try policy(scheduler)
      do {
        try check(
          clinux_sched_setattr(
            policy, flags, scheduler.nice, UInt32(clamping: scheduler.priority), scheduler.runtime, scheduler.deadline,
            scheduler.period), "cannot set the scheduling policy \(scheduler.policy)")
      } catch  where error.errno == EINVAL {
        throw ApusError(
          .invalidArgument, "process.scheduler: the kernel does not take these figures for \(scheduler.policy)",
          cause: error.cause)
      }
    }
  }

  /// What can be wrong with them before there is a process.
  static func validateScheduling(_ process: ProcessSpec) throws(ApusError) {
    if let priority = process.ioPriority {
      _ = try ioClass(priority)
      guard (0...7).contains(priority.priority) else {
        throw ApusError(.invalidArgument, "process.ioPriority.priority: is from 0 to 7, not \(priority.priority)")
      }
    }
    if let scheduler = process.scheduler { _ = try policy(scheduler) }
  }

  private static func ioClass(_ priority: LinuxIOPriority) throws(ApusError) -> Int32 {
    let classes: [String: Int32] = ["IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3]
    guard let number = classes[priority.class] else {
      throw ApusError(.invalidArgument, "process.ioPriority.class: there is no class \"\(priority.class)\"")
    }
    return number
  }

  private static func policy(_ scheduler: Scheduler) throws(ApusError) -> (policy: UInt32, flags: UInt64) {
    let policies: [String: UInt32] = [
      "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_IDLE": 5, "SCHED_DEADLINE": 6,
    ]
    let names: [String: UInt64] = [
      "SCHED_FLAG_RESET_ON_FORK": 0x01, "SCHED_FLAG_RECLAIM": 0x02, "SCHED_FLAG_DL_OVERRUN": 0x04,
      "SCHED_FLAG_KEEP_POLICY": 0x08, "SCHED_FLAG_KEEP_PARAMS": 0x10, "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
      "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
    ]
    guard let policy = policies[scheduler.policy] else {
      throw ApusError(
        scheduler.policy == "SCHED_ISO" ? .unsupported : .invalidArgument,
        "process.scheduler.policy: Linux has no policy \"\(scheduler.policy)\"")
    }
    var flags: UInt64 = 0
    for name in scheduler.flags {
      guard let flag = names[name] else {
        throw ApusError(.invalidArgument, "process.scheduler.flags: there is no flag \"\(name)\"")
      }
      flags |= flag
    }
    guard policy == 6 || scheduler.runtime == 0 && scheduler.deadline == 0 && scheduler.period == 0 else {
      throw ApusError(
        .invalidArgument,
        "process.scheduler: runtime, deadline and period are for SCHED_DEADLINE, not \(scheduler.policy)"
      )
    }
    return (policy, flags)
  }
}

/// Kernel parameters of the container's own namespaces (config-linux.md, Sysctl).
enum Sysctl {
  /// Through the host's /proc, where they are those of the writing process's namespaces.
  static func apply(_ parameters: [String: String], namespaces: Namespaces) throws(ApusError) {
    guard !parameters.isEmpty else { return }
    let root = try Files.open("/proc/sys", flags: O_PATH | O_DIRECTORY)
    for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
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

  static func validate(_ parameters: [String: String], namespaces: Namespaces) throws(ApusError) {
    if let name = parameters.keys.first(where: { path(of: $0) == "kernel/hostname" }) {
      throw ApusError(.invalidArgument, "the sysctl \(name) is not to be set: the field hostname is there for it")
    }
    for name in parameters.keys.sorted() where !isNamespaced(name, namespaces: namespaces) {
      throw ApusError(
        .invalidArgument,
        "the sysctl \(name) is not the container's own: only those of a namespace it does not share can be set")
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
    case "kernel/domainname", "kernel/hostname": return own(.uts)
    default: return false
    }
  }
}
