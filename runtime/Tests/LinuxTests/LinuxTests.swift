import Errors
import Glibc
import Testing

@testable import Linux

@Suite struct FailureTests {
  @Test func namesStageAndReason() {
    let error = ApusError(errno: ENOENT, "cannot open /x")
    #expect(error.message == "cannot open /x: no such file or directory")
    #expect(error.code == .notFound && error.errno == ENOENT)
    #expect(ApusError(.internal, "x").errno == nil)
  }

  @Test func codes() {
    #expect(ErrorCode(errno: EPERM) == .permissionDenied)
    #expect(ErrorCode(errno: ENOSPC) == .resourceExhausted)
    #expect(ErrorCode(errno: EBUSY) == .conflict)
    #expect(ErrorCode(errno: EINVAL) == .invalidArgument)
    #expect(ErrorCode(errno: EIO) == .internal)
  }

  @Test func checksResults() throws {
    #expect(try check(7 as Int32, "unused") == 7)
    errno = EACCES
    #expect(throws: ApusError.self) { try check(-1 as Int32, "stage") }
  }
}

@Suite struct SignalTests {
  @Test(arguments: [
    ("TERM", 15), ("SIGTERM", 15), ("sigkill", 9), ("9", 9), ("RTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX", 64),
    ("RTMAX-1", 63), ("IOT", 6), ("winch", 28),
  ]) func numbers(name: String, number: Int32) {
    #expect(Signal.number(named: name) == number)
  }

  @Test(arguments: ["", "NOPE", "0", "-1", "65", "99999999999", "RTMIN+31", "RTMAX+1", "SIG"])
  func unknown(name: String) {
    #expect(Signal.number(named: name) == nil)
  }

  @Test func names() {
    #expect(Signal.name(of: 15) == "SIGTERM")
    #expect(Signal.name(of: 6) == "SIGABRT")
    #expect(Signal.name(of: 34) == "SIGRTMIN")
    #expect(Signal.name(of: 40) == "SIGRTMIN+6")
    #expect(Signal.name(of: 0) == nil)
  }

  @Test func exitStatus() {
    #expect(ExitStatus(waitStatus: 42 << 8) == ExitStatus(waitStatus: 42 << 8))
    #expect(ExitStatus(waitStatus: 42 << 8).code == 42)
    #expect(ExitStatus(waitStatus: 9).code == 137)
    #expect(ExitStatus(waitStatus: 9 | 0x80).signal == 9)
  }
}

@Suite struct CapabilityTests {
  @Test func namesAndNumbers() throws {
    #expect(Capabilities(named: "CAP_CHOWN")?.rawValue == 1)
    #expect(Capabilities(named: "net_raw")?.rawValue == 1 << 13)
    #expect(Capabilities(named: "CAP_CHECKPOINT_RESTORE")?.rawValue == 1 << 40)
    #expect(Capabilities(named: "CAP_NOPE") == nil)
    let docker = [
      "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
      "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
      "CAP_AUDIT_WRITE",
    ]
    let set = try Capabilities(names: docker)
    #expect(set.rawValue == 0xa804_25fb)
    #expect(Set(set.capabilityNames) == Set(docker))
    #expect(Capabilities.all.capabilityNames.count == Capabilities.count)
  }

  @Test func unknownNameIsNamed() {
    do throws(ApusError) {
      _ = try Capabilities(names: ["CAP_KILL", "CAP_WRONG"])
      Issue.record("it worked")
    } catch {
      #expect(error.code == .invalidArgument && error.message.contains("CAP_WRONG"))
    }
  }
}

@Suite struct ResourceLimitTests {
  @Test func names() throws {
    #expect(ResourceLimit(named: "RLIMIT_NOFILE")?.resource == 7)
    #expect(ResourceLimit(named: "nproc")?.resource == 6)
    #expect(ResourceLimit(named: "RLIMIT_X") == nil)
    let limit = try #require(ResourceLimit(named: "core"))
    #expect(try limit.current().soft <= limit.current().hard)
  }
}

@Suite struct MountTableTests {
  @Test func reads() throws {
    let text = """
      22 1 0:21 / /proc rw,nosuid shared:5 master:2 - proc proc rw
      36 35 98:0 /mnt1 /mnt\\0402/a\\134b rw,noatime - ext3 /dev/root rw,errors=continue
      40 22 0:33 / /empty rw - tmpfs  rw
      garbage
      1 2 x / / rw - a b c
      """
    let entries = Mounts.parse(mountinfo: text)
    #expect(entries.count == 3)
    #expect(entries[0].tags == ["shared:5", "master:2"] && entries[0].type == "proc")
    #expect(entries[1].mountPoint == "/mnt 2/a\\b" && entries[1].root == "/mnt1" && entries[1].major == 98)
    #expect(entries[1].superOptions == "rw,errors=continue")
    #expect(entries[2].source == "" && entries[2].superOptions == "rw")
  }

  @Test func ownTableHasARoot() throws {
    #expect(try Mounts.list().contains { $0.mountPoint == "/" })
  }

  @Test func escapes() {
    #expect(Mounts.escape("/a:b\\c") == "/a\\:b\\\\c")
  }
}

@Suite struct DescriptorTests {
  @Test func closesAndReleases() throws {
    var number: Int32 = -1
    do {
      let file = try Files.open("/dev/null", flags: O_RDONLY)
      number = file.raw
      #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
    }
    let kept = try Files.open("/dev/null", flags: O_RDONLY).release()
    #expect(fcntl(kept, F_GETFD) >= 0)
    close(kept)
    _ = number
  }

  @Test func passesDescriptorsAndKeepsMessages() throws {
    let pair = try UnixSocket.pair(.packets)
    let file = try Files.open("/dev/null", flags: O_RDONLY)
    try UnixSocket.send([1, 2, 3], descriptors: [file.raw], on: pair.first.raw)
    try UnixSocket.send([4], on: pair.first.raw)
    let (bytes, descriptors) = try UnixSocket.receive(on: pair.second.raw, limit: 100, descriptorLimit: 4)
    #expect(bytes == [1, 2, 3] && descriptors.count == 1)
    for descriptor in descriptors { close(descriptor) }
    #expect(try UnixSocket.receive(on: pair.second.raw, limit: 100).bytes == [4])
    // A peer that sends more descriptors than are wanted fills nobody's table.
    try UnixSocket.send([5], descriptors: [file.raw, file.raw, file.raw], on: pair.first.raw)
    let rest = try UnixSocket.receive(on: pair.second.raw, limit: 100, descriptorLimit: 1)
    #expect(rest.descriptors.count == 1)
    for descriptor in rest.descriptors { close(descriptor) }
  }

  @Test func listensAtLongPaths() throws {
    let directory = "/tmp/apus-linux-tests-\(getpid())/" + String(repeating: "d", count: 120)
    try Files.makeDirectories(directory)
    defer { _ = try? Spawn.process("/bin/rm", arguments: ["rm", "-rf", "/tmp/apus-linux-tests-\(getpid())"]) }
    let listener = try UnixSocket.listen(at: "\(directory)/socket")
    let client = try UnixSocket.connect(to: "\(directory)/socket")
    let isAccepted = try UnixSocket.accept(listener.raw) != nil
    #expect(isAccepted)
    #expect(try UnixSocket.peer(of: client.raw).process == getpid())
  }

  @Test func pollsAndCounts() throws {
    var poller = try Poller()
    let counter = try EventDescriptors.counter()
    try poller.add(counter.raw, .readable, token: 77)
    #expect(try poller.wait(milliseconds: 0).isEmpty)
    EventDescriptors.signal(counter: counter.raw, by: 3)
    let ready = try poller.wait(milliseconds: 1000)
    #expect(ready.map(\.token) == [77] && ready[0].events.contains(.readable))
    #expect(EventDescriptors.drain(counter.raw) == 3)
    let timer = try EventDescriptors.timer()
    try EventDescriptors.set(timer: timer.raw, milliseconds: 1)
    try poller.add(timer.raw, .readable, token: 78)
    #expect(try poller.wait(milliseconds: 1000).first?.token == 78)
  }
}

@Suite struct FilesTests {
  let directory = "/tmp/apus-files-tests-\(getpid())"

  @Test func staysInside() throws {
    try Files.makeDirectories("\(directory)/root/etc")
    defer { _ = try? Spawn.process("/bin/rm", arguments: ["rm", "-rf", directory]) }
    let root = try Files.open("\(directory)/root", flags: O_PATH | O_DIRECTORY)
    symlink("/../../../../etc/passwd", "\(directory)/root/etc/escape")
    symlink("/proc/self/root/etc/passwd", "\(directory)/root/etc/magic")
    for name in ["etc/escape", "etc/magic", "../../etc/passwd", "/etc/passwd"] {
      #expect(throws: ApusError.self) { _ = try Files.read(at: root.raw, path: name) }
    }
    try Files.writeAtomically([1, 2, 3], to: "\(directory)/root/etc/file", mode: 0o600)
    #expect(try Files.read(at: root.raw, path: "/etc/file") == [1, 2, 3])
    #expect(throws: ApusError.self) { _ = try Files.read(at: root.raw, path: "etc/file", limit: 2) }
    #expect(try Files.read(at: root.raw, path: "etc/file", limit: 3).count == 3)
    let etc = try Files.open(at: root.raw, path: "etc", flags: O_RDONLY | O_DIRECTORY)
    #expect(try Set(Files.entries(of: etc.raw).map(\.name)) == ["escape", "magic", "file"])
    #expect(throws: ApusError.self) { _ = try Files.entries(of: etc.raw, limit: 2) }
  }

  @Test func spawnsWithTheDescriptorsGiven() throws {
    var output = try Pipe()
    let null = try Files.open("/dev/null", flags: O_RDWR)
    let child = try Spawn.process(
      "/bin/sh", arguments: ["sh", "-c", "readlink /proc/self/fd/0; echo $A"],
      environment: ["A=b", "PATH=/usr/bin:/bin"], descriptors: [(null.raw, 0), (output.writeEnd.raw, 1), (1, 2)])
    output.writeEnd = try Files.open("/dev/null", flags: O_RDONLY)
    #expect(try Files.read(descriptor: output.readEnd.raw, limit: 100) == Array("/dev/null\nb\n".utf8))
    #expect(try Processes.wait(for: child)?.code == 0)
  }

  @Test func knowsItsOwnStart() throws {
    let start = try Processes.startTime(of: getpid())
    #expect(Processes.isRunning(getpid(), startTime: start))
    #expect(!Processes.isRunning(getpid(), startTime: start + 1))
  }
}
