import Errors
import Glibc

/// Control groups that systemd makes, as units of its own: it is told of the limits, and what it does not know is written
/// into the group's files beside it (systemd's Control Group APIs and Delegation, "Delegation").
///
/// Everything but the making, changing and removing of a group is that of the driver of the hierarchies.
public struct CgroupSystemd: CgroupDriver {
  public let unit: SystemdUnit
  private let files: any CgroupDriver
  private let properties: [SystemdProperty]
  private let connect: @Sendable () throws(ApusError) -> SystemdManager

  public var version: Int { files.version }

  /// - Parameter properties: beside those that follow from the limits, which they replace.
  public init(_ unit: SystemdUnit, properties: [SystemdProperty] = []) throws(ApusError) {
    try self.init(unit, properties: properties, files: Cgroups.detect()) { () throws(ApusError) in
      try SystemdManager.connect(isUser: unit.isUser)
    }
  }

  init(
    _ unit: SystemdUnit, properties: [SystemdProperty], files: any CgroupDriver,
    connect: @escaping @Sendable () throws(ApusError) -> SystemdManager
  ) throws(ApusError) {
    guard files.version == 2 || !unit.isUser else {
      throw ApusError(
        .unsupported,
        "a user's systemd makes control groups only with cgroup v2, which this host has not; "
          + "leave --systemd-cgroup out")
    }
    self.unit = unit
    self.properties = properties
    self.files = files
    self.connect = connect
  }

  /// Where the unit's manager will make its group, without a slash in front.
  public static func path(of unit: SystemdUnit) throws(ApusError) -> String {
    let own = try unit.path()
    let above = try SystemdManager.connect(isUser: unit.isUser).controlGroup()
    return above.isEmpty ? own : "\(above)/\(own)"
  }

  // MARK: What systemd does

  public func create(_ path: String, resources: CgroupResources, with process: pid_t) throws(ApusError) {
    try Cgroups.validate(path)
    try connect().start(unit.name, properties: startProperties(resources, process: process))
    // Not where systemd sees another tree of groups than this process.
    let directory = "\(Cgroups.root)/\(version == 2 ? "" : "systemd/")\(path)"
    guard Files.exists(directory) else {
      throw ApusError(.internal, "systemd has made the unit \(unit.name), but not the control group \(directory)")
    }
    try files.create(path, resources: resources)
  }

  /// In the order in which they are sent. What a caller has chosen comes last, and decides.
  func startProperties(_ resources: CgroupResources, process: pid_t) -> [SystemdProperty] {
    var all = [SystemdProperty("Description", .string("container \(unit.name)"))]
    if unit.isSlice {
      all.append(SystemdProperty("Wants", .strings([unit.slice])))
    } else {
      all += [
        SystemdProperty("Slice", .string(unit.slice)),
        // Else systemd would put the processes of groups below elsewhere, and take away what it does not know.
        SystemdProperty("Delegate", .boolean(true)),
        SystemdProperty("PIDs", .array("u", [.uint32(UInt32(bitPattern: process))])),
      ]
    }
    // Who starts a container stops it: it is not ordered with the units of a shutdown.
    all.append(SystemdProperty("DefaultDependencies", .boolean(false)))
    all += SystemdProperty.accounting(version: version)
    all += SystemdProperty.resources(resources, version: version)
    return all.filter { old in !properties.contains { $0.name == old.name } } + properties
  }

  public func create(_ path: String, resources: CgroupResources) throws(ApusError) {
    throw ApusError(.internal, "systemd makes no control group without a process")
  }

  public func update(_ path: String, resources: CgroupResources) throws(ApusError) {
    let changes = SystemdProperty.resources(resources, version: version)
    if !changes.isEmpty { try connect().set(changes, of: unit.name) }
    try files.update(path, resources: resources)
  }

  public func remove(_ path: String) throws(ApusError) {
    // A scope whose last process has ended is about to be removed anyway; a slice is not.
    let manager = try? connect()
    try? manager?.stop(unit.name)
    try? manager?.resetFailed(unit.name)
    try files.remove(path)
  }

  /// None: it is made with its first process in it.
  public func makeCloneTarget(_ path: String) throws(ApusError) -> Int32 {
    try Cgroups.validate(path)
    return -1
  }

  public func enter(_ path: String, clonedInto: Bool) throws(ApusError) {
    do throws(ApusError) {
      // systemd has brought the first process into its scope; into a slice it brings nobody.
      try files.enter(path, clonedInto: clonedInto && !unit.isSlice)
    } catch {
      guard unit.isUser, error.errno == EACCES || error.errno == EPERM else { throw error }
      // A user moves no process from a group that is not the user's: systemd does, on behalf of the process itself.
      try connect().attachCaller(to: unit.name, below: Self.place(of: path, in: unit))
    }
  }

  /// The path of a group below that of a unit, empty for the unit's own.
  static func place(of path: String, in unit: SystemdUnit) -> String {
    let parts = path.split(separator: "/")
    guard let index = parts.lastIndex(where: { $0 == unit.name }) else { return "" }
    return parts[(index + 1)...].map { "/\($0)" }.joined()
  }

  // MARK: What the hierarchies' driver does

  public func cloneTarget(_ path: String) throws(ApusError) -> Int32 { try files.cloneTarget(path) }
  public func add(_ process: pid_t, to path: String) throws(ApusError) { try files.add(process, to: path) }
  public func statistics(_ path: String) throws(ApusError) -> CgroupStatistics { try files.statistics(path) }
  public func freeze(_ path: String) throws(ApusError) { try files.freeze(path) }
  public func thaw(_ path: String) throws(ApusError) { try files.thaw(path) }
  public func isFrozen(_ path: String) -> Bool { files.isFrozen(path) }
  public func processes(_ path: String) throws(ApusError) -> [pid_t] { try files.processes(path) }
  public func killAll(_ path: String) throws(ApusError) { try files.killAll(path) }
  public func oomKills(_ path: String) -> UInt64 { files.oomKills(path) }
  public func oomEvents(_ path: String) throws(ApusError) -> OwnedDescriptor { try files.oomEvents(path) }
}
