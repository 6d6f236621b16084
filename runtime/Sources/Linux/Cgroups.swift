import CLinux
import Errors
import Glibc

/// Control groups (cgroups(7)). A path such as `apus/0123…` means the same group in every hierarchy. Every operation
/// takes the path, so that whoever finds a dead sandbox can end and remove its group without ever having made it.
public protocol CgroupDriver: Sendable {
  /// 1 or 2.
  var version: Int { get }

  /// Makes the group, with missing parents, and sets its limits. Whatever fails, the group is gone again.
  func create(_ path: String, resources: CgroupResources) throws(ApusError)

  /// The same for a group that exists from its first process on, which is brought into it.
  func create(_ path: String, resources: CgroupResources, with process: pid_t) throws(ApusError)

  /// Changes the limits that are set in `resources`.
  func update(_ path: String, resources: CgroupResources) throws(ApusError)

  /// The directory for clone3's CLONE_INTO_CGROUP: -1 when there is none; the caller closes it.
  func cloneTarget(_ path: String) throws(ApusError) -> Int32

  /// The same of a group that ``create(_:resources:)`` has yet to be called for: makes just the directory.
  func makeCloneTarget(_ path: String) throws(ApusError) -> Int32

  /// The calling process, which must have a single thread and may have been cloned into ``cloneTarget(_:)``, joins.
  ///
  /// By itself, because moving another process waits for an RCU grace period of about ten milliseconds, and moving
  /// oneself does not.
  func enter(_ path: String, clonedInto: Bool) throws(ApusError)

  /// Moves another process into the group.
  func add(_ process: pid_t, to path: String) throws(ApusError)

  func statistics(_ path: String) throws(ApusError) -> CgroupStatistics

  /// Stops all processes until ``thaw(_:)``; returns when they have stopped.
  func freeze(_ path: String) throws(ApusError)
  func thaw(_ path: String) throws(ApusError)
  /// Whether the group is frozen or about to be.
  func isFrozen(_ path: String) -> Bool

  /// The processes in the group and in those below it; none when there is no such group.
  func processes(_ path: String) throws(ApusError) -> [pid_t]

  /// SIGKILL to all processes in the group and below, also to frozen ones and to those being forked meanwhile. Does not
  /// wait for their end. No such group: nothing to do.
  func killAll(_ path: String) throws(ApusError)

  /// Removes the group and those below it; waits a bounded time for processes that are ending. No such group: fine.
  func remove(_ path: String) throws(ApusError)

  /// How many processes the kernel has killed in the group for lack of memory.
  func oomKills(_ path: String) -> UInt64

  /// A descriptor that becomes readable when memory runs out in the group; read it to arm it again.
  func oomEvents(_ path: String) throws(ApusError) -> OwnedDescriptor
}

extension CgroupDriver {
  /// Where a group can be empty, its first process joins by itself (``enter(_:clonedInto:)``).
  public func create(_ path: String, resources: CgroupResources, with process: pid_t) throws(ApusError) {
    try create(path, resources: resources)
  }
}

/// What the drivers are made of.
public enum Cgroups {
  /// Where the hierarchies are.
  public static let root = "/sys/fs/cgroup"

  /// The driver for this host: v2 where /sys/fs/cgroup is one, v1 (hybrid or not) elsewhere.
  public static func detect() throws(ApusError) -> any CgroupDriver {
    var status = statfs()
    guard statfs(root, &status) == 0 else {
      throw ApusError(errno: errno, "no control groups at \(root)")
    }
    if status.f_type == 0x6367_7270 { return CgroupV2() }  // CGROUP2_SUPER_MAGIC
    return CgroupV1()
  }

  /// The parent of the calling process's own group, with a slash behind; empty at the top, and where cgroup v1 is used.
  /// Not the group itself: one with processes in it cannot give its controllers to groups below.
  public static var ownParent: String {
    let lines = ownGroups
    guard lines.count == 1, lines[0].hasPrefix("0::/") else { return "" }
    let parts = lines[0].dropFirst(4).split(separator: "/").dropLast()
    return parts.isEmpty ? "" : parts.joined(separator: "/") + "/"
  }

  /// The calling process's own group in the v2 hierarchy, with a slash in front; nil without that hierarchy.
  static var ownUnifiedGroup: Substring? { ownGroups.first { $0.hasPrefix("0::/") }?.dropFirst(3) }

  /// One line for each hierarchy (cgroups(7), /proc/pid/cgroup).
  private static var ownGroups: [Substring] {
    guard let bytes = try? Files.read("/proc/self/cgroup", limit: 1 << 16) else { return [] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
  }

  /// Checks a group's path: relative, without `.` and `..`, of a bounded length.
  public static func validate(_ path: String) throws(ApusError) {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard !path.isEmpty, path.utf8.count < 512, parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
      throw ApusError(.invalidArgument, "\"\(path)\" is not the path of a control group, such as apus/name")
    }
  }

  /// mkdir with missing parents below an existing hierarchy. Calls `made` for each new directory, the top one first.
  static func makeDirectories(
    hierarchy: String, _ path: String, made: (String) throws(ApusError) -> Void = { _ throws(ApusError) in }
  ) throws(ApusError) {
    let full = "\(hierarchy)/\(path)"
    // More than once, because whoever removes the last group below a parent may remove the parent too.
    for _ in 0..<16 {
      if mkdir(full, 0o755) == 0 {
        do throws(ApusError) {
          return try made(full)
        } catch {
          guard error.errno == ENOENT, !Files.exists(full) else { throw error }
          continue
        }
      }
      let why = errno
      if why == EEXIST { return }
      guard why == ENOENT, let slash = path.lastIndex(of: "/") else {
        throw ApusError(errno: why, "cannot make the control group \(full)")
      }
      try makeDirectories(hierarchy: hierarchy, String(path[..<slash]), made: made)
    }
    throw ApusError(errno: ENOENT, "cannot make the control group \(full)")
  }

  /// Removes a group in every hierarchy where nothing is in it or below it.
  public static func removeIfEmpty(_ path: String) {
    guard (try? validate(path)) != nil else { return }
    if Files.exists("\(root)/cgroup.procs") {
      _ = rmdir("\(root)/\(path)")
    } else {
      for hierarchy in CgroupV1.hierarchies + CgroupV1.rareHierarchies + ["unified"] {
        _ = rmdir("\(root)/\(hierarchy)/\(path)")
      }
    }
  }

  /// A number from a file of one number; `max` is UInt64.max; nil when there is no such file.
  static func number(_ path: String) -> UInt64? {
    guard let bytes = try? Files.read(path, limit: 4096) else { return nil }
    return number(of: bytes[...])
  }

  static func number(of bytes: ArraySlice<UInt8>) -> UInt64? {
    if bytes.starts(with: [0x6d, 0x61, 0x78]) { return .max }
    var value: UInt64 = 0
    var digits = 0
    for byte in bytes {
      guard byte >= 0x30, byte <= 0x39 else { break }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      if overflow { return .max }
      value = product &+ UInt64(byte - 0x30)
      digits += 1
    }
    return digits > 0 ? value : nil
  }

  /// Lines of `key value`; what is not a number is skipped.
  static func table(_ path: String) -> [String: UInt64] {
    guard let bytes = try? Files.read(path, limit: 1 << 16) else { return [:] }
    return table(of: bytes)
  }

  static func table(of bytes: [UInt8]) -> [String: UInt64] {
    var table: [String: UInt64] = [:]
    for line in bytes.split(separator: 0x0a) {
      guard let space = line.firstIndex(of: 0x20), let value = number(of: line[(space + 1)...]) else { continue }
      table[String(decoding: line[..<space], as: UTF8.self)] = value
    }
    return table
  }

  /// Process numbers of a cgroup.procs file and of those in the directories below; none when it is gone.
  static func processes(below directory: String, depth: Int = 0) -> [pid_t] {
    guard let bytes = try? Files.read("\(directory)/cgroup.procs", limit: 8 << 20) else { return [] }
    var found = bytes.split(separator: 0x0a).compactMap { pid_t(String(decoding: $0, as: UTF8.self)) }
    // 0 stands for a process that this pid namespace cannot see.
    found.removeAll { $0 <= 0 }
    for child in children(of: directory, depth: depth) {
      found += processes(below: "\(directory)/\(child)", depth: depth + 1)
    }
    return found
  }

  /// Names of the groups directly below. A container can nest as deep as it likes: the depth is bounded.
  static func children(of directory: String, depth: Int) -> [String] {
    guard depth < 64 else { return [] }
    // Two links are `.` and `..`: most groups have no children, and are not listed.
    var status = stat()
    guard lstat(directory, &status) == 0, status.st_nlink > 2 else { return [] }
    guard let descriptor = try? Files.open(directory, flags: O_RDONLY | O_DIRECTORY),
      let entries = try? Files.entries(of: descriptor.raw)
    else { return [] }
    return entries.filter { $0.type == UInt8(DT_DIR) }.map(\.name)
  }

  /// rmdir of a group and all below it. Ending processes keep a group busy for a moment: waits up to `patience`
  /// microseconds.
  static func removeTree(_ directory: String, patience: UInt32 = 2_000_000, depth: Int = 0) throws(ApusError) {
    var pause: UInt32 = 200
    var waited: UInt32 = 0
    while true {
      if rmdir(directory) == 0 || errno == ENOENT { return }
      let why = errno
      for child in children(of: directory, depth: depth) {
        try removeTree("\(directory)/\(child)", patience: patience, depth: depth + 1)
      }
      if rmdir(directory) == 0 || errno == ENOENT { return }
      guard why == EBUSY, waited < patience else {
        throw ApusError(errno: why, "cannot remove the control group \(directory)")
      }
      usleep(pause)
      waited += pause
      pause = min(pause * 2, 20_000)
    }
  }

  /// Kills until nobody is left to be seen; for kernels without cgroup.kill.
  static func killOneByOne(_ directory: String) {
    // A process can fork while it is being listed; each round finds the children of the last. The rounds are bounded
    // because a frozen or uninterruptible process stays listed although it has been killed.
    var killed: Set<pid_t> = []
    for _ in 0..<64 {
      let found = processes(below: directory)
      let new = found.filter { !killed.contains($0) }
      if new.isEmpty { return }
      for process in new {
        kill(process, SIGKILL)
        killed.insert(process)
      }
    }
  }
}
