import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

/// One regression test for each known class of escapes, named by its first CVE.
func hardening(_ box: Box) throws {
  let attacks: [(cve: String, body: (Box) throws -> Void)] = [
    ("2016-9962", tracedExec), ("2019-5736", ownBinary), ("2019-19921", linkedProc), ("2021-30465", exchangedLinks),
    ("2022-0492", releaseAgent), ("2022-29162", inheritableCapabilities), ("2024-21626", leakedDescriptors),
    ("2024-45310", madeThroughLinks), ("2025-31133", maskedPaths), ("2025-52565", consoleRace),
    ("2025-52881", redirectedProc), ("2026-30892", executingUser), ("2026-41579", linkedDevices),
    ("state files", stateFiles),
  ]
  for (cve, attack) in attacks {
    // What earlier containers have changed would cover what an image is made to have.
    for name in ["upper", "work"] {
      _ = try Spawn.run("/bin/rm", ["-rf", "\(box.directory)/\(name)"])
      mkdir("\(box.directory)/\(name)", 0o755)
    }
    do { try attack(box) } catch { throw Mismatch(description: "\(cve): \(error)") }
  }
}

/// An executing process cannot be traced, and its descriptors cannot be taken, while it has the host's tree.
private func tracedExec(_ box: Box) throws {
  let container = try box.start([
    "sh", "-c",
    "while :; do for p in /proc/[0-9]*; do case $p in /proc/1|/proc/$$) ;; *) ls $p/fd/ 2>/dev/null | grep -v '^[012]$' | while read n; do readlink $p/fd/$n; done ;; esac; done; done | grep -v -e pipe: -e /proc > /found",
  ])
  for _ in 0..<20 { try expectEqual(try box.exec(container, ["true"]).code, 0) }
  let found = try box.exec(container, ["cat", "/found"]).output
  try expect(!found.contains("/sys/fs/cgroup") && !found.contains("socket:"), found)
  try box.end(container)
}

/// A container has the runtime execute itself, and writes to what it holds of it as soon as nobody executes it any more.
private func ownBinary(_ box: Box) throws {
  // A runtime of its own: while anybody executes a file, nobody can write to it anyway.
  let binary = try Files.read("/proc/self/exe", limit: 256 << 20)
  try box.put("runtime", binary, mode: 0o755)
  let driver = try Cgroups.detect()
  for attack in ["script", "itself"] {
    try expectEqual(
      try Spawn.run("\(box.directory)/runtime", ["overwrite-self", box.directory, box.cgroupParent, attack]), 0)
    let result = "\(box.directory)/upper/result"
    for _ in 0..<1000 where !Files.exists(result) { usleep(20000) }
    try driver.killAll("\(box.cgroupParent)/one")
    try driver.remove("\(box.cgroupParent)/one")
    try expectEqual(String(decoding: try Files.read(result), as: UTF8.self), "protected\n")
    try expect(try Files.read("\(box.directory)/runtime", limit: 256 << 20) == binary, "the binary has been changed")
    unlink(result)
  }
}

/// The runtime of ``ownBinary(_:)``, which leaves its container behind.
func overwriteSelf(_ arguments: [String]) throws {
  try OwnExecutable.protect(arguments: CommandLine.arguments)
  try expect(OwnExecutable.isProtected, "protected")
  let box = Box(directory: arguments[0], cgroupParent: arguments[1])
  try box.put("root/bin/script", Array("#!/proc/self/exe inside\n".utf8), mode: 0o755)
  symlink("/proc/self/exe", "\(box.directory)/root/bin/itself")
  // Where this program needs libraries, it gets them: inside it has to run.
  let maps = String(decoding: try Files.read("/proc/self/maps", limit: 16 << 20), as: UTF8.self)
  let libraries = Set(
    maps.split(separator: "\n").compactMap { line -> String? in
      guard let path = line.split(separator: " ").last, path.contains(".so") else { return nil }
      return path.lastIndex(of: "/").map { String(path[..<$0]) }
    })
  _ = try box.start([arguments[2], "inside"]) { configuration in
    configuration.endsWithCaller = false
    configuration.spec.mounts += (libraries.sorted() + ["/lib", "/lib64"]).filter { Files.exists($0) }.map {
      MountSpec(destination: $0, type: "bind", source: $0, options: ["bind", "ro"])
    }
  }
}

/// In the container: this is the runtime's own binary.
func attackFromInside() -> Int32 {
  let held = open("/proc/self/exe", O_RDONLY)
  let script = """
    i=0
    while test $i -lt 50; do
      if echo x > /proc/self/fd/\(held); then echo overwritten > /result; exit; fi
      i=$((i + 1))
      sleep 0.02
    done
    echo protected > /result.new
    busybox mv /result.new /result
    """
  return withCStrings(["sh", "-c", script]) { argv in
    execv("/bin/sh", argv)
    return 13
  }
}

/// /proc and /sys as links, at any place of their paths.
private func linkedProc(_ box: Box) throws {
  let root = "\(box.directory)/root"
  for name in ["proc", "sys"] {
    rmdir("\(root)/\(name)")
    symlink("/tmp", "\(root)/\(name)")
    let error = try box.failure {
      $0.root = nil
      $0.spec.root = Root(path: root)
    }
    try expect(error.message.contains("/\(name)"), error.message)
    unlink("\(root)/\(name)")
  }
  symlink("/", "\(root)/up")
  let error = try box.failure {
    $0.spec.mounts = [MountSpec(destination: "/up/proc", type: "proc", source: "proc")]
  }
  try expect(error.message.contains("/up/proc"), error.message)
  unlink("\(root)/up")
}

/// A volume's directory is exchanged for a link all the time while containers with mounts in it are made.
private func exchangedLinks(_ box: Box) throws {
  let shared = "\(box.directory)/source/shared"
  try Files.makeDirectories("\(shared)/dir/deep")
  symlink("/../../../../../../..\(box.directory)/target", "\(shared)/link")
  try Files.makeDirectories("\(box.directory)/target/deep")
  let attacker = clinux_clone3(0, nil, SIGCHLD, -1)
  if attacker == 0 {
    _ = clinux_prctl(PrctlOption.parentDeathSignal, UInt(SIGKILL), 0, 0, 0)
    // RENAME_EXCHANGE
    while true { _ = renameat2(AT_FDCWD, "\(shared)/dir", AT_FDCWD, "\(shared)/link", 2) }
  }
  defer {
    kill(attacker, SIGKILL)
    _ = try? Processes.wait(for: attacker)
  }
  for _ in 0..<40 {
    // It may fail; it must not mount outside.
    _ = try? box.run(["true"]) {
      $0.spec.mounts += [
        MountSpec(destination: "/shared", type: "bind", source: shared, options: ["rbind"]),
        MountSpec(destination: "/shared/dir/deep/made", type: "tmpfs", source: "x"),
      ]
    }
    let made =
      try Files.exists("\(box.directory)/target/deep/made")
      || Mounts.list().contains { $0.mountPoint.hasPrefix("\(box.directory)/target") }
    try expect(!made, "outside of the container")
  }
}

/// cgroup v1's release_agent, from a container that may mount.
private func releaseAgent(_ box: Box) throws {
  let (code, output) = try box.run(
    [
      "sh", "-c",
      "mkdir /x && mount -t cgroup -o memory cgroup /x && ls /x/release_agent && echo /bin/true > /x/release_agent",
    ])
  try expect(code != 0, output)
  let files = try box.shell(
    """
    ls /sys/fs/cgroup/*/release_agent 2>/dev/null | wc -l
    for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do [ ! -d $d ] || mkdir $d/x 2>&1; done | grep -vc -i read-only
    """
  ) { $0.spec.process?.args[2] += "; true" }
  try expectEqual(files, "0\n0\n")
  // By a user namespace of its own inside, the usual way to the right to mount.
  let nested = try box.run([
    "unshare", "-UrmC", "sh", "-c",
    "mkdir /tmp/x && mount -t cgroup -o memory cgroup /tmp/x && echo x > /tmp/x/release_agent",
  ])
  try expect(nested.code != 0, nested.output)
}

/// Nothing in the inheritable set unless asked for, neither for a first nor for an executed process, nor for a user.
private func inheritableCapabilities(_ box: Box) throws {
  let none = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n"
  for user in [nil, "bob"] {
    try expectEqual(try box.shell("grep -E 'CapInh|CapAmb' /proc/self/status") { $0.user = user }, none)
    let container = try box.start()
    let executed = try box.exec(container, ["grep", "-E", "CapInh|CapAmb", "/proc/self/status"]) { $0.user = user }
    try expectEqual(executed.output, none)
    try box.end(container)
  }
}

/// A directory of the host, held open without close-on-exec, is neither inherited nor a way to a working directory.
private func leakedDescriptors(_ box: Box) throws {
  let leaked = open("/", O_RDONLY | O_DIRECTORY)
  let cgroup = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY)
  defer {
    close(leaked)
    close(cgroup)
  }
  for number in 3..<20 {
    let path = "/proc/self/fd/\(number)"
    try expect(try box.failure { $0.spec.process?.cwd = path }.message.contains(path), path)
  }
  let first = try box.shell("ls -l /proc/self/fd")
  let container = try box.start()
  for number in 3..<20 {
    let path = "/proc/self/fd/\(number)"
    do {
      _ = try box.exec(container, ["true"]) { $0.process.cwd = "\(path)/../.." }
      throw Mismatch(description: "entered \(path)")
    } catch let error as ApusError {
      try expect(error.message.contains(path) || error.message.contains("working directory"), error.message)
    }
  }
  for listing in [first, try box.exec(container, ["ls", "-l", "/proc/self/fd"]).output] {
    try expect(listing.split(separator: "\n").count <= 6 && !listing.contains("cgroup"), listing)
  }
  try box.end(container)
}

/// Directories and files that are missing at a destination are made inside, whatever links lead there.
private func madeThroughLinks(_ box: Box) throws {
  let name = "apus-probe-made-\(getpid())"
  for target in ["/tmp/\(name)", "../../../../../../../../tmp/\(name)"] {
    symlink(target, "\(box.directory)/root/dangling")
    _ = try? box.run(["true"]) {
      $0.spec.mounts += [
        MountSpec(destination: "/dangling/x", type: "tmpfs", source: "x"),
        MountSpec(destination: "/dangling", type: "bind", source: "\(box.directory)/source/file", options: ["bind"]),
      ]
    }
    try expect(!Files.exists("/tmp/\(name)"), "made on the host")
    unlink("\(box.directory)/root/dangling")
  }
}

/// The image's /dev/null as a link or a file where masks need the null device; a mask's target exchanged meanwhile.
private func maskedPaths(_ box: Box) throws {
  let root = "\(box.directory)/root"
  mkdir("\(root)/dev", 0o755)
  for kind in ["link", "file", "directory", "zero"] {
    switch kind {
    case "link": symlink("/proc/sys/kernel/core_pattern", "\(root)/dev/null")
    case "file": try box.put("root/dev/null", [])
    case "directory": mkdir("\(root)/dev/null", 0o755)
    default: mknod("\(root)/dev/null", S_IFCHR | 0o666, dev_t(clinux_makedev(1, 5)))
    }
    let error = try box.failure {
      $0.spec.mounts.removeAll { $0.destination.hasPrefix("/dev") }
      $0.spec.linux?.maskedPaths = ["/proc/interrupts"]
    }
    try expect(error.message.contains("/dev/null"), "\(kind): \(error.message)")
    // With a /dev of its own it does not matter what the image has.
    try expectEqual(try box.shell("stat -c %t:%T /dev/null; wc -c < /proc/interrupts"), "1:3\n0\n")
    _ = try Spawn.run("/bin/rm", ["-rf", "\(box.directory)/upper/dev"])
    unlink("\(root)/dev/null")
    rmdir("\(root)/dev/null")
  }
}

/// /dev/console is the container's terminal and nothing an image has prepared there.
private func consoleRace(_ box: Box) throws {
  let root = "\(box.directory)/root"
  mkdir("\(root)/dev", 0o755)
  for target in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "pts/0"] {
    symlink(target, "\(root)/dev/console")
    let container = try box.create(
      box.configuration(
        [
          "sh", "-c",
          "stat -c %F /dev/console; head -c 1 /proc/sys/kernel/core_pattern > /dev/null; mount | grep -c 'on /proc/sys/kernel/core_pattern'; true",
        ],
        streams: .terminal(rows: 0, columns: 0)))
    guard let master = container.takeTerminal() else { throw Mismatch(description: "no terminal") }
    try container.start()
    _ = try Processes.wait(for: container.process)
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = read(master.raw, &buffer, buffer.count)
    try expectEqual(String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self), "character special file\r\n0\r\n")
    try box.end(after: container)
    unlink("\(root)/dev/console")
  }
}

/// What is written for a process (labels, OOM score, sysctls) goes to the host's /proc, whatever lies over the
/// container's: a tmpfs, a file of the image, another process's directory.
private func redirectedProc(_ box: Box) throws {
  let fake = "\(box.directory)/source/fake"
  try Files.makeDirectories("\(fake)/self/attr")
  try Files.makeDirectories("\(fake)/sys/net/ipv4")
  for name in ["self/oom_score_adj", "self/attr/exec", "sys/net/ipv4/ip_forward"] {
    try box.put("source/fake/\(name)", [])
  }
  let container = try box.start(["sleep", "1000"]) {
    $0.spec.process?.oomScoreAdj = 300
    $0.spec.linux?.sysctl = ["net.ipv4.ip_forward": "1"]
    $0.spec.mounts.append(MountSpec(destination: "/proc", type: "bind", source: fake, options: ["bind"]))
    $0.spec.linux?.maskedPaths = []
    $0.spec.linux?.readonlyPaths = []
  }
  func score(_ process: pid_t) throws -> String {
    String(decoding: try Files.read("/proc/\(process)/oom_score_adj"), as: UTF8.self)
  }
  try expectEqual(try score(container.process), "300\n")
  let null = try Files.open("/dev/null", flags: O_RDWR)
  var request = ExecConfiguration(
    process: box.spec(["sleep", "1000"]).process ?? ProcessSpec(),
    streams: .descriptors(input: null.raw, output: null.raw, error: null.raw))
  request.process.oomScoreAdj = 400
  let executed = try container.exec(request)
  try expectEqual(try score(executed.process), "400\n")
  for name in ["self/oom_score_adj", "sys/net/ipv4/ip_forward"] {
    try expect(try Files.read("\(fake)/\(name)").isEmpty, name)
  }
  try container.killAll()
  _ = try Processes.wait(for: executed.process)
  try box.end(container)
}

/// Users of executed processes: a name, a number, both parts, and nothing that becomes root by being misread.
private func executingUser(_ box: Box) throws {
  let container = try box.start()
  func identity(_ user: String) throws -> String? {
    do {
      return try box.exec(container, ["sh", "-c", "echo $(id -u):$(id -g)"]) { $0.user = user }.output
    } catch is ApusError {
      return nil
    }
  }
  try expectEqual(try identity("1000:44"), "1000:44\n")
  try expectEqual(try identity("1000"), "1000:1000\n")
  for text in [
    "1000x", "x1000", "4294967296", "4294967295", "-1", "1000:x", "1000:4294967296", "1 000", "0x0", "+", ":x",
  ] {
    try expect(try identity(text) == nil, "\(text) is \(try identity(text) ?? "")")
  }
  try expectEqual(try identity("+5") ?? "refused", "refused")
  try expectEqual(try identity("007"), "7:0\n")
  try expectEqual(try identity("1"), "1:0\n")
  try box.end(container)
}

/// /dev as a link: no device is made anywhere else, and nothing of the host is opened as one.
private func linkedDevices(_ box: Box) throws {
  let root = "\(box.directory)/root"
  for target in ["/tmp", "/../../../../dev", "/proc/self/fd", "/etc"] {
    rmdir("\(root)/dev/pts")
    rmdir("\(root)/dev")
    symlink(target, "\(root)/dev")
    let error = try box.failure {
      $0.spec.linux?.devices = [LinuxDevice(path: "/dev/made", type: "c", major: 1, minor: 3)]
    }
    try expect(error.message.contains("/dev"), error.message)
    try expect(!Files.exists("\(root)/tmp/null") && !Files.exists("\(root)/etc/null"), "made elsewhere")
    unlink("\(root)/dev")
  }
}

/// What the runtime keeps is neither readable nor writable for others, whatever the umask.
private func stateFiles(_ box: Box) throws {
  let mask = umask(0)
  defer { umask(mask) }
  let container = try box.start {
    $0.spec.linux?.seccomp = LinuxSeccomp(
      defaultAction: "SCMP_ACT_ALLOW", syscalls: [LinuxSyscall(names: ["mount"], action: "SCMP_ACT_ERRNO", errnoRet: 5)]
    )
  }
  let cache = try Files.open("\(box.directory)/cache", flags: O_RDONLY | O_DIRECTORY)
  for entry in try Files.entries(of: cache.raw) {
    try expectEqual(try Files.status(at: cache.raw, entry.name).st_mode & 0o777, 0o600)
  }
  for hierarchy in CgroupNames.all {
    let group = "/sys/fs/cgroup/\(hierarchy)/\(box.cgroupParent)/one"
    guard Files.exists("\(group)/cgroup.procs") else { continue }
    for name in ["", "/cgroup.procs"] {
      let status = try Files.status(at: AT_FDCWD, group + name)
      try expect(
        status.st_mode & 0o022 == 0 && status.st_uid == 0, "\(group)\(name) is \(String(status.st_mode, radix: 8))")
    }
  }
  // Nor inside, where the groups are shown: read-only.
  let written = try box.exec(
    container,
    [
      "sh", "-c",
      "for f in /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs; do echo 0 > $f && echo $f; done 2>/dev/null; true",
    ])
  try expectEqual(written.output, "")
  try box.end(container)
}
