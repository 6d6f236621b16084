import Errors
import FoundationEssentials
import Glibc
import Linux
import RuntimeSpec
import SandboxProtocol

/// Sandboxes whose shim is gone without having reported the end.
enum LostSandbox {
  /// How an instance ended whose shim was killed: nobody knows, and what was left was killed too.
  static var killed: ExitRecord {
    ExitRecord(
      exitCode: 137, oomKilled: false, finishedAt: Int64(Date().timeIntervalSince1970 * 1e9),
      error: "the process that supervised the container (its shim) was killed, and the container with it")
  }

  /// What the shim wrote before it ended, or, where it wrote nothing, the end made here: everything in the instance's
  /// cgroup is killed, the cgroup removed. Blocks, for seconds at worst.
  static func recoverExit(
    _ paths: InstancePaths, record: InstanceRecord, shim: (pid: Int32, startTime: UInt64), services: EngineServices
  ) throws -> ExitRecord {
    if let exit = try readExit(paths) { return exit }
    // A shim that lives and does not answer must not go on as a second keeper.
    if shim.pid > 0, Processes.isRunning(shim.pid, startTime: shim.startTime) {
      try Processes.send(signal: SIGKILL, toProcess: shim.pid)
      for _ in 0..<500 where Processes.isRunning(shim.pid, startTime: shim.startTime) { usleep(2_000) }
      // It may have finished its work in the meantime.
      if let exit = try readExit(paths) { return exit }
    }
    try removeCgroup(cgroup(of: record, services), services)
    _ = unlink(paths.socket)
    return killed
  }

  static func readExit(_ paths: InstancePaths) throws -> ExitRecord? {
    guard Files.exists(paths.exit) else { return nil }
    return try ExitRecord(json: Files.read(paths.exit, limit: 64 * 1024), subject: paths.exit)
  }

  static func removeCgroup(_ path: String, _ services: EngineServices) throws {
    try services.cgroups.killAll(path)
    try services.cgroups.remove(path)
  }

  static func cgroup(of record: InstanceRecord, _ services: EngineServices) -> String {
    cgroup(record.id, below: record.configuration.resources.cgroupParent ?? "", services)
  }

  /// Of one that has been made ahead, for whichever instance comes.
  static func cgroup(ofStandby id: String, _ services: EngineServices) -> String { cgroup(id, below: "", services) }

  /// As ``SandboxSpecification`` names it.
  private static func cgroup(_ id: String, below asked: String, _ services: EngineServices) -> String {
    let path = cleanPath("/" + (asked.isEmpty ? services.configuration.cgroupParent : asked) + "/" + id)
    return String(path.drop { $0 == "/" })
  }
}
