import Errors
import Glibc
import Linux
import RuntimeSpec
import Testing

@testable import Container

private func refusal(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return (error as? ApusError)?.message
  }
}

@Suite struct UserDatabaseTests {
  private let database = UserDatabase(
    passwd: Array(
      """
      # a comment
      root:x:0:0:root:/root:/bin/sh
      broken
      a:b:c:d
      bob:x:1000:1000::/home/bob:/bin/sh
      short:x:5:6
      bob:x:2000:2000::/second:/bin/sh
      12:x:77:78::/twelve:/bin/sh
      """.utf8),
    groups: Array("root:x:0:\naudio:x:29:bob,root\nempty:x:30:,\nvideo:x:44:bob\n::::\n700:x:55:\nx:y:zz:bob\n".utf8))

  @Test func names() throws {
    #expect(
      try database.resolve("bob", additionalGroups: [])
        == ResolvedUser(user: 1000, group: 1000, supplementary: [1000, 29, 44], home: "/home/bob"))
    #expect(
      try database.resolve("", additionalGroups: ["video"])
        == ResolvedUser(user: 0, group: 0, supplementary: [0, 29, 44], home: "/root"))
    #expect(try database.resolve("short", additionalGroups: []).home == "/")
    // A user called like a number is meant by it.
    #expect(try database.resolve("12", additionalGroups: []).user == 77)
    #expect(try database.resolve("bob:700", additionalGroups: []).group == 55)
  }

  @Test func numbers() throws {
    #expect(
      try database.resolve("9999:8888", additionalGroups: ["29", "29"])
        == ResolvedUser(user: 9999, group: 8888, supplementary: [8888, 29], home: "/"))
    #expect(try database.resolve("1000:", additionalGroups: []).supplementary == [1000, 29, 44])
  }

  @Test(arguments: ["alice", "bob:alice", "-1", "4294967296", "0x10", "bob:-5"]) func refuses(text: String) {
    #expect(throws: ApusError.self) { _ = try database.resolve(text, additionalGroups: []) }
  }

  @Test func specification() throws {
    let spec = UserSpec(uid: 1000, gid: 5, additionalGids: [6])
    #expect(
      try database.resolve(spec, additionalGroups: ["audio"])
        == ResolvedUser(user: 1000, group: 5, supplementary: [6, 29], home: "/home/bob"))
  }
}

@Suite struct MountOptionsTests {
  @Test func sorts() throws {
    let options = MountOptions(
      ["rbind", "ro", "nosuid", "rw", "rro", "rslave", "size=5m", "mode=1777", "noatime", "relatime"])
    #expect(options.bind && options.recursiveBind)
    #expect(
      options.set == .noSetUserID && options.clear == [.readOnly, .accessTimeMask] && options.recursiveSet == .readOnly)
    #expect(options.propagation == .slave && options.recursivePropagation)
    #expect(options.data == ["size=5m", "mode=1777"])
    let others = MountOptions(["ridmap", "tmpcopyup", "remount", "rnoatime", "sync"])
    #expect(others.idMapped && others.recursivelyMapped && others.copiesUp && others.remounts)
    #expect(others.recursiveSet == .noAccessTime && others.data == ["sync"])
    #expect(MountOptions.names.contains("rnosymfollow") && MountOptions.names.contains("runbindable"))
  }

  @Test func mounts() throws {
    #expect(try PlannedMount(MountSpec(destination: "x", type: "tmpfs")).destination == "/x")
    #expect(refusal { _ = try PlannedMount(MountSpec(destination: "/x", type: "bind", source: "y")) } != nil)
    let relative = MountSpec(destination: "/x", type: "bind", source: "y")
    #expect(try PlannedMount(relative, bundle: "/b").source == "/b/y")
    #expect(refusal { _ = try PlannedMount(MountSpec(destination: "/x")) } != nil)
    #expect(try PlannedMount(MountSpec(destination: "/x", source: "/y", options: ["bind"])).type == "bind")
  }
}

@Suite struct ChannelTests {
  @Test func errorsTravel() {
    let exec = ApusError(.invalidArgument, "exec: no", cause: ExecFailure(program: "prög", errno: ENOENT))
    let back = Channel.decode(Channel.encode(exec)[...])
    #expect(back.code == .invalidArgument && back.message == "exec: no")
    #expect(back.cause as? ExecFailure == ExecFailure(program: "prög", errno: ENOENT))
    #expect((back.cause as? ExecFailure)?.exitStatus == 127)
    let system = Channel.decode(Channel.encode(ApusError(errno: EPERM, "cannot do it"))[...])
    #expect(system.errno == EPERM && system.message == "cannot do it: operation not permitted")
    let long = ApusError(.internal, String(repeating: "ü", count: 50000))
    #expect(Channel.encode(long).count < Channel.maximumLength)
  }

  @Test func garbageIsAnError() {
    for length in 0..<64 {
      #expect(!Channel.decode([UInt8](repeating: 0xee, count: length)[...]).message.isEmpty)
    }
  }
}

@Suite struct NamespaceTests {
  private func section(_ kinds: [String]) -> LinuxSection {
    LinuxSection(namespaces: kinds.map { LinuxNamespace(type: $0) })
  }

  @Test func flags() throws {
    let namespaces = try Namespaces(section(["mount", "pid", "cgroup", "time"]))
    #expect(namespaces.cloneFlags == 0x2002_0000)
    #expect(namespaces.joinedByExec == 0x0202_0080)
    var joining = section(["mount"])
    joining.namespaces.append(LinuxNamespace(type: "network", path: "/n"))
    #expect(try Namespaces(joining).joins(.network) == "/n")
    #expect(try Namespaces(joining).cloneFlags == 0x0002_0000)
  }

  @Test(arguments: [["mount", "mount"], ["mount", "x"], ["mount", "user"]]) func refuses(kinds: [String]) {
    #expect(refusal { _ = try Namespaces(section(kinds)) } != nil)
  }

  @Test func sysctls() throws {
    let own = try Namespaces(section(["mount", "network"]))
    #expect(Sysctl.path(of: "net.ipv4.ip_forward") == "net/ipv4/ip_forward")
    #expect(Sysctl.path(of: "net.ipv4.conf.eth0/1.x") == "net/ipv4/conf/eth0.1/x")
    #expect(Sysctl.path(of: "net/ipv4/conf/eth0.1/x") == "net/ipv4/conf/eth0.1/x")
    #expect(Sysctl.isNamespaced("net.core.somaxconn", namespaces: own))
    #expect(!Sysctl.isNamespaced("kernel.shmmax", namespaces: own))
    #expect(!Sysctl.isNamespaced("kernel.core_pattern", namespaces: own))
    #expect(!Sysctl.isNamespaced("vm.swappiness", namespaces: own))
  }
}

@Suite struct PathTests {
  @Test func splits() {
    #expect(RootTree.split("/a/b/c/") == ("/a/b", "c"))
    #expect(RootTree.split("/a") == ("/", "a"))
    #expect(RootTree.split("a") == ("/", "a"))
    #expect(RootTree.split("/").name.isEmpty)
    #expect(RootTree.relative("//a/b") == "a/b" && RootTree.relative("/") == ".")
  }
}

@Suite struct SeccompTests {
  private let profile = LinuxSeccomp(
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [LinuxSyscall(names: ["read", "write", "nosuchcall"], action: "SCMP_ACT_ALLOW")])

  @Test func compiles() throws {
    let program = try Seccomp.compile(profile)
    #expect(program.count % 8 == 0 && program.count > 6 * 8)
    // The first six instructions answer ENOSYS to calls newer than `write`, number 1.
    #expect(program[32..<40] == [0x25, 0, 0, 1, 1, 0, 0, 0])
    #expect(program[40..<48] == [0x06, 0, 0, 0, UInt8(ENOSYS), 0, 5, 0])
    let open = try Seccomp.compile(LinuxSeccomp(defaultAction: "SCMP_ACT_ALLOW"))
    #expect(open.count < program.count)
  }

  @Test func actions() throws {
    #expect(try Seccomp.action("SCMP_ACT_ERRNO", errno: nil) == 0x0005_0001)
    #expect(try Seccomp.action("SCMP_ACT_ERRNO", errno: 38) == 0x0005_0026)
    #expect(try Seccomp.action("SCMP_ACT_KILL_PROCESS", errno: nil) == 0x8000_0000)
    #expect(refusal { _ = try Seccomp.action("X", errno: nil) } != nil)
    #expect(try Seccomp.action("SCMP_ACT_NOTIFY", errno: nil) == 0x7fc0_0000)
    #expect(refusal { _ = try Seccomp.action("SCMP_ACT_ALLOW", errno: 1) } != nil)
    let notify = LinuxSeccomp(
      flags: ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
      syscalls: [LinuxSyscall(names: ["mount"], action: "SCMP_ACT_NOTIFY")])
    #expect(try Seccomp.flags(notify) == 40)
    #expect(try Seccomp.flags(LinuxSeccomp()) == 4)
    #expect(try Seccomp.flags(LinuxSeccomp(flags: ["SECCOMP_FILTER_FLAG_LOG"])) == 2)
  }

  @Test func documentsAreCompiledOnce() throws {
    let directory = "/tmp/apus-seccomp-\(getpid())"
    try Files.makeDirectory(directory, mode: 0o700)
    defer {
      for name in ["one", "one.bpf", "two"] { unlink("\(directory)/\(name)") }
      rmdir(directory)
    }
    try Files.writeAtomically(profile.json(), to: "\(directory)/one", mode: 0o600)
    let made = try Seccomp.program(document: "\(directory)/one")
    #expect(try (made.program == Seccomp.compile(profile)) && made.flags == 4)
    // From here on the compiled one alone is read.
    unlink("\(directory)/one")
    #expect(try Seccomp.program(document: "\(directory)/one").program == made.program)
    // A damaged one is of no use.
    try Files.writeAtomically([1, 2, 3], to: "\(directory)/one.bpf", mode: 0o600)
    #expect(refusal { _ = try Seccomp.program(document: "\(directory)/one") } != nil)
    let agent = LinuxSeccomp(
      defaultAction: "SCMP_ACT_ALLOW", syscalls: [LinuxSyscall(names: ["mount"], action: "SCMP_ACT_NOTIFY")])
    try Files.writeAtomically(agent.json(), to: "\(directory)/two", mode: 0o600)
    #expect(refusal { _ = try Seccomp.program(document: "\(directory)/two") }?.contains("agent") == true)
  }

  @Test func cacheComparesEveryByte() {
    let key: [UInt8] = [1, 2, 3]
    let program = [UInt8](repeating: 7, count: 16)
    let file = key + [3, 0, 0, 0, 0, 0, 0, 0] + program
    #expect(Seccomp.cached(file, key: key) == program)
    for index in 0..<11 {
      var damaged = file
      damaged[index] ^= 1
      #expect(Seccomp.cached(damaged, key: key) == nil)
    }
    #expect(Seccomp.cached(Array(file.dropLast()), key: key) == nil)
    #expect(Seccomp.cached(Array(file.prefix(11)), key: key) == nil)
    #expect(Seccomp.cached([], key: key) == nil)
    #expect(Seccomp.cached(file, key: [1, 2]) == nil)
  }
}

@Suite struct DeviceRuleTests {
  @Test func maps() throws {
    #expect(
      try CgroupResources.DeviceRule(LinuxDeviceCgroup(allow: true, type: "c", major: -1, minor: 3, access: "r"))
        == .init(allow: true, kind: .character, minor: 3, access: "r"))
    #expect(try CgroupResources.DeviceRule(LinuxDeviceCgroup()) == .init(allow: false))
    #expect(refusal { _ = try CgroupResources.DeviceRule(LinuxDeviceCgroup(type: "x")) } != nil)
    #expect(refusal { _ = try CgroupResources.DeviceRule(LinuxDeviceCgroup(access: "rx")) } != nil)
  }
}

@Suite struct ProcessorListTests {
  @Test func reads() throws {
    #expect(try ProcessorList("0-3,7", field: "f").mask == [0x8f, 0, 0, 0, 0, 0, 0, 0])
    #expect(try ProcessorList("64", field: "f").mask == [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
  }

  @Test(arguments: ["", "x", "3-1", "1-", "-1", ",", "1,,2", "8192", "99999999999", "0-70000"]) func refuses(
    text: String
  ) {
    #expect(throws: ApusError.self) { _ = try ProcessorList(text, field: "f") }
  }
}
