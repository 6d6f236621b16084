import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

/// Containers of an ordinary user.
func rootless(_ box: Box) throws {
  for name in ["root", "root/home", "cache", "upper"] { chown("\(box.directory)/\(name)", 1000, 1000) }
  for name in ["proc", "dev", "sys"] {
    mkdir("\(box.directory)/root/\(name)", 0o755)
    chown("\(box.directory)/root/\(name)", 1000, 1000)
  }
  try expectEqual(
    try Spawn.run(try Files.readLink("/proc/self/exe"), ["as-bob", box.directory, box.cgroupParent]), 0)
}

/// The other side of ``rootless(_:)``.
func asBob(_ arguments: [String]) throws {
  let box = Box(directory: arguments[0], cgroupParent: arguments[1])
  try check(setgroups(0, nil), "cannot leave the groups")
  try check(setgid(1000), "cannot become the group")
  try check(setuid(1000), "cannot become the user")
  // The change has made this process's own files root's.
  try processControl(PrctlOption.dumpable, 1)
  func own(_ configuration: inout ContainerConfiguration) {
    configuration.root = nil
    configuration.spec.root = Root(path: "\(box.directory)/root")
    configuration.spec.linux?.namespaces.append(LinuxNamespace(type: "user"))
    configuration.spec.linux?.uidMappings = [LinuxIDMapping(containerID: 0, hostID: 1000, size: 1)]
    configuration.spec.linux?.gidMappings = [LinuxIDMapping(containerID: 0, hostID: 1000, size: 1)]
    // The group of terminals is not mapped.
    for index in configuration.spec.mounts.indices {
      configuration.spec.mounts[index].options.removeAll { $0.hasPrefix("gid=") }
    }
  }
  try expectEqual(
    try box.shell(
      "id -u; hostname; cat /proc/1/comm; echo x > /dev/null && echo null; wc -c < /proc/interrupts; touch /made; ip addr show lo | grep -c 127.0.0.1",
      own), "0\nbox\nsh\nnull\n0\n1\n")
  try expectEqual(try Files.status(at: AT_FDCWD, "\(box.directory)/root/made").st_uid, 1000)
  let container = try box.start(["sleep", "1000"], own)
  try expectEqual(try box.exec(container, ["sh", "-c", "id -u; cat /proc/1/comm"]).output, "0\nsleep\n")
  do {
    try container.pause()
    throw Mismatch(description: "paused")
  } catch let error as ApusError {
    try expectEqual(error.code, .unsupported)
  }
  try box.end(container)
  let limited = try box.failure {
    own(&$0)
    $0.spec.linux?.resources = LinuxResources(pids: LinuxPids(limit: 5))
  }
  try expect(limited.message.contains("may not make control groups"), limited.message)
  let foreign = try box.failure {
    own(&$0)
    $0.spec.linux?.uidMappings = [LinuxIDMapping(containerID: 0, hostID: 0, size: 1)]
  }
  try expect(!foreign.message.isEmpty, foreign.message)
}
