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
    for process in try cgroups.processes(cgroupPath) {
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
  public func processes() throws(ApusError) -> [pid_t] { try cgroups.processes(cgroupPath) }
}
