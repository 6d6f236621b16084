import Glibc
import Linux
import Testing

/// Every scenario of ContainerProbe, each in a process of its own. Needs root and a static busybox.
@Suite(.serialized, .enabled(if: geteuid() == 0 && access("/bin/busybox", X_OK) == 0))
struct ScenarioTests {
  static let scenarios = [
    "basics", "users", "terminal", "exec", "program", "init", "seccomp", "binds", "propagation", "hostile", "limits",
    "memory", "pause", "joining", "user-namespace", "time", "attributes", "failures", "cycles", "death", "cgroup2",
    "erofs", "hooks", "agent", "mounts", "execution", "other-mounts", "no-pivot", "preserving",
    "rootless", "hardening",
  ]

  private func run(_ arguments: [String]) throws -> String {
    let own = try Files.readLink("/proc/self/exe")
    let directory = own[..<(own.lastIndex(of: "/") ?? own.startIndex)]
    var output = try Pipe()
    let null = try Files.open("/dev/null", flags: O_RDWR)
    let probe = try Spawn.process(
      "\(directory)/ContainerProbe", arguments: ["ContainerProbe"] + arguments,
      descriptors: [(null.raw, 0), (output.writeEnd.raw, 1), (2, 2)])
    output.writeEnd = try Files.open("/dev/null", flags: O_RDONLY)
    let text = try Files.read(descriptor: output.readEnd.raw, limit: 1 << 20)
    _ = try Processes.wait(for: probe)
    return String(decoding: text, as: UTF8.self)
  }

  @Test(arguments: scenarios) func works(scenario: String) throws {
    let output = try run([scenario])
    #expect(output == "\(scenario): passed\n")
  }

  /// The same with containers that were made ahead of their requests, as far as each scenario's have the usual shape.
  @Test(arguments: scenarios) func worksAhead(scenario: String) throws {
    let output = try run([scenario, "ahead"])
    #expect(output == "\(scenario): passed\n")
  }

  @Test func allAreRun() throws {
    #expect(try run([]).split(separator: "\n").map { String($0) } == Self.scenarios)
  }
}
