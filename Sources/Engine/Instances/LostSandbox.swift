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

  /// As ``SandboxSpecification`` names it.
  static func cgroup(of record: InstanceRecord, _ services: EngineServices) -> String {
    let asked = record.configuration.resources.cgroupParent ?? ""
    let path = cleanPath("/" + (asked.isEmpty ? services.configuration.cgroupParent : asked) + "/" + record.id)
    return String(path.drop { $0 == "/" })
  }
}
