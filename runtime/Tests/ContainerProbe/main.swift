// Runs one scenario with real containers, as root, in a process with a single thread: what the library demands of its
// caller, and what a test runner cannot offer. ContainerTests runs all of them.
import CLinux
import Glibc

let scenarios: [(name: String, body: (Box) throws -> Void)] = [
  ("basics", basics), ("users", users), ("terminal", terminal), ("exec", executing), ("program", programs),
  ("init", initProcess), ("seccomp", seccomp), ("binds", binds), ("propagation", propagation), ("hostile", hostile),
  ("limits", limits), ("memory", memory), ("pause", pausing), ("joining", joining), ("user-namespace", userNamespace),
  ("time", timeNamespace), ("attributes", attributes), ("failures", failures), ("cycles", cycles), ("death", death),
  ("cgroup2", cgroup2), ("erofs", erofs), ("hooks", hooks), ("agent", agent), ("mounts", mounting),
  ("execution", execution),
  ("other-mounts", otherMounts), ("no-pivot", noPivot), ("preserving", preserving), ("rootless", rootless),
  ("hardening", hardening),
]

let arguments = CommandLine.arguments
if arguments.contains("inside") {
  exit(attackFromInside())
} else if arguments.count == 5, arguments[1] == "overwrite-self" {
  do { try overwriteSelf(Array(arguments[2...])) } catch {
    print(error)
    exit(1)
  }
} else if arguments.count == 4, arguments[1] == "as-bob" {
  do { try asBob(Array(arguments[2...])) } catch {
    print(error)
    exit(1)
  }
} else if arguments.count < 2 {
  for scenario in scenarios { print(scenario.name) }
} else {
  var failed = false
  // What a test runner leaves open is nobody's here; scenarios count descriptors, and pass them on by number.
  _ = clinux_close_range(3, .max, 0)
  for scenario in scenarios where arguments[1] == "all" || arguments[1] == scenario.name {
    do {
      let box = try Box(scenario.name)
      defer { box.remove() }
      let before = try Footprint(box)
      try scenario.body(box)
      let after = try Footprint(box)
      try expect(before == after, "left behind: \(before) became \(after)")
      print("\(scenario.name): passed")
    } catch {
      print("\(scenario.name): \(error)")
      failed = true
    }
  }
  if failed { exit(1) }
}
