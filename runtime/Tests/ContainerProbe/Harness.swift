import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec
import SandboxProtocol

import struct Container.RootFilesystem

/// Why a scenario failed.
struct Mismatch: Error, CustomStringConvertible {
  let description: String
}

func expect(_ condition: Bool, _ what: @autoclosure () throws -> String, line: Int = #line) throws {
  if !condition { throw Mismatch(description: "line \(line): \(try what())") }
}

func expectEqual<Value: Equatable>(_ found: Value, _ wanted: Value, line: Int = #line) throws {
  if found != wanted { throw Mismatch(description: "line \(line): found \(found), wanted \(wanted)") }
}

/// A directory with a busybox root, and containers made of it.
struct Box {
  let directory: String
  let cgroupParent: String

  /// Of another process.
  init(directory: String, cgroupParent: String) {
    self.directory = directory
    self.cgroupParent = cgroupParent
  }

  init(_ scenario: String) throws {
    directory = "/tmp/apus-probe-\(getpid())"
    cgroupParent = "apus-probe-\(getpid())"
    for name in ["root/bin", "root/etc", "root/tmp", "root/home/bob", "upper", "work", "cache", "source/inner"] {
      try Files.makeDirectories("\(directory)/\(name)")
    }
    let busybox = try Files.read("/bin/busybox", limit: 16 << 20)
    try put("root/bin/busybox", busybox, mode: 0o755)
    for tool in [
      "sh", "cat", "id", "ls", "mkdir", "mount", "umount", "sleep", "true", "false", "stat", "hostname", "readlink",
      "tty",
      "stty", "touch", "rm", "ps", "echo", "dd", "head", "ip", "grep", "mknod", "chmod", "chown", "wc", "kill", "test",
      "dmesg",
      "pwd", "env", "date", "sed", "unshare", "cut", "sort", "setsid", "sysctl", "ulimit", "tr", "tail", "nsenter",
    ] {
      symlink("busybox", "\(directory)/root/bin/\(tool)")
    }
    try put(
      "root/etc/passwd",
      Array("root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000:Bob:/home/bob:/bin/sh\n12:x:77:78::/:/bin/sh\n".utf8))
    try put("root/etc/group", Array("root:x:0:\naudio:x:29:bob,root\nvideo:x:44:bob\nbob:x:1000:\n".utf8))
    chown("\(directory)/root/home/bob", 1000, 1000)
    try put("source/file", Array("from the host\n".utf8))
  }

  func put(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws {
    let file = try Files.open("\(directory)/\(name)", flags: O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
    try Files.write(bytes, to: file.raw)
  }

  /// Removes the directory. Nothing may be mounted below it by now.
  func remove() {
    for hierarchy in CgroupNames.all { rmdir("/sys/fs/cgroup/\(hierarchy)/\(cgroupParent)") }
    _ = try? Spawn.run("/bin/rm", ["-rf", directory])
  }

  static let capabilities = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
  ]

  /// What Docker asks for by default, less the filter.
  func spec(_ arguments: [String]) -> Spec {
    var spec = Spec()
    spec.process = ProcessSpec(
      args: arguments, env: ["PATH=/bin:/usr/bin"], cwd: "/",
      capabilities: LinuxCapabilities(
        bounding: Self.capabilities, effective: Self.capabilities, permitted: Self.capabilities))
    spec.hostname = "box"
    spec.mounts = [
      MountSpec(destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]),
      MountSpec(
        destination: "/dev", type: "tmpfs", source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
      MountSpec(
        destination: "/dev/pts", type: "devpts", source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
      MountSpec(destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]),
      MountSpec(
        destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro", "nosuid", "noexec", "nodev"]),
      MountSpec(
        destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]),
      MountSpec(
        destination: "/dev/shm", type: "tmpfs", source: "shm",
        options: ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
    ]
    var linux = LinuxSection()
    linux.namespaces = ["mount", "pid", "ipc", "uts", "network", "cgroup"].map { LinuxNamespace(type: $0) }
    linux.maskedPaths = [
      "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi",
      "/sys/firmware", "/proc/no/such",
    ]
    linux.readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    spec.linux = linux
    return spec
  }

  func configuration(
    _ arguments: [String], id: String = "one", streams: ProcessStreams,
    _ change: (inout ContainerConfiguration) -> Void = { _ in }
  ) -> ContainerConfiguration {
    var configuration = ContainerConfiguration(
      id: id, spec: spec(arguments),
      root: RootFilesystem(
        lower: ["\(directory)/root"], upper: "\(directory)/upper", work: "\(directory)/work"),
      streams: streams, seccompCacheDirectory: "\(directory)/cache", endsWithCaller: true)
    configuration.spec.linux?.cgroupsPath = "\(cgroupParent)/\(id)"
    change(&configuration)
    return configuration
  }

  /// Runs a container to its end: exit code, and what it wrote to both streams.
  @discardableResult
  func run(
    _ arguments: [String], id: String = "one", _ change: (inout ContainerConfiguration) -> Void = { _ in }
  ) throws -> (code: Int32, output: String) {
    let null = try Files.open("/dev/null", flags: O_RDWR)
    var pipe = try Pipe()
    let streams = ProcessStreams.descriptors(input: null.raw, output: pipe.writeEnd.raw, error: pipe.writeEnd.raw)
    let container = try create(configuration(arguments, id: id, streams: streams, change))
    try container.start()
    pipe.writeEnd = OwnedDescriptor(owning: -1)
    let output = try Files.read(descriptor: pipe.readEnd.raw, limit: 1 << 20)
    let status = try Processes.wait(for: container.process)
    try container.killAll()
    try container.removeCgroup()
    return (status?.code ?? -1, String(decoding: output, as: UTF8.self))
  }

  /// The output of a shell script in a container that has to succeed.
  func shell(
    _ script: String, _ change: (inout ContainerConfiguration) -> Void = { _ in }, line: Int = #line
  ) throws -> String {
    let (code, output) = try run(["sh", "-c", script], change)
    if code != 0 { throw Mismatch(description: "line \(line): exit code \(code) of \(script): \(output)") }
    return output
  }

  /// A running container with its streams on the null device.
  func start(
    _ arguments: [String] = ["sleep", "1000"], id: String = "one",
    _ change: (inout ContainerConfiguration) -> Void = { _ in }
  ) throws -> Container {
    let null = try Files.open("/dev/null", flags: O_RDWR)
    let container = try create(
      configuration(
        arguments, id: id, streams: .descriptors(input: null.raw, output: null.raw, error: null.raw), change))
    try container.start()
    return container
  }

  /// Makes a container: at once, or completing one that has been made ahead.
  func create(_ configuration: ContainerConfiguration) throws -> Container {
    guard Self.makesAhead else { return try Container.create(configuration) }
    let usual = self.configuration([], id: configuration.id, streams: .terminal(rows: 0, columns: 0))
    let preparation = try ContainerPreparation(usual, decode: Self.decode)
    var descriptors: [Int32] = []
    if case .descriptors(let input, let output, let error) = configuration.streams {
      descriptors = [input, output, error]
    }
    var request = CreateRequest(
      id: configuration.id, spec: configuration.spec,
      root: configuration.root.map { SandboxProtocol.RootFilesystem(lower: $0.lower, upper: $0.upper, work: $0.work) },
      user: configuration.user, additionalGroups: configuration.additionalGroups,
      createWorkingDirectory: configuration.createWorkingDirectory, useInit: configuration.useInit,
      seccompCacheDirectory: configuration.seccompCacheDirectory)
    if case .terminal(let rows, let columns) = configuration.streams {
      (request.rows, request.columns) = (rows, columns)
    }
    let ahead = try preparation.complete(configuration, request: request.json(), descriptors: descriptors)
    return if let ahead { ahead } else { try Container.create(configuration) }
  }

  static let makesAhead = CommandLine.arguments.contains("ahead")

  private static func decode(_ bytes: [UInt8], _ descriptors: [Int32]) throws(ApusError) -> ContainerConfiguration {
    let request = try CreateRequest(json: bytes, subject: "The request")
    return ContainerConfiguration(
      id: request.id, spec: request.spec,
      root: request.root.map { .init(lower: $0.lower, upper: $0.upper, work: $0.work) }, user: request.user,
      additionalGroups: request.additionalGroups, createWorkingDirectory: request.createWorkingDirectory,
      useInit: request.useInit,
      streams: descriptors.count == 3
        ? .descriptors(input: descriptors[0], output: descriptors[1], error: descriptors[2])
        : .terminal(rows: request.rows, columns: request.columns),
      seccompCacheDirectory: request.seccompCacheDirectory, endsWithCaller: true)
  }

  func end(_ container: Container) throws {
    try container.killAll()
    _ = try Processes.wait(for: container.process)
    try container.removeCgroup()
  }

  /// Runs a process in a running container to its end.
  func exec(
    _ container: Container, _ arguments: [String], _ change: (inout ExecConfiguration) -> Void = { _ in }
  ) throws -> (code: Int32, output: String) {
    let null = try Files.open("/dev/null", flags: O_RDWR)
    var pipe = try Pipe()
    var configuration = ExecConfiguration(
      process: spec(arguments).process ?? ProcessSpec(),
      streams: .descriptors(input: null.raw, output: pipe.writeEnd.raw, error: pipe.writeEnd.raw))
    change(&configuration)
    let process = try container.exec(configuration)
    pipe.writeEnd = OwnedDescriptor(owning: -1)
    let output = try Files.read(descriptor: pipe.readEnd.raw, limit: 1 << 20)
    let status = try Processes.wait(for: process.process)
    return (status?.code ?? -1, String(decoding: output, as: UTF8.self))
  }

  /// The error of something that has to fail, after which nothing may be left.
  func failure(
    _ arguments: [String] = ["true"], line: Int = #line, _ change: (inout ContainerConfiguration) -> Void
  ) throws -> ApusError {
    do {
      let found = try run(arguments, change)
      throw Mismatch(description: "line \(line): it worked: \(found)")
    } catch let error as ApusError {
      return error
    }
  }
}

enum CgroupNames {
  static let all = [
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd", "unified", ".",
  ]
}

extension Spawn {
  /// Runs a program of the host to its end.
  static func run(_ program: String, _ arguments: [String]) throws -> Int32 {
    let process = try Spawn.process(program, arguments: [program] + arguments, newSession: false)
    return try Processes.wait(for: process)?.code ?? -1
  }
}

/// What must be the same before and after.
struct Footprint: Equatable, CustomStringConvertible {
  var descriptors: [String]
  var mounts: [String]
  var cgroups: [String]
  var children: String

  init(_ box: Box) throws {
    let directory = try Files.open("/proc/self/fd", flags: O_RDONLY | O_DIRECTORY)
    let own = directory.raw
    descriptors = try Files.entries(of: own).map(\.name).filter { $0 != "\(own)" }
      .map { "\($0) \((try? Files.readLink("/proc/self/fd/\($0)")) ?? "")" }
    mounts = try Mounts.list().map { "\($0.mountPoint) \($0.type)" }.filter {
      $0.hasPrefix(box.directory) || $0.hasPrefix("/ ") || $0.hasPrefix("/proc")
    }
    cgroups = CgroupNames.all.filter { Files.exists("/sys/fs/cgroup/\($0)/\(box.cgroupParent)/one") }
    children = String(
      decoding: try Files.read("/proc/self/task/\(getpid())/children", limit: 65536), as: UTF8.self)
  }

  var description: String { "\(descriptors) \(mounts.count) mounts, cgroups \(cgroups), children \(children)" }
}
