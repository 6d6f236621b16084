import Errors
import Glibc
import Linux

extension Container {
  /// Sends a signal to the first process, or to every process of the container. False when the process is gone.
  @discardableResult
  public func signal(_ number: Int32, all: Bool = false) throws(ApusError) -> Bool {
    guard all else { return try Processes.send(signal: number, to: processDescriptor.raw) }
    if number == SIGKILL {
      try killAll()
      return true
    }
    var delivered = false
    for process in try processes() {
      if try Processes.send(signal: number, toProcess: process) { delivered = true }
    }
    return delivered
  }

  /// SIGKILL to every process of the container, paused ones too. Does not wait for their end.
  public func killAll() throws(ApusError) {
    try cgroups.killAll(cgroupPath)
    // Where there is no group it takes all others of its process namespace along.
    if cgroups.version == 0 { try Processes.send(signal: SIGKILL, to: processDescriptor.raw) }
  }

  /// The processes of the container, as the host numbers them.
  public func processes() throws(ApusError) -> [pid_t] {
    guard cgroups.version == 0 else { return try cgroups.processes(cgroupPath) }
    // Without a group they are those of its process namespace; without that either, nobody but the first is known.
    guard namespaces.makes(.process) else { return [process] }
    let own = try Files.readLink("/proc/\(process)/ns/pid")
    let directory = try Files.open("/proc", flags: O_RDONLY | O_DIRECTORY)
    return try Files.entries(of: directory.raw).compactMap { pid_t($0.name) }.filter {
      (try? Files.readLink("/proc/\($0)/ns/pid")) == own
    }
  }
}
