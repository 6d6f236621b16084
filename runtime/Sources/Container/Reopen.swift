import Errors
import Glibc
import Linux
import RuntimeSpec

/// What has to be kept of a container for another process to take it up again: see ``Container/init(reopening:process:)``.
public struct ContainerRecord: Sendable, Equatable {
  public var id: String
  public var cgroupPath: String
  /// As in the specification; only kinds and paths are of interest.
  public var linux: LinuxSection
  /// The compiled seccomp program; empty for none.
  public var filter: [UInt8]
  public var filterFlags: UInt32
  /// As in ``ContainerConfiguration/bundle``, for a seccomp agent.
  public var bundle: String
  /// Likewise.
  public var annotations: [String: String]
  /// Where systemd has made the control group.
  public var systemdUnit: SystemdUnit?
  /// The group of ``ResourceControl`` that it is in; empty for none.
  public var sharesGroup: String
  /// Whether that group goes with the container.
  public var ownsSharesGroup: Bool

  public init(
    id: String, cgroupPath: String, linux: LinuxSection, filter: [UInt8] = [], filterFlags: UInt32 = 0,
    bundle: String = "", annotations: [String: String] = [:], systemdUnit: SystemdUnit? = nil,
    sharesGroup: String = "", ownsSharesGroup: Bool = false
  ) {
    self.id = id
    self.cgroupPath = cgroupPath
    self.linux = linux
    self.filter = filter
    self.filterFlags = filterFlags
    self.bundle = bundle
    self.annotations = annotations
    self.systemdUnit = systemdUnit
    self.sharesGroup = sharesGroup
    self.ownsSharesGroup = ownsSharesGroup
  }
}

extension Container {
  /// Takes up a container that another process has created. It is not this one's child: nobody here reaps it.
  ///
  /// The caller has to make sure that `process` is still the container's, by its start time, after this call: from then
  /// on the descriptor means the same process, whatever becomes of its number.
  public convenience init(reopening record: ContainerRecord, process: pid_t) throws(ApusError) {
    let state = ContainerState(
      id: record.id, status: "running", pid: process, bundle: record.bundle, annotations: record.annotations)
    try self.init(
      id: record.id, process: process, processDescriptor: Processes.open(process), cgroupPath: record.cgroupPath,
      cgroups: Cgroups.driver(of: record.cgroupPath, unit: record.systemdUnit),
      namespaces: Namespaces(record.linux.namespaces),
      filter: record.filter, filterFlags: record.filterFlags,
      agent: SeccompAgent(record.linux.seccomp).map { ($0, state) },
      domain: record.linux.personality.map(ExecutionDomain.number), channel: -1, terminal: -1, root: -1)
  }
}
