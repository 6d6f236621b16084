import Errors

extension Container {
  /// Makes a container whose first process waits just before its program (OCI: "created"). Whatever fails, nothing is
  /// left behind: no process, no mount, no cgroup, no descriptor.
  public static func create(_ configuration: ContainerConfiguration) throws(ApusError) -> Container {
    throw ApusError(.unsupported, "not yet")
  }
}
