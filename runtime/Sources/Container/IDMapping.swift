import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// Sources of binds that show other owners inside than outside (config.md, options `idmap` and `ridmap`).
enum IDMapping {
  /// Detached, mapped copies of the sources of a plan's id-mapped mounts, by index of the mount; the caller closes them.
  ///
  /// By the caller and not by the container's process: mapping a mount takes rights over its file system, which nobody
  /// in a user namespace has.
  static func sources(_ mounts: [PlannedMount]) throws(ApusError) -> [Int: Int32] {
    var sources: [Int: Int32] = [:]
    do throws(ApusError) {
      for (index, mount) in mounts.enumerated() where mount.isBind && mount.options.idMapped {
        let namespace = try userNamespace(users: mount.users, groups: mount.groups)
        sources[index] = try mount.cloneSource(userNamespace: namespace.raw).release()
      }
    } catch {
      for source in sources.values { close(source) }
      throw error
    }
    return sources
  }

  /// A user namespace that nobody is in: all that is wanted of it are its mappings.
  private static func userNamespace(
    users: [LinuxIDMapping], groups: [LinuxIDMapping]
  ) throws(ApusError) -> OwnedDescriptor {
    let child = clinux_clone3(UInt64(Namespaces.Kind.user.rawValue), nil, SIGCHLD, -1)
    if child == 0 {
      _ = clinux_prctl(PrctlOption.parentDeathSignal, UInt(SIGKILL), 0, 0, 0)
      while true { pause() }
    }
    let process = try check(child, "cannot make a user namespace")
    defer {
      kill(process, SIGKILL)
      _ = try? Processes.wait(for: process)
    }
    do throws(ApusError) {
      try Namespaces.map(users: users, groups: groups, of: process)
    } catch {
      throw ApusError(
        error.code, "the mappings of an id-mapped mount are not valid: \(describe(errno: error.errno ?? 0))",
        cause: error.cause)
    }
    return try Files.open("/proc/\(process)/ns/user", flags: O_RDONLY)
  }
}
