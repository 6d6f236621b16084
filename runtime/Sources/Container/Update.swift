import Errors
import Linux
import RuntimeSpec

extension Container {
  /// Changes the limits that are set in `resources`; those of devices cannot be changed.
  public func update(_ resources: LinuxResources) throws(ApusError) {
    var limits = try CgroupResources(resources)
    limits.devices = []
    try cgroups.update(cgroupPath, resources: limits)
  }

  /// What the container has used so far.
  public func statistics() throws(ApusError) -> CgroupStatistics { try cgroups.statistics(cgroupPath) }

  /// How many of its processes the kernel has killed for lack of memory. Ask before ``removeCgroup()``.
  public var oomKills: UInt64 { cgroups.oomKills(cgroupPath) }

  /// A descriptor that becomes readable when the container runs out of memory; read it to arm it again.
  public func oomEvents() throws(ApusError) -> OwnedDescriptor { try cgroups.oomEvents(cgroupPath) }
}
