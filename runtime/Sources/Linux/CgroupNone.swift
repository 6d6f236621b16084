import Errors
import Glibc

/// No control groups: for a caller who may not make any, and containers that ask for no limits.
///
/// Its containers end with the first process of their process namespace, and cannot be paused.
public struct CgroupNone: CgroupDriver {
  public let version = 0

  public init() {}

  private func missing(_ what: String) -> ApusError {
    ApusError(.unsupported, "cannot \(what): this user may not make control groups, so the container has none")
  }

  public func create(_ path: String, resources: CgroupResources) throws(ApusError) {
    var others = resources
    // Without rights over devices there is nothing to be taken away.
    others.devices = []
    guard others == CgroupResources() else { throw missing("limit the container's resources") }
  }
  public func update(_ path: String, resources: CgroupResources) throws(ApusError) {
    throw missing("limit the container's resources")
  }
  public func cloneTarget(_ path: String) throws(ApusError) -> Int32 { -1 }
  public func makeCloneTarget(_ path: String) throws(ApusError) -> Int32 { -1 }
  public func enter(_ path: String, clonedInto: Bool) throws(ApusError) {}
  public func add(_ process: pid_t, to path: String) throws(ApusError) {}
  public func statistics(_ path: String) throws(ApusError) -> CgroupStatistics { throw missing("count what is used") }
  public func freeze(_ path: String) throws(ApusError) { throw missing("pause the container") }
  public func thaw(_ path: String) throws(ApusError) { throw missing("resume the container") }
  public func isFrozen(_ path: String) -> Bool { false }
  public func processes(_ path: String) throws(ApusError) -> [pid_t] { [] }
  public func killAll(_ path: String) throws(ApusError) {}
  public func remove(_ path: String) throws(ApusError) {}
  public func oomKills(_ path: String) -> UInt64 { 0 }
  public func oomEvents(_ path: String) throws(ApusError) -> OwnedDescriptor { throw missing("watch the memory") }
}

extension Cgroups {
  /// The driver for a group that is to be made: ``detect()``, or ``CgroupNone`` for a user who may not make it.
  public static func driver(toMake path: String) throws(ApusError) -> any CgroupDriver {
    guard !UserNamespace.isHostRoot else { return try detect() }
    do throws(ApusError) {
      let driver = try detect()
      try validate(path)
      try checkDelegation(path, version: driver.version)
      // In every hierarchy, or in none.
      try driver.create(path, resources: CgroupResources())
      return driver
    } catch  where [EACCES, EPERM, EROFS, ENOENT].contains(error.errno) {
      return CgroupNone()
    }
  }

  /// The driver for a recorded group; an empty path is that of a container that has none.
  /// - Parameter unit: where systemd has made it.
  public static func driver(of path: String, unit: SystemdUnit? = nil) throws(ApusError) -> any CgroupDriver {
    if let unit { return try CgroupSystemd(unit) }
    return path.isEmpty ? CgroupNone() : try detect()
  }

  /// Throws where an ordinary user could make the group and not enter it: the kernel asks for the right to write to the
  /// member list of the group, and in a v2 hierarchy to that of the closest group above both it and the user's own.
  private static func checkDelegation(_ path: String, version: Int) throws(ApusError) {
    let unified = version == 2 ? root : "\(root)/unified"
    if let own = ownUnifiedGroup, Files.exists("\(unified)/cgroup.procs") {
      let shared = zip(path.split(separator: "/"), own.split(separator: "/")).prefix { $0 == $1 }.map { "/\($0.0)" }
      try checkWritable("\(unified)\(shared.joined())/cgroup.procs")
    }
    let hierarchies = version == 2 ? [root] : (CgroupV1.hierarchies + ["unified"]).map { "\(root)/\($0)" }
    for hierarchy in hierarchies where Files.exists("\(hierarchy)/\(path)/cgroup.procs") {
      try checkWritable("\(hierarchy)/\(path)/cgroup.procs")
    }
  }

  private static func checkWritable(_ file: String) throws(ApusError) {
    try check(access(file, W_OK), "cannot write to \(file)")
  }
}
