import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

func binds(_ box: Box) throws {
  let source = "\(box.directory)/source"
  let out = try box.shell(
    """
    cat /data/file; echo more >> /data/file && echo written; echo no >> /fixed/file 2>&1 | head -1
    cat /deep/down/single; ls /tmp/big; mount | grep -c ' /fixed .*ro,nosuid'; echo x 2>/dev/null >> /fixed/file || echo ro
    mount | grep ' /tmp/big ' | grep -o 'size=[0-9]*k'
    """
  ) {
    $0.spec.mounts += [
      MountSpec(destination: "/data", type: "bind", source: source, options: ["rbind", "rprivate"]),
      MountSpec(destination: "/fixed", type: "bind", source: source, options: ["bind", "ro", "nosuid", "nodev"]),
      MountSpec(destination: "/deep/down/single", type: "bind", source: "\(source)/file", options: ["bind"]),
      MountSpec(destination: "/tmp/big", type: "tmpfs", source: "tmpfs", options: ["size=1m", "mode=1777"]),
    ]
  }
  try expectEqual(
    out.split(separator: "\n").map { String($0) }.filter { !$0.contains("can't create") },
    ["from the host", "written", "from the host", "more", "1", "ro", "size=1024k"])
  let missing = try box.failure {
    $0.spec.mounts.append(MountSpec(destination: "/x", type: "bind", source: "/no/such/source"))
  }
  try expect(missing.message.contains("bind source path does not exist: /no/such/source"), missing.message)
  try expect(missing.code == .invalidArgument, "\(missing.code)")
  let option = try box.failure {
    $0.spec.mounts.append(MountSpec(destination: "/x", type: "tmpfs", source: "tmpfs", options: ["nonsense=1"]))
  }
  try expect(option.message.contains("nonsense"), option.message)
  let type = try box.failure { $0.spec.mounts.append(MountSpec(destination: "/x", type: "nosuchfs", source: "x")) }
  try expect(type.message.contains("nosuchfs"), type.message)
}

func propagation(_ box: Box) throws {
  // A mount of its own, shared, as /mnt is on most hosts.
  let shared = "\(box.directory)/source/inner"
  try Mounts.mount(type: "tmpfs", source: "tmpfs", on: shared)
  defer { umount2(shared, Int32(MNT_DETACH)) }
  try Mounts.setAttributes(shared, propagation: .shared)
  for name in ["a", "b", "kept"] { mkdir("\(shared)/\(name)", 0o755) }
  // A mount on a shared one: were the container's copies still peers when they are dropped, it would go too.
  try Mounts.mount(type: "tmpfs", source: "tmpfs", on: "\(shared)/kept")
  defer { umount2("\(shared)/kept", Int32(MNT_DETACH)) }
  func isKept() throws -> Bool { try Mounts.list().contains { $0.mountPoint == "\(shared)/kept" } }
  for (option, travelsOut, travelsIn) in [("rprivate", false, false), ("rslave", false, true), ("rshared", true, true)]
  {
    let container = try box.start(["sleep", "1000"]) {
      $0.spec.mounts.append(MountSpec(destination: "/m", type: "bind", source: shared, options: ["rbind", option]))
      if option == "rshared" { $0.spec.linux?.rootfsPropagation = "rshared" }
      $0.spec.process?.capabilities?.bounding.append("CAP_SYS_ADMIN")
    }
    func count() throws -> Int { try Mounts.list().filter { $0.mountPoint.hasPrefix("\(shared)/") }.count - 1 }
    let inside = try box.exec(container, ["mount", "-t", "tmpfs", "tmpfs", "/m/a"]) {
      $0.process.capabilities?.bounding.append("CAP_SYS_ADMIN")
      $0.process.capabilities?.effective.append("CAP_SYS_ADMIN")
      $0.process.capabilities?.permitted.append("CAP_SYS_ADMIN")
    }
    try expect(inside.code == 0, inside.output)
    try expectEqual(try count(), travelsOut ? 1 : 0)
    try Mounts.mount(type: "tmpfs", source: "tmpfs", on: "\(shared)/b")
    try expectEqual(
      try box.exec(container, ["sh", "-c", "mount | grep -c ' /m/b '"]).output, travelsIn ? "1\n" : "0\n")
    umount2("\(shared)/b", 0)
    umount2("\(shared)/a", 0)
    try box.end(container)
    try expect(try isKept(), "\(option) has taken a mount of the host along")
  }
}

/// Images that try to reach the host.
func hostile(_ box: Box) throws {
  let root = "\(box.directory)/root"
  // /proc as a link: refused, it would be checked in one place and used in another.
  symlink("/tmp", "\(root)/proc")
  let linked = try box.failure { _ in }
  try expect(linked.message.contains("/proc"), linked.message)
  unlink("\(root)/proc")
  // A destination through a link that leaves the root stays in the root.
  symlink("/../../../../../../tmp", "\(root)/escape")
  let name = "apus-probe-escaped-\(getpid())"
  try expectEqual(
    try box.shell("ls /tmp/\(name)") {
      $0.spec.mounts.append(
        MountSpec(destination: "/escape/\(name)", type: "bind", source: "\(box.directory)/source", options: ["bind"]))
    }, "file\ninner\n")
  try expect(!Files.exists("/tmp/\(name)"), "nothing on the host")
  // A working directory through a descriptor of the caller (CVE-2024-21626).
  for number in 3..<12 {
    let error = try box.failure { $0.spec.process?.cwd = "/proc/self/fd/\(number)" }
    try expect(error.message.contains("/proc/self/fd/"), error.message)
  }
  // A link as the working directory, to the same place.
  symlink("/proc/self/fd/5/../../..", "\(root)/start")
  _ = try box.failure { $0.spec.process?.cwd = "/start" }
  // The image's own /dev/null does not become the cover of what is masked: /dev is ours, what is there is hidden.
  mkdir("\(root)/dev", 0o755)
  symlink("/proc/sys/kernel/core_pattern", "\(root)/dev/null")
  try expectEqual(try box.shell("stat -c %F /dev/null; wc -c < /proc/interrupts"), "character special file\n0\n")
  // Without a /dev of ours, masking refuses a null device that is none (CVE-2025-31133).
  let error = try box.failure {
    $0.spec.mounts.removeAll { $0.destination.hasPrefix("/dev") }
    $0.spec.linux?.maskedPaths = ["/proc/interrupts"]
  }
  try expect(error.message.contains("/dev/null"), error.message)
  unlink("\(root)/dev/null")
  // A masked path through a link is what the link leads to, inside.
  symlink("/etc", "\(root)/hidden")
  try expectEqual(try box.shell("ls -A /etc | wc -l") { $0.spec.linux?.maskedPaths = ["/hidden"] }, "0\n")
  // Attack by the program's name: the runtime's own binary.
  symlink("/proc/self/exe", "\(root)/bin/self")
  let own = (try? box.run(["/bin/self", "sh"]))?.output ?? ""
  try expect(own.isEmpty || own.hasPrefix("sh: "), own)
}

func erofs(_ box: Box) throws {
  guard Files.exists("/usr/bin/mkfs.erofs") else { return print("no mkfs.erofs, skipped") }
  let image = "\(box.directory)/layer.erofs"
  try expectEqual(try Spawn.run("/usr/bin/mkfs.erofs", ["--quiet", image, "\(box.directory)/root"]), 0)
  let target = "\(box.directory)/mounted"
  mkdir(target, 0o755)
  let mount = try Mounts.erofs(file: image)
  try Mounts.attach(mount.raw, target)
  defer { umount2(target, Int32(MNT_DETACH)) }
  try expectEqual(
    try box.shell("mount | grep -c '^overlay on / '; echo x > /x && cat /x") { $0.root?.lower = [target] }, "1\nx\n")
}
