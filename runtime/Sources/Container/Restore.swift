import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The control group of a container whose processes another program (criu) is about to bring back into it.
public struct RestoredGroup {
  /// Without a slash in front.
  public let path: String
  private let cgroups: any CgroupDriver
  /// The process that keeps the group in being, and the end of a pipe that keeps that process; -1 without.
  private let keeper: pid_t
  private let hold: Int32

  /// Makes it, with all limits: those of devices are in no image.
  /// - Throws: also what ``ContainerConfiguration/validate()`` throws.
  public init(_ configuration: ContainerConfiguration) throws(ApusError) {
    var plan = try Plan(configuration, compilesFilter: false)
    if !UserNamespace.isHostRoot { plan.limits.devices = [] }
    path = plan.cgroupPath
    cgroups = try SystemdPlacement.driver(configuration.systemd, toMake: path)
    // systemd makes no scope without a process in it, and removes it after the last.
    (keeper, hold) = configuration.systemd == nil ? (-1, -1) : try Self.keep()
    do throws(ApusError) {
      try cgroups.create(path, resources: plan.limits, with: keeper)
    } catch {
      Self.end(keeper, hold)
      try? cgroups.remove(path)
      throw error
    }
  }

  /// A process that does nothing, and the descriptor with whose closing it ends.
  private static func keep() throws(ApusError) -> (pid_t, Int32) {
    let pipe = try Pipe()
    let process = clinux_clone3(0, nil, SIGCHLD, -1)
    if process == 0 {
      close(pipe.writeEnd.raw)
      var byte: UInt8 = 0
      _ = retrying { read(pipe.readEnd.raw, &byte, 1) }
      clinux_exit(0)
    }
    try check(process, "cannot make a process that keeps a control group")
    return (process, pipe.writeEnd.release())
  }

  /// The container's processes are there, and keep the group by themselves.
  public func release() { Self.end(keeper, hold) }

  /// There will be none.
  public func remove() {
    Self.end(keeper, hold)
    try? cgroups.killAll(path)
    try? cgroups.remove(path)
  }

  private static func end(_ keeper: pid_t, _ hold: Int32) {
    guard keeper > 0 else { return }
    close(hold)
    _ = try? Processes.wait(for: keeper)
  }
}
