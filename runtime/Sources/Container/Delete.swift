import Errors
import Linux

extension Container {
  /// Removes the cgroup; call it when the first process has been reaped. Mounts need no removal: they lived in the
  /// container's mount namespace, which ended with its last process.
  public func removeCgroup() throws(ApusError) { try cgroups.remove(cgroupPath) }
}
