import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

func basics(_ box: Box) throws {
  let hierarchies = try String(Files.read("/proc/self/cgroup").split(separator: 0x0a).count)
  let out = try box.shell(
    """
    hostname; id -u; pwd; echo $HOME; cat /proc/1/comm; ls /proc/self/fd | wc -l
    stat -c '%t:%T %a' /dev/null; readlink /dev/ptmx; readlink /dev/fd
    grep -c . /proc/interrupts; ls -A /proc/acpi | wc -l
    touch /proc/sys/kernel/panic 2>&1 | grep -c -i read-only
    ip -o addr show lo | grep -c 127.0.0.1
    cat /proc/self/cgroup | grep -c ':/$'
    touch /written && echo ok
    """)
  let lines = out.split(separator: "\n", omittingEmptySubsequences: false).map { String($0) }
  try expectEqual(
    Array(lines.prefix(15)),
    [
      "box", "0", "/", "/root", "sh", "4", "1:3 666", "pts/ptmx", "/proc/self/fd", "0", "0", "1", "1", hierarchies,
      "ok",
    ])
  try expect(Files.exists("\(box.directory)/upper/written"), "the upper directory has the change")
  try expect(!Files.exists("\(box.directory)/root/written"), "the lower directory has not")

  let status = try box.run(["cat", "/proc/self/status"]).output
  try expect(status.contains("CapBnd:\t00000000a80425fb"), "bounding set: \(status)")
  try expect(status.contains("CapEff:\t00000000a80425fb"), "effective set")
  try expect(status.contains("SigIgn:\t0000000000000000"), "no ignored signals: \(status)")
  try expect(status.contains("SigBlk:\t0000000000000000"), "no blocked signals")

  // A single layer without an upper directory is read-only, and needs no overlay.
  try expectEqual(
    try box.run(["touch", "/x"]) {
      $0.root = RootFilesystem(lower: ["\(box.directory)/root"])
      // The mount points cannot be made: they are there.
      for name in ["proc", "dev", "sys"] { mkdir("\(box.directory)/root/\(name)", 0o755) }
    }.code, 1)
  // A plain directory as root.
  try expectEqual(
    try box.run(["touch", "/plain"]) {
      $0.root = nil
      $0.spec.root = Root(path: "\(box.directory)/root")
    }.code, 0)
  try expect(Files.exists("\(box.directory)/root/plain"), "written to the directory itself")
  try expectEqual(try box.run(["touch", "/x"]) { $0.spec.root = Root(readonly: true) }.code, 1)
  // Made with its parents; links of the image stay inside.
  symlink("/made/by/link", "\(box.directory)/root/link")
  try expectEqual(
    try box.shell("pwd") {
      $0.createWorkingDirectory = true
      $0.spec.process?.cwd = "/new/deep/directory"
    }, "/new/deep/directory\n")
}

func users(_ box: Box) throws {
  func identity(_ user: String?, _ groups: [String] = []) throws -> String {
    try box.shell("echo $(id -u):$(id -g):$(cat /proc/self/status | grep Groups | cut -f2) $HOME") {
      $0.user = user
      $0.additionalGroups = groups
    }
  }
  // The primary group is among them too; the kernel sorts them.
  try expectEqual(try identity(""), "0:0:0 29 /root\n")
  try expectEqual(try identity(nil), "0:0: /root\n")
  try expectEqual(try identity("bob"), "1000:1000:29 44 1000 /home/bob\n")
  try expectEqual(try identity("1000"), "1000:1000:29 44 1000 /home/bob\n")
  try expectEqual(try identity("bob:video"), "1000:44:44 /home/bob\n")
  try expectEqual(try identity("bob:7"), "1000:7:7 /home/bob\n")
  try expectEqual(try identity("4321"), "4321:0:0 /\n")
  try expectEqual(try identity("12"), "77:78:78 /\n")
  try expectEqual(try identity("bob", ["video", "500"]), "1000:1000:29 44 500 1000 /home/bob\n")
  try expectEqual(
    try box.failure { $0.user = "nobody" }.message,
    "unable to find user nobody: no matching entries in passwd file")
  try expectEqual(
    try box.failure { $0.user = "bob:staff" }.message,
    "unable to find group staff: no matching entries in group file")
  try expect(try box.failure { $0.user = "-1" }.message.contains("must be in range"), "negative number")
  // A user without rights has no capabilities, and may open its own streams by name.
  let status = try box.shell("cat /proc/self/status; echo again > /dev/stdout") { $0.user = "bob" }
  try expect(status.contains("CapEff:\t0000000000000000") && status.hasSuffix("again\n"), status)
  // The database is a link out of the root, a device, a directory: none of it leads anywhere.
  unlink("\(box.directory)/root/etc/passwd")
  symlink("/../../../../../../etc/passwd", "\(box.directory)/root/etc/passwd")
  try expectEqual(try identity("0"), "0:0:0 /\n")
  unlink("\(box.directory)/root/etc/passwd")
  mkfifo("\(box.directory)/root/etc/passwd", 0o600)
  try expectEqual(try identity("5"), "5:0:0 /\n")
}

func terminal(_ box: Box) throws {
  let container = try box.create(
    box.configuration(
      [
        "sh", "-c",
        "tty; stty size; echo > /dev/console && readlink /proc/self/fd/0; trap 'exit 130' INT; while :; do sleep 0.05; done",
      ],
      streams: .terminal(rows: 30, columns: 101)))
  guard let master = container.takeTerminal() else { throw Mismatch(description: "no terminal") }
  try expect(container.takeTerminal() == nil, "only one")
  try container.start()
  var text = ""
  while text.split(separator: "\r\n").count < 3 || !text.hasSuffix("0\r\n") {
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = read(master.raw, &buffer, 256)
    guard count > 0 else { break }
    text += String(decoding: buffer.prefix(count), as: UTF8.self)
  }
  try expectEqual(text.filter { $0 != "\r\n" }, "/dev/pts/030 101/dev/pts/0")
  usleep(100_000)
  // Ctrl-C reaches the foreground process: the terminal is the controlling one.
  try Files.write([3], to: master.raw)
  let status = try Processes.wait(for: container.process)
  try expectEqual(status?.code, 130)
  try box.end(after: container)

  let running = try box.start()
  var process = try running.exec(
    ExecConfiguration(
      process: box.spec(["sh", "-c", "tty; stty size"]).process ?? ProcessSpec(),
      streams: .terminal(rows: 11, columns: 22)))
  guard let second = process.takeTerminal() else { throw Mismatch(description: "no terminal for exec") }
  _ = try Processes.wait(for: process.process)
  var answer = ""
  while answer.split(separator: "\r\n").count < 2 || !answer.hasSuffix("\r\n") {
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = read(second.raw, &buffer, 256)
    guard count > 0 else { break }
    answer += String(decoding: buffer.prefix(count), as: UTF8.self)
  }
  try expectEqual(answer, "/dev/pts/0\r\n11 22\r\n")
  try box.end(running)
}

extension Box {
  /// For a container whose first process has been waited for.
  func end(after container: Container) throws {
    try container.killAll()
    try container.removeCgroup()
  }
}

func programs(_ box: Box) throws {
  func failure(_ arguments: [String]) throws -> (String, Int32?) {
    let error = try box.failure(arguments) { _ in }
    return (error.message, (error.cause as? ExecFailure)?.exitStatus)
  }
  try expect(
    try failure(["nosuch"]) == ("exec: \"nosuch\": executable file not found in $PATH", 127),
    "\(try failure(["nosuch"]))")
  try expect(
    try failure(["/no/such"]) == ("exec: \"/no/such\": stat /no/such: no such file or directory", 127),
    "\(try failure(["/no/such"]))")
  try expect(
    try failure(["/etc/passwd"]) == ("exec: \"/etc/passwd\": permission denied", 126), "\(try failure(["/etc/passwd"]))"
  )
  try expect(try failure(["/etc"]).1 == 126, "\(try failure(["/etc"]))")
  try expect(try failure([]).1 == 127, "nothing")
  try box.put("root/bin/garbage", Array("not a program\n".utf8), mode: 0o755)
  try expect(try failure(["garbage"]) == ("exec: \"garbage\": exec format error", 126), "\(try failure(["garbage"]))")
  try box.put("root/bin/orphan", Array("#!/no/interpreter\n".utf8), mode: 0o755)
  try expect(try failure(["orphan"]).1 == 127, "\(try failure(["orphan"]))")
  try box.put("root/bin/hidden", Array("#!/bin/sh\n".utf8), mode: 0o700)
  let hidden = try box.failure(["hidden"]) { $0.user = "bob" }
  try expect((hidden.cause as? ExecFailure)?.exitStatus == 126, hidden.message)
  // With an init between: the same answers.
  let below = try box.failure(["garbage"]) { $0.useInit = true }
  try expect((below.cause as? ExecFailure)?.exitStatus == 126, below.message)
  try expectEqual(try box.run(["sh", "-c", "exit 42"]).code, 42)
  try expectEqual(try box.run(["sh", "-c", "kill -9 $$"]) { $0.useInit = true }.code, 137)
}

func initProcess(_ box: Box) throws {
  func plain(_ configuration: inout ContainerConfiguration) { configuration.useInit = true }
  let out = try box.shell(
    "echo $$; ls /proc/1/fd | wc -l; (sleep 0.1 &) ; sleep 0.3; ps -o stat | grep -c Z; true", plain)
  // The program is not PID 1, which has the streams only; and the orphan has been reaped.
  try expectEqual(out, "2\n3\n0\n")
  try expectEqual(try box.run(["sh", "-c", "exit 9"], plain).code, 9)
  let container = try box.start(["sh", "-c", "trap 'exit 33' TERM; while :; do sleep 0.01; done"], plain)
  usleep(100_000)
  try expect(try container.signal(SIGTERM), "delivered")
  try expectEqual(try Processes.wait(for: container.process)?.code, 33)
  try box.end(after: container)
}

func death(_ box: Box) throws {
  // The caller of a container dies: so does the container, whether created or started.
  for (starts, user) in [(true, "0"), (true, "bob"), (false, "0"), (false, "bob")] {
    let pipe = try Pipe()
    let caller = clinux_clone3(0, nil, SIGCHLD, -1)
    if caller == 0 {
      let null = (try? Files.open("/dev/null", flags: O_RDWR).release()) ?? -1
      let container = try? box.create(
        box.configuration(["sleep", "1000"], streams: .descriptors(input: null, output: null, error: null)) {
          $0.user = user
        })
      if starts { try? container?.start() }
      var process = container?.process ?? -1
      write(pipe.writeEnd.raw, &process, 4)
      pause()
    }
    var process: pid_t = 0
    try expect(read(pipe.readEnd.raw, &process, 4) == 4 && process > 0, "it ran")
    let descriptor = try Processes.open(process)
    kill(caller, SIGKILL)
    _ = try Processes.wait(for: caller)
    var event = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
    try expect(poll(&event, 1, 3000) == 1, "it ended with its caller")
    // Whoever finds the group removes it.
    let driver = try Cgroups.detect()
    try driver.killAll("\(box.cgroupParent)/one")
    try driver.remove("\(box.cgroupParent)/one")
  }
}
