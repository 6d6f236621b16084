import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

/// Hooks: which run, in whose namespaces, with what on their input, in which order.
func hooks(_ box: Box) throws {
  let log = "\(box.directory)/source/hooks"
  let script = "\(box.directory)/hook"
  try box.put(
    "hook",
    Array(
      """
      #!/bin/sh
      { echo "$1 $VAR $(readlink /proc/self/ns/mnt) $(grep -c . /proc/self/cgroup >/dev/null && echo)"; cat; echo; } >> \(log)

      """.utf8), mode: 0o755)
  try box.put(
    "root/bin/inside", Array("#!/bin/sh\ncat > /state; echo $1 $VAR > /inside; pwd >> /inside\n".utf8), mode: 0o755)
  func hook(_ name: String) -> Hook {
    Hook(path: script, args: ["hook", name], env: ["VAR=\(name)-value", "PATH=/bin:/usr/bin"])
  }
  let root = "\(box.directory)/root"
  let seen = "\(box.directory)/source/seen"
  let own = try Files.readLink("/proc/self/ns/mnt")
  let out = try box.shell("cat /inside /state; echo; cat /mounted/file") { configuration in
    configuration.bundle = box.directory
    configuration.root = nil
    configuration.spec.root = Root(path: root)
    configuration.spec.annotations = ["key": "value"]
    configuration.spec.process?.env.append("SECRET=1")
    configuration.spec.hooks = Hooks(
      // What a hook mounts below the root's own path is the container's (how devices are added by hooks).
      createContainer: [
        hook("first"), hook("second"),
        Hook(
          path: "/bin/sh",
          args: ["sh", "-c", "mkdir -p \(root)/mounted && mount --bind \(box.directory)/source \(root)/mounted"]),
      ],
      startContainer: [Hook(path: "/bin/inside", args: ["inside", "third"], env: ["VAR=x", "PATH=/bin"])])
    configuration.runtimeHooks = { (process) throws(ApusError) in
      try Files.writeAtomically(
        Array("\(process) \(Files.exists("/proc/\(process)/root/proc/self"))".utf8), to: seen)
    }
  }
  try expect(
    out.hasPrefix("third x\n/\n{\"ociVersion\":\"1.2.0\",\"id\":\"one\",\"status\":\"created\",\"pid\":1,"), out)
  try expect(out.contains("\"annotations\":{\"key\":\"value\"}") && out.hasSuffix("}\nfrom the host\n"), out)
  try expect(try !Mounts.list().contains { $0.mountPoint == "\(root)/mounted" }, "not on the host")
  let lines = String(decoding: try Files.read(log), as: UTF8.self).split(separator: "\n").map { String($0) }
  try expect(lines.count == 4 && lines[0].hasPrefix("first first-value mnt:"), "\(lines)")
  try expect(lines[2].hasPrefix("second second-value mnt:") && !lines[0].contains(own), "\(lines)")
  try expect(
    lines[1].contains("\"status\":\"creating\"") && lines[1].contains("\"bundle\":\"\(box.directory)\""), lines[1])
  try expect(Files.exists(seen), "hooks of the caller")

  // A hook that does not end, one that leaves a child behind that keeps its output open, one that says much.
  let slow = try box.failure {
    $0.spec.hooks = Hooks(createContainer: [Hook(path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1)])
  }
  try expect(slow.code == .deadlineExceeded && slow.message.contains("within 1 s"), slow.message)
  try expectEqual(
    try box.shell("echo on") {
      $0.spec.hooks = Hooks(createContainer: [Hook(path: "/bin/sh", args: ["sh", "-c", "sleep 2 & exit 0"])])
    }, "on\n")
  let loud = try box.failure {
    $0.spec.hooks = Hooks(
      createContainer: [Hook(path: "/bin/sh", args: ["sh", "-c", "yes no | head -c 300000; exit 7"])])
  }
  try expect(loud.message.contains("status 7: no; no") && loud.message.utf8.count < 8000, loud.message)
  try HookRunner.run(
    [Hook(path: "/bin/sh", args: ["sh", "-c", "exec <&-; exit 0"])], kind: "poststop",
    state: ContainerState(id: String(repeating: "x", count: 200_000)))
}

/// An agent answers a container's calls.
func agent(_ box: Box) throws {
  let path = "\(box.directory)/agent"
  let listener = try UnixSocket.listen(at: path)
  func notify(_ configuration: inout ContainerConfiguration, noNewPrivileges: Bool) {
    configuration.spec.process?.noNewPrivileges = noNewPrivileges
    configuration.spec.linux?.seccomp = LinuxSeccomp(
      defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_LOG"], listenerPath: path,
      listenerMetadata: "of mine", syscalls: [LinuxSyscall(names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY")])
  }
  /// Takes one connection: the state and the filter's listener.
  func receive() throws -> (ContainerProcessState, Int32) {
    guard let connection = try UnixSocket.accept(listener.raw) else { throw Mismatch(description: "no connection") }
    let (bytes, descriptors) = try UnixSocket.receive(on: connection.raw, limit: 65536, descriptorLimit: 4)
    try expectEqual(descriptors.count, 1)
    return (try ContainerProcessState(json: bytes), descriptors[0])
  }
  /// Answers one call with ENOTEMPTY: struct seccomp_notif is 80 bytes, struct seccomp_notif_resp 24.
  func answer(_ agent: Int32) throws {
    var request = [UInt64](repeating: 0, count: 10)
    try check(request.withUnsafeMutableBytes { clinux_ioctl(agent, 0xc050_2100, $0.baseAddress) }, "cannot receive")
    var response: [UInt64] = [request[0], 0, UInt64(UInt32(bitPattern: -ENOTEMPTY))]
    try check(response.withUnsafeMutableBytes { clinux_ioctl(agent, 0xc018_2101, $0.baseAddress) }, "cannot answer")
  }
  for noNewPrivileges in [false, true] {
    let null = try Files.open("/dev/null", flags: O_RDWR)
    var output = try Pipe()
    let container = try box.create(
      box.configuration(
        ["mkdir", "/x"],
        streams: .descriptors(input: null.raw, output: output.writeEnd.raw, error: output.writeEnd.raw)
      ) {
        $0.bundle = box.directory
        notify(&$0, noNewPrivileges: noNewPrivileges)
      })
    output.writeEnd = OwnedDescriptor(owning: -1)
    let (state, agent) = try receive()
    try expectEqual(state.pid, container.process)
    try expect(state.fds == ["seccompFd"] && state.metadata == "of mine" && state.state.id == "one", "\(state)")
    try expect(state.state.status == "creating" && state.state.bundle == box.directory, "\(state)")
    try container.start()
    try answer(agent)
    close(agent)
    let said = String(decoding: try Files.read(descriptor: output.readEnd.raw, limit: 4096), as: UTF8.self)
    try expect(said.contains("not empty"), said)
    try expectEqual(try Processes.wait(for: container.process)?.code, 1)
    try box.end(after: container)
  }
  // An executed process has its own listener; and none of them is left open in the program.
  let container = try box.start { notify(&$0, noNewPrivileges: true) }
  close(try receive().1)
  let null = try Files.open("/dev/null", flags: O_RDWR)
  let executed = try container.exec(
    ExecConfiguration(
      process: box.spec(["sh", "-c", "test $(ls /proc/self/fd | wc -l) = 4 && mkdir /x"]).process ?? ProcessSpec(),
      streams: .descriptors(input: null.raw, output: null.raw, error: null.raw)))
  let (state, agent) = try receive()
  try expect(state.pid == executed.process && state.state.status == "running", "\(state)")
  try answer(agent)
  close(agent)
  try expectEqual(try Processes.wait(for: executed.process)?.code, 1)
  try box.end(container)
}

/// Binds that show other owners, copies of what a tmpfs covers, attributes of whole trees, changed mounts.
func mounting(_ box: Box) throws {
  let source = "\(box.directory)/source"
  chown("\(source)/file", 1000, 2000)
  let mapping = (
    [LinuxIDMapping(containerID: 1000, hostID: 5000, size: 10)],
    [LinuxIDMapping(containerID: 2000, hostID: 6000, size: 10)]
  )
  for recursive in [false, true] {
    let mapped = try box.run(["stat", "-c", "%u:%g", "/data/file", "/plain/file"]) {
      $0.spec.mounts += [
        MountSpec(
          destination: "/data", type: "none", source: source,
          options: recursive ? ["rbind", "ridmap"] : ["bind"], uidMappings: mapping.0, gidMappings: mapping.1),
        MountSpec(destination: "/plain", type: "bind", source: source),
      ]
    }
    try expectEqual(mapped.output, "5000:6000\n1000:2000\n")
  }
  // The container's own mappings: what is 0 on the disk is 0 inside.
  chown("\(source)/inner", 0, 0)
  let inside = try box.run(["stat", "-c", "%u:%g", "/data/inner", "/plain/inner"]) {
    $0.spec.linux?.namespaces.append(LinuxNamespace(type: "user"))
    $0.spec.linux?.uidMappings = [LinuxIDMapping(containerID: 0, hostID: 100_000, size: 65536)]
    $0.spec.linux?.gidMappings = [LinuxIDMapping(containerID: 0, hostID: 200_000, size: 65536)]
    $0.spec.mounts += [
      MountSpec(destination: "/data", type: "bind", source: source, options: ["rbind", "idmap"]),
      MountSpec(destination: "/plain", type: "bind", source: source),
    ]
  }
  try expectEqual(inside.output, "0:0\n65534:65534\n")

  try Files.makeDirectories("\(box.directory)/root/full/deep")
  try box.put("root/full/deep/file", Array("kept\n".utf8), mode: 0o640)
  symlink("/etc/passwd", "\(box.directory)/root/full/link")
  chown("\(box.directory)/root/full/deep/file", 7, 8)
  chmod("\(box.directory)/root/full", 0o711)
  try expectEqual(
    try box.shell(
      "cat /full/deep/file; stat -c '%a %u:%g' /full/deep/file; readlink /full/link; stat -c %a /full; touch /full/new; mount | grep -c 'on /full type tmpfs'"
    ) { $0.spec.mounts.append(MountSpec(destination: "/full", type: "tmpfs", source: "x", options: ["tmpcopyup"])) },
    "kept\n640 7:8\n/etc/passwd\n711\n1\n")
  try expect(!Files.exists("\(box.directory)/root/full/new"), "a copy")

  // A mount below the source: `ro` leaves it as it is, `rro` does not.
  try Mounts.mount(type: "tmpfs", source: "tmpfs", on: "\(source)/inner")
  defer { umount2("\(source)/inner", Int32(MNT_DETACH)) }
  for (option, code) in [("ro", Int32(0)), ("rro", 1), ("rnoexec", 0)] {
    let written = try box.run(["touch", "/data/inner/x"]) {
      $0.spec.mounts.append(MountSpec(destination: "/data", type: "bind", source: source, options: ["rbind", option]))
    }
    try expect(written.code == code, "\(option): \(written)")
  }
  let table = try box.shell("cat /proc/self/mountinfo") {
    $0.spec.mounts.append(
      MountSpec(
        destination: "data", type: "bind", source: source,
        options: ["rbind", "rnosuid", "rnoatime", "rnosymfollow", "nodiratime", "strictatime"]))
    $0.spec.mounts.append(MountSpec(destination: "/proc", options: ["remount", "ro", "nosuid"]))
  }
  let entries = Mounts.parse(mountinfo: table)
  let deep = entries.first { $0.mountPoint == "/data/inner" }?.options ?? ""
  try expect(deep.contains("nosuid") && deep.contains("noatime") && deep.contains("nosymfollow"), table)
  try expect(entries.first { $0.mountPoint == "/proc" }?.options.hasPrefix("ro,nosuid") == true, table)
}

/// Personality, scheduling, affinity, memory policy, and who else has them.
func execution(_ box: Box) throws {
  try expectEqual(
    try box.shell("busybox uname -m") { $0.spec.linux?.personality = LinuxPersonality(domain: "LINUX32") }, "i686\n")
  let container = try box.start {
    $0.spec.linux?.personality = LinuxPersonality(domain: "LINUX32")
    $0.spec.linux?.memoryPolicy = LinuxMemoryPolicy(mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"])
    $0.spec.process?.scheduler = Scheduler(policy: "SCHED_BATCH", nice: 7, flags: ["SCHED_FLAG_RESET_ON_FORK"])
    $0.spec.process?.ioPriority = LinuxIOPriority(class: "IOPRIO_CLASS_IDLE", priority: 3)
  }
  try expectEqual(try box.exec(container, ["busybox", "uname", "-m"]).output, "i686\n")
  let maps = String(decoding: try Files.read("/proc/\(container.process)/numa_maps", limit: 1 << 20), as: UTF8.self)
  try expect(maps.contains("bind=static:0") || maps.contains("bind"), maps)
  let stat = String(decoding: try Files.read("/proc/\(container.process)/stat"), as: UTF8.self).split(separator: " ")
  // nice(2) and the policy, fields 19 and 41.
  try expect(stat[18] == "7" && stat[40] == "3", "\(stat)")
  func affinity(_ initial: String, _ final: String) throws -> String {
    let found = try box.exec(container, ["sh", "-c", "grep Cpus_allowed_list /proc/self/status | cut -f2"]) {
      $0.process.execCPUAffinity = CPUAffinity(initial: initial, final: final)
    }
    return found.output
  }
  let all = try affinity("", "")
  try expectEqual(try affinity("", "0"), "0\n")
  if all != "0\n" { try expectEqual(try affinity("0", "0-1"), "0-1\n") }
  try expectEqual(try affinity("0", "0"), "0\n")
  do {
    _ = try affinity("x", "")
    throw Mismatch(description: "a list that is none")
  } catch let error as ApusError {
    try expect(error.message.contains("process.execCPUAffinity.initial"), error.message)
  }
  try box.end(container)
}

/// Containers among mounts that are not theirs: nothing is done to these, and nothing can be seen of the root.
func otherMounts(_ box: Box) throws {
  func plain(_ configuration: inout ContainerConfiguration) {
    configuration.root = nil
    configuration.spec.root = Root(path: "\(box.directory)/root")
    configuration.spec.linux?.namespaces.removeAll { $0.type == "mount" || $0.type == "cgroup" }
  }
  for name in ["proc", "dev", "sys"] { mkdir("\(box.directory)/root/\(name)", 0o755) }
  guard Mounts.attachesToDetached else { return }
  let before = try Mounts.list()
  let own = try Files.readLink("/proc/self/ns/mnt")
  let out = try box.shell(
    "readlink /proc/self/ns/mnt; pwd; ls /; stat -c %t:%T /dev/null; cat /proc/1/comm; wc -c < /proc/interrupts", plain)
  try expect(out.hasPrefix("\(own)\n/\nbin\ndev\netc\nhome\nproc\nsys\ntmp\n1:3\nsh\n0\n"), out)
  let container = try box.start(["sleep", "1000"], plain)
  try expectEqual(
    try box.exec(container, ["sh", "-c", "pwd; ls /; cat /proc/1/comm"]).output,
    "/\nbin\ndev\netc\nhome\nproc\nsys\ntmp\nsleep\n")
  try expect(try Mounts.list() == before, "the host's mounts")
  try box.end(container)
  // Somebody else's namespace.
  let other = try Spawn.process("/usr/bin/unshare", arguments: ["unshare", "-m", "/bin/sleep", "1000"])
  defer {
    kill(other, SIGKILL)
    _ = try? Processes.wait(for: other)
  }
  let path = "/proc/\(other)/ns/mnt"
  for _ in 0..<1000 where try Files.readLink(path) == own { usleep(2000) }
  func joining(_ configuration: inout ContainerConfiguration) {
    plain(&configuration)
    configuration.spec.linux?.namespaces.append(LinuxNamespace(type: "mount", path: path))
  }
  func table() throws -> [MountEntry] { try Mounts.list(of: String(other)) }
  let theirs = try table()
  try expectEqual(
    try box.shell("readlink /proc/self/ns/mnt; cat /proc/1/comm; ls /", joining),
    "\(try Files.readLink(path))\nsh\nbin\ndev\netc\nhome\nproc\nsys\ntmp\n")
  let second = try box.start(["sleep", "1000"], joining)
  try expectEqual(try box.exec(second, ["cat", "/proc/1/comm"]).output, "sleep\n")
  try expect(try table() == theirs, "the other namespace's mounts")
  try box.end(second)
}

/// Without pivot_root(2): the host's tree stays, bare, below the container's.
func noPivot(_ box: Box) throws {
  func change(_ configuration: inout ContainerConfiguration) { configuration.pivots = false }
  let container = try box.start(["sleep", "1000"], change)
  try expectEqual(
    try box.exec(container, ["sh", "-c", "hostname; ls /; cat /proc/1/comm; wc -c < /proc/interrupts"]).output,
    "box\nbin\ndev\netc\nhome\nproc\nsys\ntmp\nsleep\n0\n")
  // As the host sees the container's namespace from its root, which is not the process's own.
  let entered = try Spawn.run(
    "/usr/bin/nsenter",
    [
      "--mount=/proc/\(container.process)/ns/mnt", "/bin/busybox", "sh", "-c",
      "test -e /bin/busybox && ! test -e /usr/bin/nsenter",
    ])
  try expectEqual(entered, 0)
  try box.end(container)
  // A directory, a user namespace.
  try expectEqual(
    try box.shell("ls / | wc -l") {
      change(&$0)
      $0.root = nil
      $0.spec.root = Root(path: "\(box.directory)/root")
    }, "7\n")
}

/// Descriptors that the program gets, and no others.
func preserving(_ box: Box) throws {
  let file = try Files.open("\(box.directory)/source/file", flags: O_RDONLY)
  for number in [3, 4] as [Int32] where number != file.raw { try check(dup2(file.raw, number), "cannot duplicate") }
  let extra = open("/etc/hostname", O_RDONLY)
  defer { for number in [3, 4, extra] { close(number) } }
  _ = try check(Int(lseek(3, 0, SEEK_SET)), "cannot rewind")
  try expectEqual(
    try box.shell("cat <&3; ls /proc/self/fd | tr '\\n' ' '") { $0.preservedDescriptors = 2 },
    "from the host\n0 1 2 3 4 5 ")
  try expect(try box.failure { $0.preservedDescriptors = 900 }.message.contains("is not open"), "not open")
  let container = try box.start()
  try check(Int(lseek(4, 0, SEEK_SET)), "cannot rewind")
  try expectEqual(
    try box.exec(container, ["sh", "-c", "cat <&4"]) { $0.preservedDescriptors = 2 }.output, "from the host\n")
  try box.end(container)
}
