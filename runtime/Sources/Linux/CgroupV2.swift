import CLinux
import Errors
import Glibc

/// cgroup v2: one hierarchy (the kernel's Documentation/admin-guide/cgroup-v2.rst).
public struct CgroupV2: CgroupDriver {
  public let version = 2
  let root: String

  /// `root` is where the hierarchy is mounted.
  public init(root: String = Cgroups.root) { self.root = root }

  private func directory(_ path: String) -> String { "\(root)/\(path)" }

  public func create(_ path: String, resources: CgroupResources) throws(ApusError) {
    try Cgroups.validate(path)
    do {
      try Cgroups.makeDirectories(hierarchy: root, path)
      if !Files.exists("\(directory(path))/memory.max") || !Files.exists("\(directory(path))/pids.max") {
        delegateControllers(to: path)
      }
      try apply(resources, to: path)
      if !resources.devices.isEmpty { try attachDevices(resources.devices, to: path) }
    } catch {
      // Not waiting: a process that has been cloned into the group is its maker's to end and to remove it after.
      try? Cgroups.removeTree(directory(path), patience: 0)
      throw error
    }
  }

  /// Switches the controllers on from the top down to the group. Best effort: what the host does not have is missed
  /// when a limit needs it.
  private func delegateControllers(to path: String) {
    var parent = root
    for part in [Substring()] + path.split(separator: "/").dropLast() {
      if !part.isEmpty { parent += "/\(part)" }
      // One write each: a single controller that is not there would make the kernel refuse all of them.
      for controller in ["cpu", "memory", "pids", "io", "cpuset", "hugetlb"] {
        try? Files.write("+\(controller)", toExisting: "\(parent)/cgroup.subtree_control")
      }
    }
  }

  public func cloneTarget(_ path: String) throws(ApusError) -> Int32 {
    try check(
      openat(AT_FDCWD, directory(path), O_PATH | O_DIRECTORY | O_CLOEXEC), "cannot open the control group \(path)")
  }

  public func makeCloneTarget(_ path: String) throws(ApusError) -> Int32 {
    try Cgroups.validate(path)
    try Cgroups.makeDirectories(hierarchy: root, path)
    return try cloneTarget(path)
  }

  public func enter(_ path: String, clonedInto: Bool) throws(ApusError) {
    if !clonedInto { try Files.write("0", toExisting: "\(directory(path))/cgroup.procs") }
  }

  public func add(_ process: pid_t, to path: String) throws(ApusError) {
    try Files.write(String(process), toExisting: "\(directory(path))/cgroup.procs")
  }

  public func update(_ path: String, resources: CgroupResources) throws(ApusError) {
    try Cgroups.validate(path)
    try apply(resources, to: path)
  }

  private func attachDevices(_ rules: [CgroupResources.DeviceRule], to path: String) throws(ApusError) {
    let program = try DeviceProgram(rules: rules).load()
    let group = try Files.open(directory(path), flags: O_RDONLY | O_DIRECTORY)
    // BPF_F_ALLOW_MULTI: a container that nests others may attach more programs below; all have to agree.
    try check(
      clinux_bpf_attach_cgroup_device(group.raw, program.raw, 2), "cannot restrict the devices of the group \(path)")
  }

  // MARK: Ending

  public func processes(_ path: String) throws(ApusError) -> [pid_t] { Cgroups.processes(below: directory(path)) }

  public func freeze(_ path: String) throws(ApusError) { try setFrozen(path, true) }

  public func isFrozen(_ path: String) -> Bool { Cgroups.number("\(directory(path))/cgroup.freeze") == 1 }

  public func thaw(_ path: String) throws(ApusError) { try setFrozen(path, false) }

  private func setFrozen(_ path: String, _ frozen: Bool) throws(ApusError) {
    try Files.write(frozen ? "1" : "0", toExisting: "\(directory(path))/cgroup.freeze")
    for attempt in 0..<500 {
      if Cgroups.table("\(directory(path))/cgroup.events")["frozen"] == (frozen ? 1 : 0) { return }
      usleep(attempt < 50 ? 100 : 2000)
    }
    if frozen { try? Files.write("0", toExisting: "\(directory(path))/cgroup.freeze") }
    throw ApusError(.deadlineExceeded, "cannot pause or resume \(path): its processes did not follow within a second")
  }

  public func killAll(_ path: String) throws(ApusError) {
    do {
      try Files.write("1", toExisting: "\(directory(path))/cgroup.kill")
    } catch  where error.errno == ENOENT {
      // Linux before 5.14, or no such group.
      Cgroups.killOneByOne(directory(path))
      try? Files.write("0", toExisting: "\(directory(path))/cgroup.freeze")
    }
  }

  public func remove(_ path: String) throws(ApusError) {
    try Cgroups.validate(path)
    try Cgroups.removeTree(directory(path))
  }

  // MARK: Memory running out

  public func oomKills(_ path: String) -> UInt64 {
    Cgroups.table("\(directory(path))/memory.events")["oom_kill"] ?? 0
  }

  public func oomEvents(_ path: String) throws(ApusError) -> OwnedDescriptor {
    let watch = OwnedDescriptor(
      owning: try check(inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)), "cannot watch a control group"))
    try check(
      inotify_add_watch(watch.raw, "\(directory(path))/memory.events", UInt32(IN_MODIFY)),
      "cannot watch the memory of \(path)")
    return watch
  }
}
