import CLinux
import Errors
import Glibc

/// cgroup v1, one hierarchy per controller, with or without a v2 hierarchy beside them at `unified` ("hybrid").
///
/// Hierarchies that the host does not have are left out; a limit that needs one of them is then an error.
public struct CgroupV1: CgroupDriver {
  public let version = 1

  /// Every hierarchy a container's group is made in. `cpu,cpuacct` and such may be one: making it twice does no harm.
  static let hierarchies = ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd"]
  /// Those that most hosts lack or leave unlimited: a group is made in them only when a limit asks for it.
  static let rareHierarchies = ["hugetlb", "net_cls", "net_prio", "rdma"]
  private static let unified = "\(Cgroups.root)/unified"

  public init() {}

  private func directory(_ hierarchy: String, _ path: String) -> String { "\(Cgroups.root)/\(hierarchy)/\(path)" }

  /// Whether the host has the hierarchy. A directory alone does not say so: nothing may be mounted on it.
  private func has(_ hierarchy: String) -> Bool { Files.exists("\(Cgroups.root)/\(hierarchy)/cgroup.procs") }

  public func create(_ path: String, resources: CgroupResources) throws(ApusError) {
    try Cgroups.validate(path)
    do {
      for hierarchy in Self.hierarchies { try make(hierarchy, path) }
      if has("unified") { try Cgroups.makeDirectories(hierarchy: Self.unified, path) }
      for hierarchy in Self.rareHierarchies where resources.needs(hierarchy) { try make(hierarchy, path) }
      try apply(resources, to: path)
    } catch {
      // Not waiting: a process that has been cloned into the group is its maker's to end and to remove it after.
      for hierarchy in Self.hierarchies + Self.rareHierarchies + ["unified"] {
        try? Cgroups.removeTree(directory(hierarchy, path), patience: 0)
      }
      throw error
    }
  }

  private func make(_ hierarchy: String, _ path: String) throws(ApusError) {
    let root = "\(Cgroups.root)/\(hierarchy)"
    // The common case is one mkdir: the parent exists because it has been made for an earlier container.
    if mkdir("\(root)/\(path)", 0o755) == 0 || errno == EEXIST { return }
    guard has(hierarchy) else { return }
    guard hierarchy == "cpuset" else { return try Cgroups.makeDirectories(hierarchy: root, path) }
    // A new cpuset is empty and takes no process. Each parent we make gets its parent's processors and nodes, and
    // hands them on to its children by itself (cgroup.clone_children), so that this costs nothing per container.
    try Cgroups.makeDirectories(hierarchy: root, path) { directory throws(ApusError) in
      try Self.fillCpuset(directory)
    }
  }

  private static func fillCpuset(_ directory: String) throws(ApusError) {
    let parent = directory[..<(directory.lastIndex(of: "/") ?? directory.endIndex)]
    for file in ["cpuset.cpus", "cpuset.mems"] {
      guard Cgroups.number("\(directory)/\(file)") == nil else { continue }
      let value = String(decoding: try Files.read("\(parent)/\(file)", limit: 65536), as: UTF8.self)
      try Files.write(value.filter { $0 != "\n" }, toExisting: "\(directory)/\(file)")
    }
    try Files.write("1", toExisting: "\(directory)/cgroup.clone_children")
  }

  /// Fills a cpuset and its parents that are still empty, because somebody else has just made one and not come to it.
  func fillCpusets(_ path: String) throws(ApusError) {
    var directory = "\(Cgroups.root)/cpuset"
    for part in path.split(separator: "/") {
      directory += "/\(part)"
      try Self.fillCpuset(directory)
    }
  }

  public func cloneTarget(_ path: String) throws(ApusError) -> Int32 {
    let directory = openat(AT_FDCWD, "\(Self.unified)/\(path)", O_PATH | O_DIRECTORY | O_CLOEXEC)
    if directory < 0, errno == ENOENT { return -1 }
    return try check(directory, "cannot open the control group \(path)")
  }

  public func makeCloneTarget(_ path: String) throws(ApusError) -> Int32 {
    try Cgroups.validate(path)
    guard has("unified") else { return -1 }
    try Cgroups.makeDirectories(hierarchy: Self.unified, path)
    return try cloneTarget(path)
  }

  public func enter(_ path: String, clonedInto: Bool) throws(ApusError) {
    for hierarchy in Self.hierarchies {
      do {
        // `tasks` moves one thread and `0` is the caller: the pair the kernel needs no lock for.
        try Files.write("0", toExisting: "\(directory(hierarchy, path))/tasks")
      } catch  where error.errno == ENOENT && !has(hierarchy) {
        continue
      } catch  where error.errno == ENOSPC && hierarchy == "cpuset" {
        try fillCpusets(path)
        try Files.write("0", toExisting: "\(directory(hierarchy, path))/tasks")
      }
    }
    for hierarchy in Self.rareHierarchies {
      let file = "\(directory(hierarchy, path))/tasks"
      if Files.exists(file) { try Files.write("0", toExisting: file) }
    }
    if !clonedInto, has("unified") { try Files.write("0", toExisting: "\(Self.unified)/\(path)/cgroup.procs") }
  }

  public func add(_ process: pid_t, to path: String) throws(ApusError) {
    for hierarchy in Self.hierarchies where has(hierarchy) {
      try Files.write(String(process), toExisting: "\(directory(hierarchy, path))/cgroup.procs")
    }
    if has("unified") { try Files.write(String(process), toExisting: "\(Self.unified)/\(path)/cgroup.procs") }
  }

  public func update(_ path: String, resources: CgroupResources) throws(ApusError) {
    try Cgroups.validate(path)
    try apply(resources, to: path)
  }

  // MARK: Ending

  public func processes(_ path: String) throws(ApusError) -> [pid_t] {
    Cgroups.processes(below: directory(has("pids") ? "pids" : "systemd", path))
  }

  public func freeze(_ path: String) throws(ApusError) {
    let file = "\(directory("freezer", path))/freezer.state"
    for attempt in 0..<500 {
      // Again in each round: a process forked at the wrong moment keeps the state at FREEZING until it is.
      try Files.write("FROZEN", toExisting: file)
      if try Files.read(file, limit: 64).starts(with: Array("FROZEN".utf8)) { return }
      usleep(attempt < 50 ? 100 : 2000)
    }
    try? thaw(path)
    throw ApusError(.deadlineExceeded, "cannot pause \(path): its processes did not stop within a second")
  }

  public func isFrozen(_ path: String) -> Bool {
    guard let state = try? Files.read("\(directory("freezer", path))/freezer.state", limit: 64) else { return false }
    return !state.starts(with: Array("THAWED".utf8))
  }

  public func thaw(_ path: String) throws(ApusError) {
    try Files.write("THAWED", toExisting: "\(directory("freezer", path))/freezer.state")
  }

  public func killAll(_ path: String) throws(ApusError) {
    // The hybrid's v2 group holds the same processes, and ends them all in one atomic write (Linux 5.14).
    let atomic = (try? Files.write("1", toExisting: "\(Self.unified)/\(path)/cgroup.kill")) != nil
    if !atomic { Cgroups.killOneByOne(directory(has("pids") ? "pids" : "systemd", path)) }
    // A frozen task dies only when it runs again.
    if isFrozen(path) { try? thaw(path) }
    // A process moved between hierarchies by the container itself is in ours but not in the v2 group.
    if atomic, !Cgroups.processes(below: directory("pids", path)).isEmpty {
      Cgroups.killOneByOne(directory("pids", path))
    }
  }

  public func remove(_ path: String) throws(ApusError) {
    try Cgroups.validate(path)
    var failure: ApusError?
    for hierarchy in Self.hierarchies + Self.rareHierarchies + ["unified"] {
      do {
        try Cgroups.removeTree(directory(hierarchy, path))
      } catch {
        // Where no hierarchy is mounted there are at most somebody's plain directories.
        if has(hierarchy) { failure = failure ?? error }
      }
    }
    if let failure { throw failure }
  }

  // MARK: Memory running out

  public func oomKills(_ path: String) -> UInt64 {
    Cgroups.table("\(directory("memory", path))/memory.oom_control")["oom_kill"] ?? 0
  }

  public func oomEvents(_ path: String) throws(ApusError) -> OwnedDescriptor {
    let counter = try EventDescriptors.counter()
    let memory = directory("memory", path)
    let control = try Files.open("\(memory)/memory.oom_control", flags: O_RDONLY)
    try Files.write("\(counter.raw) \(control.raw)", toExisting: "\(memory)/cgroup.event_control")
    return counter
  }
}

extension CgroupResources {
  fileprivate func needs(_ hierarchy: String) -> Bool {
    switch hierarchy {
    case "hugetlb": !hugePages.isEmpty
    case "net_cls": networkClass != nil
    case "net_prio": !networkPriorities.isEmpty
    case "rdma": !rdma.isEmpty
    default: false
    }
  }
}
