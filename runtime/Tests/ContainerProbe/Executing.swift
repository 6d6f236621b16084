import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

func executing(_ box: Box) throws {
  let container = try box.start()
  // The same namespaces, cgroup, rights as the first process.
  let first = try box.exec(
    container, ["sh", "-c", "for n in mnt pid ipc uts net cgroup; do readlink /proc/1/ns/$n; done"])
  let own = try box.exec(
    container, ["sh", "-c", "for n in mnt pid ipc uts net cgroup; do readlink /proc/self/ns/$n; done"])
  try expect(first == own && first.code == 0, "\(first) against \(own)")
  try expectEqual(try box.exec(container, ["sh", "-c", "cat /proc/self/cgroup | grep -vc ':/$'"]).output, "0\n")
  try expect(
    try box.exec(container, ["cat", "/proc/self/status"]).output.contains("CapEff:\t00000000a80425fb"), "rights")
  try expectEqual(try box.exec(container, ["sh", "-c", "ls /proc/self/fd | wc -l"]).output, "4\n")
  try expectEqual(try box.exec(container, ["hostname"]).output, "box\n")
  try expectEqual(try box.exec(container, ["sh", "-c", "exit 7"]).code, 7)
  try expectEqual(
    try box.exec(container, ["sh", "-c", "pwd; id -u; echo $HOME"]) {
      $0.user = "bob"
      $0.process.cwd = "/home/bob"
    }.output, "/home/bob\n1000\n/home/bob\n")
  try expect(try container.processes() == [container.process], "executed ones are gone")

  func failure(_ arguments: [String], _ change: (inout ExecConfiguration) -> Void = { _ in }) throws -> ApusError {
    do {
      let found = try box.exec(container, arguments, change)
      throw Mismatch(description: "it worked: \(found)")
    } catch let error as ApusError {
      return error
    }
  }
  let missing = try failure(["nosuch"])
  try expect(
    missing.message == "exec: \"nosuch\": executable file not found in $PATH"
      && (missing.cause as? ExecFailure)?.exitStatus == 127, missing.message)
  try expect((try failure(["/etc/passwd"]).cause as? ExecFailure)?.exitStatus == 126, "not executable")
  try expect(try failure(["true"]) { $0.process.cwd = "/nowhere" }.message.contains("/nowhere"), "directory")
  try expect(try failure(["true"]) { $0.user = "nobody" }.message.contains("nobody"), "user")

  // An executed process outlives nothing, and is killed along.
  let null = try Files.open("/dev/null", flags: O_RDWR)
  let sleeper = try container.exec(
    ExecConfiguration(
      process: box.spec(["sleep", "1000"]).process ?? ProcessSpec(),
      streams: .descriptors(input: null.raw, output: null.raw, error: null.raw)))
  try expectEqual(try container.processes().count, 2)
  try container.signal(SIGTERM, all: true)
  try expectEqual(try Processes.wait(for: sleeper.process)?.signal, SIGTERM)
  try box.end(container)
  do {
    let found = try box.exec(container, ["true"])
    throw Mismatch(description: "it worked: \(found)")
  } catch let error as ApusError {
    try expect(!error.message.isEmpty, "a container that has ended")
  }
  _ = try? container.removeCgroup()
}

func seccomp(_ box: Box) throws {
  func filter(_ configuration: inout ContainerConfiguration) {
    configuration.spec.linux?.seccomp = LinuxSeccomp(
      defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
      syscalls: [
        LinuxSyscall(names: ["mkdir", "mkdirat", "no_such_call"], action: "SCMP_ACT_ERRNO", errnoRet: 28),
        LinuxSyscall(
          names: ["setpriority"], action: "SCMP_ACT_ERRNO",
          args: [LinuxSeccompArgument(index: 0, value: 0, op: "SCMP_CMP_EQ")]),
      ])
  }
  for noNewPrivileges in [false, true] {
    let (code, output) = try box.run(["sh", "-c", "grep -E 'Seccomp:|NoNewPrivs' /proc/self/status; mkdir /x"]) {
      filter(&$0)
      $0.spec.process?.noNewPrivileges = noNewPrivileges
    }
    try expect(
      code == 1 && output.contains("Seccomp:\t2") && output.contains("No space left")
        && output.contains("NoNewPrivs:\t\(noNewPrivileges ? 1 : 0)"), output)
  }
  // Executed processes have it too.
  let container = try box.start(["sleep", "1000"], filter)
  try expect(try box.exec(container, ["mkdir", "/x"]).output.contains("No space left"), "exec")
  try box.end(container)
  // One cache file for the one profile; damaged, it is made anew.
  func entries() throws -> [String] {
    let directory = try Files.open("\(box.directory)/cache", flags: O_RDONLY | O_DIRECTORY)
    return try Files.entries(of: directory.raw).map(\.name)
  }
  let cached = try entries()
  try expectEqual(cached.count, 1)
  var bytes = try Files.read("\(box.directory)/cache/\(cached[0])")
  bytes[8] ^= 0xff
  try box.put("cache/\(cached[0])", bytes)
  try expectEqual(try box.run(["mkdir", "/x"], filter).code, 1)
  try expect(try Files.read("\(box.directory)/cache/\(cached[0])") != bytes, "written again")
  // With a denying default, calls newer than the profile are ENOSYS. `uname` is not in the list: EPERM.
  let names = [
    "read", "write", "open", "openat", "close", "stat", "fstat", "lstat", "newfstatat", "mmap", "mprotect", "munmap",
    "brk", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "ioctl", "access", "execve", "exit", "exit_group",
    "arch_prctl",
    "getuid", "setuid", "setgid", "setresuid", "setresgid", "setgroups", "capset", "prctl", "umask", "fcntl", "getcwd",
    "dup2", "getpid", "getppid", "geteuid", "getgid", "getegid", "poll", "wait4", "faccessat", "faccessat2",
    "set_tid_address", "set_robust_list", "rseq", "prlimit64", "getrandom", "readlink", "readlinkat", "uname",
    "sendmsg",
    "fchdir", "close_range", "seccomp", "clone", "fork", "vfork", "gettid", "futex", "readv", "writev", "lseek",
    "openat2",
    "statx", "sigaltstack", "madvise", "getpgrp", "setsid", "getpgid",
  ]
  try expectEqual(
    try box.shell("echo fine") {
      $0.spec.linux?.seccomp = LinuxSeccomp(
        defaultAction: "SCMP_ACT_ERRNO", syscalls: [LinuxSyscall(names: names, action: "SCMP_ACT_ALLOW")])
    }, "fine\n")
  try expectEqual(
    try box.failure { $0.spec.linux?.seccomp = LinuxSeccomp(defaultAction: "SCMP_ACT_NONSENSE") }.code,
    .invalidArgument)
}

func attributes(_ box: Box) throws {
  let out = try box.shell(
    """
    ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; grep -E 'NoNewPrivs|CapAmb|CapInh' /proc/self/status
    cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni; umask; hostname; cat /proc/sys/kernel/domainname
    """
  ) {
    $0.spec.process?.rlimits = [POSIXRlimit(type: "RLIMIT_NOFILE", hard: 512, soft: 256)]
    $0.spec.process?.oomScoreAdj = 500
    $0.spec.process?.noNewPrivileges = true
    $0.spec.process?.user.umask = 0o027
    $0.spec.process?.capabilities?.inheritable = ["CAP_KILL"]
    $0.spec.process?.capabilities?.ambient = ["CAP_KILL"]
    $0.spec.linux?.sysctl = ["net.ipv4.ip_forward": "1", "kernel.shmmni": "1234"]
    $0.spec.domainname = "example.org"
  }
  try expectEqual(
    out.split(separator: "\n").map { String($0) },
    [
      "256", "512", "500", "CapInh:\t0000000000000020", "CapAmb:\t0000000000000020", "NoNewPrivs:\t1", "1", "1234",
      "0027", "box", "example.org",
    ])
  func refusal(_ change: (inout ContainerConfiguration) -> Void) throws -> String {
    try box.failure(line: 0, change).message
  }
  try expect(
    try refusal { $0.spec.process?.rlimits = [POSIXRlimit(type: "RLIMIT_NOFILE", hard: 9_000_000, soft: 1)] }
      .contains("nofile"), "limit above the host's")
  try expect(
    try refusal { $0.spec.process?.capabilities?.bounding = ["CAP_NONSENSE"] }.contains("CAP_NONSENSE"), "unknown")
  try expect(try refusal { $0.spec.linux?.sysctl = ["kernel.panic": "1"] }.contains("kernel.panic"), "the host's")
  try expect(
    try refusal {
      $0.spec.linux?.sysctl = ["net.ipv4.ip_forward": "1"]
      $0.spec.linux?.namespaces.removeAll { $0.type == "network" }
    }.contains("ip_forward"), "the host's network")
  if !(try Capabilities.current().contains(Capabilities(named: "SYS_RESOURCE") ?? [])) {
    try expect(try refusal { $0.spec.process?.oomScoreAdj = -500 }.contains("-500"), "OOM score")
    try expect(
      try refusal { $0.spec.process?.capabilities?.bounding = ["CAP_SYS_RESOURCE"] }.contains("CAP_SYS_RESOURCE"),
      "a capability the host does not give")
  }
}

func timeNamespace(_ box: Box) throws {
  let out = try box.shell("cut -d. -f1 /proc/uptime; readlink /proc/self/ns/time") {
    $0.spec.linux?.namespaces.append(LinuxNamespace(type: "time"))
    $0.spec.linux?.timeOffsets = [
      "boottime": LinuxTimeOffset(secs: 1_000_000), "monotonic": LinuxTimeOffset(secs: 86400),
    ]
  }
  let lines = out.split(separator: "\n").map { String($0) }
  try expect((Int(lines[0]) ?? 0) > 1_000_000, out)
  try expect(lines[1] != (try Files.readLink("/proc/self/ns/time")), "its own")
  let container = try box.start(["sleep", "1000"]) { $0.spec.linux?.namespaces.append(LinuxNamespace(type: "time")) }
  let both = try box.exec(container, ["sh", "-c", "readlink /proc/1/ns/time; readlink /proc/self/ns/time"]).output
    .split(separator: "\n")
  try expect(both.count == 2 && both[0] == both[1], "exec joins it: \(both)")
  try box.end(container)
}

func joining(_ box: Box) throws {
  let host = try box.start(["sleep", "1000"], id: "host") { $0.spec.hostname = "shared" }
  func path(_ kind: String) -> String { "/proc/\(host.process)/ns/\(kind)" }
  let out = try box.shell("hostname; cat /proc/1/comm; ps | wc -l; readlink /proc/self/ns/net") {
    $0.spec.hostname = ""
    $0.spec.linux?.namespaces = [
      LinuxNamespace(type: "mount"), LinuxNamespace(type: "pid", path: path("pid")),
      LinuxNamespace(type: "network", path: path("net")), LinuxNamespace(type: "uts", path: path("uts")),
      LinuxNamespace(type: "ipc", path: path("ipc")),
    ]
    $0.root?.upper = nil
    $0.root?.work = nil
    for name in ["proc", "dev", "sys"] { mkdir("\(box.directory)/root/\(name)", 0o755) }
  }
  let lines = out.split(separator: "\n").map { String($0) }
  try expect(lines[0] == "shared" && lines[1] == "sleep" && lines[3] == (try Files.readLink(path("net"))), out)
  let refused = try box.failure { $0.spec.linux?.namespaces[4] = LinuxNamespace(type: "network", path: "/no/such") }
  try expect(refused.message.contains("/no/such"), refused.message)
  let wrong = try box.failure { $0.spec.linux?.namespaces[4] = LinuxNamespace(type: "network", path: path("uts")) }
  try expectEqual(wrong.code, .invalidArgument)
  try box.end(host)
  for name in CgroupNames.all { rmdir("/sys/fs/cgroup/\(name)/\(box.cgroupParent)/host") }
}

func userNamespace(_ box: Box) throws {
  func mapped(_ configuration: inout ContainerConfiguration) {
    configuration.spec.linux?.namespaces.append(LinuxNamespace(type: "user"))
    configuration.spec.linux?.uidMappings = [LinuxIDMapping(containerID: 0, hostID: 100_000, size: 65536)]
    configuration.spec.linux?.gidMappings = [LinuxIDMapping(containerID: 0, hostID: 200_000, size: 65536)]
  }
  do {
    _ = try box.run(["true"], mapped)
  } catch let error as ApusError where error.code == .unsupported {
    return
  }
  let out = try box.shell(
    """
    id -u; cat /proc/self/uid_map | sed 's/  */ /g'; stat -c '%u:%g' /bin/busybox /home/bob /dev/null
    touch /made && stat -c '%u:%g' /made; echo x > /dev/null && echo null; hostname
    cat /proc/self/cgroup | grep -vc ':/$'; true
    """, mapped)
  try expectEqual(
    out.split(separator: "\n").map { String($0) },
    ["0", " 0 100000 65536", "0:0", "1000:1000", "65534:65534", "0:0", "null", "box", "0"])
  // On the disk, and on the host.
  let status = try Files.status(at: AT_FDCWD, "\(box.directory)/upper/made")
  try expectEqual([status.st_uid, status.st_gid], [0, 0])
  let container = try box.start(["sleep", "1000"], mapped)
  let process = String(decoding: try Files.read("/proc/\(container.process)/status"), as: UTF8.self)
  try expect(process.contains("Uid:\t100000\t100000") && process.contains("Gid:\t200000\t200000"), process)
  try expectEqual(try box.exec(container, ["id", "-u"]).output, "0\n")
  try expectEqual(try box.exec(container, ["id", "-u"]) { $0.user = "bob" }.output, "1000\n")
  let foreground = try container.exec(
    ExecConfiguration(
      process: box.spec(["true"]).process ?? ProcessSpec(), streams: .terminal(rows: 0, columns: 0)))
  try expectEqual(try Processes.wait(for: foreground.process)?.code, 0)
  try box.end(container)
}
