import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

func limits(_ box: Box) throws {
  // Another daemon has made the parent and not come to filling it.
  mkdir("/sys/fs/cgroup/cpuset/\(box.cgroupParent)", 0o755)
  let device = try Files.status(at: AT_FDCWD, box.directory).st_dev
  let (major, minor) = (Int64(clinux_major(UInt64(device))), Int64(clinux_minor(UInt64(device))))
  let container = try box.start(["sleep", "1000"]) {
    $0.spec.linux?.resources = LinuxResources(
      devices: [LinuxDeviceCgroup(allow: true, type: "c", major: 10, minor: 229, access: "rw")],
      memory: LinuxMemory(limit: 64 << 20, reservation: 32 << 20, swap: 64 << 20),
      cpu: LinuxCPU(shares: 512, quota: 50000, period: 100_000, cpus: "0", mems: "0"), pids: LinuxPids(limit: 50),
      blockIO: LinuxBlockIO(
        // A file system in memory has no device to slow down.
        throttleReadBpsDevice: major == 0
          ? [] : [LinuxThrottleDevice(major: major, minor: minor, rate: 1 << 20)]))
  }
  let driver = try Cgroups.detect()
  func value(_ controller: String, _ file: String) throws -> String {
    let hierarchy = driver.version == 1 ? "/\(controller)" : ""
    let path = "/sys/fs/cgroup\(hierarchy)/\(box.cgroupParent)/one/\(file)"
    return String(decoding: try Files.read(path), as: UTF8.self).filter { $0 != "\n" }
  }
  func expectValues(_ values: [(String, String, v1: String, String, v2: String)], line: Int = #line) throws {
    for (controller, first, v1, second, v2) in values {
      let file = driver.version == 1 ? first : second
      let found = try value(controller, file)
      try expect(found == (driver.version == 1 ? v1 : v2), "\(file) is \(found)", line: line)
    }
  }
  try expectValues([
    ("memory", "memory.limit_in_bytes", "\(64 << 20)", "memory.max", "\(64 << 20)"),
    ("memory", "memory.memsw.limit_in_bytes", "\(64 << 20)", "memory.swap.max", "0"),
    ("memory", "memory.soft_limit_in_bytes", "\(32 << 20)", "memory.low", "\(32 << 20)"),
    ("cpu", "cpu.shares", "512", "cpu.weight", "20"),
    ("cpu", "cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000"),
    ("cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"),
    ("pids", "pids.max", "50", "pids.max", "50"),
  ])
  if major != 0 {
    try expectValues([
      (
        "blkio", "blkio.throttle.read_bps_device", "\(major):\(minor) \(1 << 20)", "io.max",
        "\(major):\(minor) rbps=\(1 << 20) wbps=max riops=max wiops=max"
      )
    ])
  }
  if driver.version == 1 {
    let devices = try value("devices", "devices.list")
    try expect(devices.contains("c 10:229 rw") && devices.contains("c 1:3 rwm") && !devices.contains("a *:*"), devices)
  }
  try container.update(
    LinuxResources(
      memory: LinuxMemory(limit: 128 << 20, swap: 256 << 20), cpu: LinuxCPU(shares: 256), pids: LinuxPids(limit: 0)))
  try expectValues([
    ("memory", "memory.limit_in_bytes", "\(128 << 20)", "memory.max", "\(128 << 20)"),
    ("memory", "memory.memsw.limit_in_bytes", "\(256 << 20)", "memory.swap.max", "\(128 << 20)"),
  ])
  try container.update(LinuxResources(memory: LinuxMemory(limit: 16 << 20, swap: 32 << 20)))
  try expectValues([
    ("memory", "memory.limit_in_bytes", "\(16 << 20)", "memory.max", "\(16 << 20)"),
    ("memory", "memory.memsw.limit_in_bytes", "\(32 << 20)", "memory.swap.max", "\(16 << 20)"),
    ("cpu", "cpu.shares", "256", "cpu.weight", "10"),
    ("pids", "pids.max", "max", "pids.max", "max"),
  ])
  // Devices: the host's disk cannot be read although its node can be made.
  let disk = try box.exec(
    container, ["sh", "-c", "mknod /disk b \(major) \(minor) || exit; head -c 1 /disk > /dev/null; echo $?"])
  try expect(disk.output.contains("not permitted") && disk.output.hasSuffix("1\n"), disk.output)
  let figures = try container.statistics()
  try expect(
    figures.memory > 0 && figures.processes == 1 && figures.memoryLimit == 16 << 20 && figures.processorTime > 0,
    "\(figures)")
  try expect(!figures.memoryDetails.isEmpty, "details")
  try box.end(container)
  // A device that is asked for, with a rule and without.
  for allowed in [true, false] {
    let opened = try box.run(["sh", "-c", ": > /dev/kmsg && echo opened"]) {
      $0.spec.linux?.devices = [LinuxDevice(path: "/dev/kmsg", type: "c", major: 1, minor: 11)]
      let rule = LinuxDeviceCgroup(allow: allowed, type: "c", major: 1, minor: 11, access: "rw")
      $0.spec.linux?.resources = LinuxResources(devices: [rule])
    }
    try expect(
      allowed ? opened.output == "opened\n" : opened.output.contains("not permitted"), "\(allowed) \(opened)")
  }
  let (_, output) = try box.run(["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done"]) {
    $0.spec.linux?.resources = LinuxResources(pids: LinuxPids(limit: 4))
  }
  try expect(output.contains("fork"), output)
  let refused = try box.failure { $0.spec.linux?.resources = LinuxResources(cpu: LinuxCPU(cpus: "4000")) }
  try expect(refused.message.contains("cpuset.cpus"), refused.message)
}

func memory(_ box: Box) throws {
  let container = try box.start(["sh", "-c", "sleep 0.2; x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"]) {
    $0.spec.linux?.resources = LinuxResources(memory: LinuxMemory(limit: 12 << 20, swap: 12 << 20))
  }
  let events = try container.oomEvents()
  var event = pollfd(fd: events.raw, events: Int16(POLLIN), revents: 0)
  try expect(poll(&event, 1, 10000) == 1, "told about it")
  let status = try Processes.wait(for: container.process)
  try expectEqual(status?.code, 137)
  try expect(container.oomKills == 1, "\(container.oomKills) kills")
  try box.end(after: container)
}

func pausing(_ box: Box) throws {
  // As above, and nobody asks for processors.
  mkdir("/sys/fs/cgroup/cpuset/\(box.cgroupParent)", 0o755)
  let container = try box.start(["sh", "-c", "while :; do :; done"])
  try container.pause()
  let first = try container.statistics().processorTime
  usleep(30000)
  try expectEqual(try container.statistics().processorTime, first)
  do {
    let found = try box.exec(container, ["true"])
    throw Mismatch(description: "executed while paused: \(found)")
  } catch let error as ApusError {
    try expectEqual(error.code, .conflict)
  }
  try container.resume()
  usleep(30000)
  try expect(try container.statistics().processorTime > first, "it goes on")
  try container.pause()
  try container.killAll()
  let status = try Processes.wait(for: container.process)
  try expectEqual(status?.code, 137)
  try container.removeCgroup()
}

/// The v2 driver on the v2 hierarchy that a hybrid host has: everything but the controllers.
func cgroup2(_ box: Box) throws {
  let root = Files.exists("/sys/fs/cgroup/unified/cgroup.procs") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup"
  let driver = CgroupV2(root: root)
  let path = "\(box.cgroupParent)/two"
  var resources = CgroupResources()
  resources.devices = [
    .init(allow: false), .init(allow: true, kind: .character, access: "m"),
    .init(allow: true, kind: .character, major: 1, minor: 3),
    .init(allow: true, kind: .character, major: 1, minor: 5, access: "r"),
  ]
  try driver.create(path, resources: resources)
  let target = try driver.cloneTarget(path)
  let pipe = try Pipe()
  let child = clinux_clone3(0, nil, SIGCHLD, target)
  if child == 0 {
    var answers: [UInt8] = []
    for (name, flags) in [("null", O_RDWR), ("zero", O_RDONLY), ("zero", O_RDWR), ("full", O_RDONLY)] {
      answers.append(open("/dev/\(name)", flags) >= 0 ? 1 : 0)
    }
    write(pipe.writeEnd.raw, answers, answers.count)
    while true { usleep(1000) }
  }
  close(target)
  var answers = [UInt8](repeating: 9, count: 4)
  try expect(read(pipe.readEnd.raw, &answers, 4) == 4, "answers")
  try expectEqual(answers, [1, 1, 0, 0])
  try expectEqual(try driver.processes(path), [child])
  try driver.freeze(path)
  try driver.thaw(path)
  try driver.freeze(path)
  try driver.killAll(path)
  try expectEqual(try Processes.wait(for: child)?.signal, SIGKILL)
  try driver.remove(path)
  try driver.remove(path)
}

private func bind(_ options: [String]) -> MountSpec {
  MountSpec(destination: "/a", type: "none", source: "/tmp", options: options)
}

private func notifying(_ name: String, path: String) -> LinuxSeccomp {
  LinuxSeccomp(
    defaultAction: "SCMP_ACT_ALLOW", listenerPath: path,
    syscalls: [LinuxSyscall(names: [name], action: "SCMP_ACT_NOTIFY")])
}

func failures(_ box: Box) throws {
  let before = try Footprint(box)
  let changes: [(String, (inout ContainerConfiguration) -> Void)] = [
    ("layer", { $0.root?.lower = ["/no/such/layer"] }),
    ("upper", { $0.root?.upper = "/no/such/upper" }),
    ("no layer", { $0.root?.lower = [] }),
    (
      "plain root",
      {
        $0.root = nil; $0.spec.root = Root(path: "/no/such/root")
      }
    ),
    ("namespace kind", { $0.spec.linux?.namespaces.append(LinuxNamespace(type: "nonsense")) }),
    ("namespace twice", { $0.spec.linux?.namespaces.append(LinuxNamespace(type: "pid")) }),
    ("namespace path", { $0.spec.linux?.namespaces[2].path = "/no/such" }),
    ("pid namespace path", { $0.spec.linux?.namespaces[1].path = "/no/such" }),
    ("no mount namespace", { $0.spec.linux?.namespaces.removeFirst() }),
    ("no uts for the name", { $0.spec.linux?.namespaces.removeAll { $0.type == "uts" } }),
    ("mount", { $0.spec.mounts.append(MountSpec(destination: "/a", type: "nosuch", source: "x")) }),
    ("no destination", { $0.spec.mounts.append(MountSpec(destination: "", type: "tmpfs", source: "x")) }),
    ("mapping without mappings", { $0.spec.mounts.append(bind(["bind", "idmap"])) }),
    (
      "mapping of users only",
      {
        var mount = bind(["bind"])
        mount.uidMappings = [LinuxIDMapping(containerID: 0, hostID: 5, size: 1)]
        $0.spec.mounts.append(mount)
      }
    ),
    (
      "mapping of a tmpfs",
      {
        $0.spec.mounts.append(MountSpec(destination: "/a", type: "tmpfs", source: "x", options: ["idmap"]))
      }
    ),
    (
      "mappings that overlap",
      {
        var mount = bind(["bind"])
        let twice = LinuxIDMapping(containerID: 0, hostID: 5, size: 2)
        (mount.uidMappings, mount.gidMappings) = ([twice, twice], [twice])
        $0.spec.mounts.append(mount)
      }
    ),
    ("copying up a bind", { $0.spec.mounts.append(bind(["bind", "tmpcopyup"])) }),
    ("remounting nothing", { $0.spec.mounts.append(MountSpec(destination: "/no/such", options: ["remount"])) }),
    ("remounting with data", { $0.spec.mounts.append(MountSpec(destination: "/", options: ["remount", "size=5"])) }),
    (
      "mount below a file",
      {
        $0.spec.mounts.append(MountSpec(destination: "/etc/passwd/x", type: "tmpfs", source: "x"))
      }
    ),
    ("device", { $0.spec.linux?.devices = [LinuxDevice(path: "/dev/x", type: "q")] }),
    ("cgroup path", { $0.spec.linux?.cgroupsPath = "a/../../b" }),
    ("memory", { $0.spec.linux?.resources = LinuxResources(memory: LinuxMemory(limit: 100, swap: 50)) }),
    ("unified", { $0.spec.linux?.resources = LinuxResources(hugepageLimits: [LinuxHugepageLimit(pageSize: "3MB")]) }),
    ("limit", { $0.spec.process?.rlimits = [POSIXRlimit(type: "RLIMIT_NONSENSE", hard: 1, soft: 1)] }),
    ("soft above hard", { $0.spec.process?.rlimits = [POSIXRlimit(type: "RLIMIT_NOFILE", hard: 1, soft: 2)] }),
    ("capability", { $0.spec.process?.capabilities?.effective = ["CAP_NO"] }),
    ("effective without permitted", { $0.spec.process?.capabilities?.permitted = [] }),
    ("user", { $0.user = "nobody" }),
    ("directory", { $0.spec.process?.cwd = "/nowhere" }),
    ("program", { $0.spec.process?.args = ["nosuch"] }),
    ("seccomp", { $0.spec.linux?.seccomp = LinuxSeccomp(defaultAction: "x") }),
    ("sysctl", { $0.spec.linux?.sysctl = ["net.no.such": "1"] }),
    ("relative hook", { $0.spec.hooks = Hooks(prestart: [Hook(path: "bin/true")]) }),
    ("hook without time", { $0.spec.hooks = Hooks(poststop: [Hook(path: "/bin/true", timeout: 0)]) }),
    ("missing hook", { $0.spec.hooks = Hooks(createContainer: [Hook(path: "/no/such")]) }),
    ("failing hook", { $0.spec.hooks = Hooks(createContainer: [Hook(path: "/bin/false")]) }),
    ("failing start hook", { $0.spec.hooks = Hooks(startContainer: [Hook(path: "/bin/false")]) }),
    ("hook of the caller", { $0.runtimeHooks = { (_) throws(ApusError) in throw ApusError(.internal, "no") } }),
    ("made", { $0.whenMade = { (_, _) throws(ApusError) in throw ApusError(.internal, "no") } }),
    ("personality", { $0.spec.linux?.personality = LinuxPersonality(domain: "LINUX64") }),
    ("personality's flag", { $0.spec.linux?.personality = LinuxPersonality(domain: "LINUX", flags: ["x"]) }),
    ("label", { $0.spec.process?.apparmorProfile = "nosuch" }),
    ("context", { $0.spec.process?.selinuxLabel = "system_u:system_r:container_t:s0" }),
    ("mount context", { $0.spec.linux?.mountLabel = "system_u:object_r:container_file_t:s0" }),
    ("mappings", { $0.spec.linux?.namespaces.append(LinuxNamespace(type: "user")) }),
    ("mappings of nobody", { $0.spec.linux?.uidMappings = [LinuxIDMapping(containerID: 0, hostID: 1, size: 1)] }),
    ("offsets", { $0.spec.linux?.timeOffsets = ["boottime": LinuxTimeOffset(secs: 1)] }),
    (
      "clock",
      {
        $0.spec.linux?.namespaces.append(LinuxNamespace(type: "time"))
        $0.spec.linux?.timeOffsets = ["realtime": LinuxTimeOffset(secs: 1)]
      }
    ),
    ("version", { $0.spec.ociVersion = "2.0.0" }),
    ("no version", { $0.spec.ociVersion = "" }),
    ("relative directory", { $0.spec.process?.cwd = "tmp" }),
    ("OOM score", { $0.spec.process?.oomScoreAdj = 1001 }),
    ("mask", { $0.spec.process?.user.umask = 0o1777 }),
    (
      "limit twice",
      {
        $0.spec.process?.rlimits = [POSIXRlimit(type: "RLIMIT_CORE"), POSIXRlimit(type: "RLIMIT_CORE")]
      }
    ),
    ("scheduler", { $0.spec.process?.scheduler = Scheduler(policy: "SCHED_NONSENSE") }),
    ("ISO", { $0.spec.process?.scheduler = Scheduler(policy: "SCHED_ISO") }),
    ("scheduler's flag", { $0.spec.process?.scheduler = Scheduler(policy: "SCHED_BATCH", flags: ["x"]) }),
    ("period of no deadline", { $0.spec.process?.scheduler = Scheduler(policy: "SCHED_BATCH", period: 7) }),
    ("I/O class", { $0.spec.process?.ioPriority = LinuxIOPriority(class: "x") }),
    ("I/O priority", { $0.spec.process?.ioPriority = LinuxIOPriority(class: "IOPRIO_CLASS_BE", priority: 8) }),
    ("memory policy", { $0.spec.linux?.memoryPolicy = LinuxMemoryPolicy(mode: "MPOL_X") }),
    ("memory nodes", { $0.spec.linux?.memoryPolicy = LinuxMemoryPolicy(mode: "MPOL_BIND", nodes: "3-1") }),
    ("network devices", { $0.spec.linux?.netDevices = ["eth0": LinuxNetDevice()] }),
    ("resource control", { $0.spec.linux?.intelRdt = LinuxIntelRdt(closID: "x") }),
    ("propagation", { $0.spec.linux?.rootfsPropagation = "sideways" }),
    ("masked path", { $0.spec.linux?.maskedPaths = ["proc"] }),
    ("read-only path", { $0.spec.linux?.readonlyPaths = ["../proc"] }),
    ("long name", { $0.spec.hostname = String(repeating: "n", count: 65) }),
    ("device number", { $0.spec.linux?.devices = [LinuxDevice(path: "/dev/x", type: "c", major: 1 << 40)] }),
    ("device path", { $0.spec.linux?.devices = [LinuxDevice(path: "/dev/", type: "c")] }),
    ("listener", { $0.spec.linux?.seccomp = notifying("getppid", path: "") }),
    ("listener of write", { $0.spec.linux?.seccomp = notifying("write", path: "/x") }),
    ("nobody listens", { $0.spec.linux?.seccomp = notifying("getppid", path: "/no/such/socket") }),
    ("notify by default", { $0.spec.linux?.seccomp = LinuxSeccomp(defaultAction: "SCMP_ACT_NOTIFY") }),
    (
      "metadata for nobody",
      {
        $0.spec.linux?.seccomp = LinuxSeccomp(defaultAction: "SCMP_ACT_ALLOW", listenerMetadata: "x")
      }
    ),
    (
      "errno of allowing",
      {
        $0.spec.linux?.seccomp = LinuxSeccomp(defaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: 1)
      }
    ),
    (
      "rule without names",
      {
        $0.spec.linux?.seccomp = LinuxSeccomp(
          defaultAction: "SCMP_ACT_ALLOW", syscalls: [LinuxSyscall(action: "SCMP_ACT_ERRNO")])
      }
    ),
    ("network class", { $0.spec.linux?.resources = LinuxResources(network: LinuxNetwork(classID: 5)) }),
    ("RDMA", { $0.spec.linux?.resources = LinuxResources(rdma: ["mlx5_1": LinuxRdma(hcaHandles: 3)]) }),
    ("unified keys", { $0.spec.linux?.resources = LinuxResources(unified: ["../x": "1"]) }),
  ]
  for (name, change) in changes {
    let error: ApusError
    do { error = try box.failure(line: 0, change) } catch let mismatch as Mismatch {
      throw Mismatch(description: "\(name): \(mismatch.description)")
    }
    try expect(!error.message.isEmpty && !error.message.contains("ApusError"), name)
    let after = try Footprint(box)
    try expect(before == after, "\(name) (\(error)) left behind: \(before) became \(after)")
    if CommandLine.arguments.contains("verbose") { print("  \(name): \(error.code) \(error)") }
  }
  // Who is in the group already is not touched by the failure of somebody who wanted to join.
  let first = try box.start()
  for change in [{ $0.user = "nobody" }, { $0.spec.process?.args = ["nosuch"] }]
    as [(inout ContainerConfiguration) -> Void]
  {
    _ = try box.failure(["true"], change)
    try expectEqual(try first.processes(), [first.process])
  }
  try box.end(first)
  // Created and never started, then given up.
  let null = try Files.open("/dev/null", flags: O_RDWR)
  let container = try box.create(
    box.configuration(
      ["true"], streams: .descriptors(input: null.raw, output: null.raw, error: null.raw)))
  try box.end(container)
}

func cycles(_ box: Box) throws {
  let before = try Footprint(box)
  for _ in 0..<30 {
    try expectEqual(try box.run(["true"]).code, 0)
    let container = try box.start()
    try expectEqual(try box.exec(container, ["true"]).code, 0)
    _ = try? box.exec(container, ["nosuch"])
    try box.end(container)
  }
  let after = try Footprint(box)
  try expect(before == after, "left behind: \(before) became \(after)")
}
