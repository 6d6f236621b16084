import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The end of a container: its processes, its cgroup, its state.
enum Deletion {
  /// Kills what runs, waits for it, and removes everything. Continues after failures: what cannot be removed now is
  /// reported, and can be tried again.
  static func end(_ record: Record, in directory: StateDirectory, hooks: Hooks?, log: Log) {
    do throws(ApusError) {
      try directory.lock()
      // Another command was faster, and has done all of this.
      guard directory.has(StateDirectory.stateFile) || directory.has(StateDirectory.newStateFile) else { return }
      try kill(record)
      try finish(record, in: directory, hooks: hooks, log: log)
    } catch {
      log.write(.warning, error.message)
    }
  }

  /// Kills the first process, and waits at most ten seconds for its end.
  static func kill(_ record: Record) throws(ApusError) {
    guard record.pid > 0, let process = try? Processes.open(record.pid),
      Processes.isRunning(record.pid, startTime: record.startTime)
    else { return }
    // The whole group: also what is frozen, or has no process namespace that would end with the first process.
    try record.cgroups.killAll(record.cgroupPath)
    try Processes.send(signal: SIGKILL, to: process.raw)
    var wait = pollfd(fd: process.raw, events: Int16(POLLIN), revents: 0)
    guard retrying({ poll(&wait, 1, 10_000) }) == 1 else {
      throw ApusError(.deadlineExceeded, "container init still running")
    }
  }

  /// Removes what is left of a container whose first process has ended.
  static func finish(
    _ record: Record, in directory: StateDirectory, hooks: Hooks?, log: Log
  ) throws(ApusError) {
    if !record.cgroupPath.isEmpty {
      let cgroups = try record.cgroups
      try cgroups.killAll(record.cgroupPath)
      try cgroups.remove(record.cgroupPath)
      // What nobody has asked for is not left behind, either: the parent of the groups of containers without a path.
      let own = "\(ContainerConfiguration.defaultCgroupParent)/\(record.id)"
      if record.unit == nil, record.cgroupPath == own || record.cgroupPath.hasSuffix("/\(own)") {
        Cgroups.removeIfEmpty(String(record.cgroupPath.dropLast(record.id.utf8.count + 1)))
      }
    }
    if record.ownsSharesGroup { try ResourceControl().remove(record.sharesGroup) }
    try directory.remove()
    Hooks.runPoststop(hooks, of: record, log: log)
  }
}
