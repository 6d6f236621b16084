import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

/// What is kept of a container between commands (`state.json`).
struct Record: JSONObject, Equatable {
  enum Status: String, Sendable { case creating, created, running, paused, stopped }

  var ociVersion = OCIRole.specificationVersion
  var id = ""
  var bundle = ""
  var rootfs = ""
  var pid: Int32 = 0
  /// In clock ticks since boot: with `pid` it names the process for good.
  var startTime: UInt64 = 0
  var created = ""
  var cgroupPath = ""
  /// The unit of systemd whose control group it is; empty where it was made without systemd.
  var systemdUnit = ""
  var systemdSlice = ""
  var systemdUser = false
  /// The group of shares of caches and bandwidth (Intel RDT), and whether it goes with the container.
  var sharesGroup = ""
  var ownsSharesGroup = false
  var namespaces: [LinuxNamespace] = []
  var annotations: [String: String] = [:]
  var filterFlags: UInt32 = 0
  /// Of the agent that is asked about system calls; empty for none.
  var listenerPath = ""
  var listenerMetadata = ""
  /// Whether it was made without a session keyring of its own.
  var sharesKeyring = false
  /// Whether the configuration has hooks that run after creation.
  var hasHooks = false

  mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "ociVersion": try reader.read(&ociVersion)
    case "id": try reader.read(&id)
    case "bundle": try reader.read(&bundle)
    case "rootfs": try reader.read(&rootfs)
    case "pid": try reader.read(&pid)
    case "startTime": try reader.read(&startTime)
    case "created": try reader.read(&created)
    case "cgroupPath": try reader.read(&cgroupPath)
    case "systemdUnit": try reader.read(&systemdUnit)
    case "systemdSlice": try reader.read(&systemdSlice)
    case "systemdUser": try reader.read(&systemdUser)
    case "sharesGroup": try reader.read(&sharesGroup)
    case "ownsSharesGroup": try reader.read(&ownsSharesGroup)
    case "namespaces": try reader.read(&namespaces)
    case "annotations": try reader.read(&annotations)
    case "filterFlags": try reader.read(&filterFlags)
    case "listenerPath": try reader.read(&listenerPath)
    case "listenerMetadata": try reader.read(&listenerMetadata)
    case "sharesKeyring": try reader.read(&sharesKeyring)
    case "hasHooks": try reader.read(&hasHooks)
    default: return false
    }
    return true
  }

  func writeMembers(to writer: inout JSONWriter) {
    writer.put("ociVersion", ociVersion)
    writer.put("id", id)
    writer.put("bundle", bundle)
    writer.put("rootfs", rootfs)
    writer.put("pid", pid)
    writer.put("startTime", startTime)
    writer.put("created", created)
    writer.put("cgroupPath", cgroupPath)
    writer.putIfSet("systemdUnit", systemdUnit)
    writer.putIfSet("systemdSlice", systemdSlice)
    writer.putIfSet("systemdUser", systemdUser)
    writer.putIfSet("sharesGroup", sharesGroup)
    writer.putIfSet("ownsSharesGroup", ownsSharesGroup)
    writer.put("namespaces", namespaces)
    writer.putIfSet("annotations", annotations)
    writer.putIfSet("filterFlags", filterFlags)
    writer.putIfSet("listenerPath", listenerPath)
    writer.putIfSet("listenerMetadata", listenerMetadata)
    writer.putIfSet("sharesKeyring", sharesKeyring)
    writer.putIfSet("hasHooks", hasHooks)
  }

  /// The unit that systemd has made for it.
  var unit: SystemdUnit? {
    get { systemdUnit.isEmpty ? nil : SystemdUnit(name: systemdUnit, slice: systemdSlice, isUser: systemdUser) }
    set {
      (systemdUnit, systemdSlice, systemdUser) = (
        newValue?.name ?? "", newValue?.slice ?? "", newValue?.isUser ?? false
      )
    }
  }

  /// What its control group is handled by.
  var cgroups: any CgroupDriver {
    get throws(ApusError) { try Cgroups.driver(of: cgroupPath, unit: unit) }
  }

  /// As hooks get it.
  func state(_ status: Status) -> ContainerState {
    ContainerState(
      ociVersion: ociVersion, id: id, status: status.rawValue, pid: status == .stopped ? 0 : pid, bundle: bundle,
      annotations: annotations)
  }
}

/// An existing container: its directory, and its record as last written.
struct StoredContainer {
  let directory: StateDirectory
  let record: Record
  /// Whether its creation has not ended; perhaps never will, if its creator has been killed.
  let isBeingCreated: Bool

  init(_ id: String, root: String, locked: Bool = false) throws(ApusError) {
    let directory = try StateDirectory(opening: id, root: root)
    if locked { try directory.lock() }
    var isBeingCreated = false
    let bytes: [UInt8]
    do throws(ApusError) {
      bytes = try directory.read(StateDirectory.stateFile, limit: 1 << 20)
    } catch {
      guard error.errno == ENOENT else { throw error }
      do throws(ApusError) {
        bytes = try directory.read(StateDirectory.newStateFile, limit: 1 << 20)
        isBeingCreated = true
      } catch {
        guard error.errno == ENOENT else { throw error }
        throw ApusError(.notFound, "container does not exist", cause: error.cause)
      }
    }
    record = try Record(json: bytes, subject: "The state of \(id)")
    guard record.id == id else { throw ApusError(.internal, "the state of \(id) is that of \(record.id)") }
    self.directory = directory
    self.isBeingCreated = isBeingCreated
    // Commands are as large as the largest of their parts, when each forgets the one before.
    clinux_forget_code()
  }

  func status() throws(ApusError) -> Record.Status {
    guard record.pid > 0, Processes.isRunning(record.pid, startTime: record.startTime) else { return .stopped }
    if isBeingCreated { return .creating }
    if try record.cgroups.isFrozen(record.cgroupPath) { return .paused }
    return directory.has(StateDirectory.startGate) ? .created : .running
  }

  /// Something to act on: the process is there and the one of the record.
  func open() throws(ApusError) -> Container {
    var filter: [UInt8] = []
    if directory.has(StateDirectory.filterFile) { filter = try directory.read(StateDirectory.filterFile) }
    var linux = LinuxSection(namespaces: record.namespaces)
    if !record.listenerPath.isEmpty {
      linux.seccomp = LinuxSeccomp()
      linux.seccomp?.listenerPath = record.listenerPath
      linux.seccomp?.listenerMetadata = record.listenerMetadata
    }
    let container = try Container(
      reopening: ContainerRecord(
        id: record.id, cgroupPath: record.cgroupPath, linux: linux,
        filter: filter, filterFlags: record.filterFlags, bundle: record.bundle, annotations: record.annotations,
        systemdUnit: record.unit),
      process: record.pid)
    guard Processes.isRunning(record.pid, startTime: record.startTime) else {
      throw ApusError(.conflict, "container not running")
    }
    return container
  }

  /// The configuration as it was when the container was made.
  func configuration() throws(ApusError) -> Spec {
    try Spec(json: directory.read(StateDirectory.configurationFile), subject: "The configuration of \(record.id)")
  }

  func hooks() throws(ApusError) -> Hooks? { record.hasHooks ? try configuration().hooks : nil }
}
