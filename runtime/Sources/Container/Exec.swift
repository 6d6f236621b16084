import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

extension Container {
  /// Runs one more process in the running container; returns when the kernel has executed its program. On failure the
  /// process has been reaped; the error's cause is an ``ExecFailure`` when the program could not be executed.
  public func exec(_ configuration: ExecConfiguration) throws(ApusError) -> ExecProcess {
    guard !cgroups.isFrozen(cgroupPath) else {
      // The new process would stop on entering the group, and this one wait for it.
      throw ApusError(.conflict, "the container \(id) is paused; unpause it before executing a process in it")
    }
    let capabilities = try CapabilitySets(configuration.process.capabilities)
    try capabilities.checkAvailable()
    var pair = try UnixSocket.pair(.packets)
    let executed = ExecutedProcess(
      configuration: configuration, capabilities: capabilities,
      resourceLimits: try Plan.resourceLimits(configuration.process), namespaces: namespaces,
      target: processDescriptor.raw, cgroups: cgroups, cgroupPath: cgroupPath, filter: filter,
      filterFlags: filterFlags, keyring: id, channel: pair.second.raw)
    let group = try cgroups.cloneTarget(cgroupPath)
    defer { if group >= 0 { close(group) } }
    let ours = pair.first.raw
    func spawn() throws(ApusError) -> pid_t {
      let child = clinux_clone3(0, nil, SIGCHLD, group)
      if child == 0 {
        close(ours)
        executed.run()
      }
      return try check(child, "cannot make a process in \(id)")
    }
    // The process namespace is the one thing that a process cannot enter by itself: it has to be born there.
    let process: pid_t
    if namespaces.makes(.process) || namespaces.joins(.process) != nil {
      process = try Namespaces.whileJoined(process: processDescriptor.raw, spawn)
    } else {
      process = try spawn()
    }
    pair.second = OwnedDescriptor(owning: -1)
    var terminal: Int32 = -1
    do throws(ApusError) {
      while let (message, descriptor) = try Channel.receive(on: ours) {
        switch message {
        case .terminal: terminal = descriptor ?? -1
        case .failed(let error): throw error
        default: throw ApusError(.internal, "a process executed in \(id) sent something unexpected")
        }
      }
    } catch {
      if terminal >= 0 { close(terminal) }
      kill(process, SIGKILL)
      _ = try? Processes.wait(for: process)
      throw error
    }
    return ExecProcess(process: process, terminal: terminal)
  }
}

/// An executed process, from clone3(2) to its program. Runs in the child.
struct ExecutedProcess {
  let configuration: ExecConfiguration
  let capabilities: CapabilitySets
  let resourceLimits: [(limit: ResourceLimit, soft: UInt64, hard: UInt64)]
  let namespaces: Namespaces
  /// A pidfd of the container's first process.
  let target: Int32
  let cgroups: any CgroupDriver
  let cgroupPath: String
  let filter: [UInt8]
  let filterFlags: UInt32
  let keyring: String
  let channel: Int32

  func run() -> Never {
    do throws(ApusError) {
      throw try setUp().execute()
    } catch {
      try? Channel.send(.failed(error), on: channel)
      clinux_exit(1)
    }
  }

  private func setUp() throws(ApusError) -> Program {
    // The container's processes see this one from its first moment, and must not be able to trace it or to look into
    // its /proc directory while it still has the host's tree (CVE-2016-9962).
    try processControl(PrctlOption.dumpable, 0)
    let streams = try Streams.inherit(configuration.streams, keeping: [channel, target])
    clinux_reset_signals()
    // The host's files, which are out of reach below.
    if let score = configuration.process.oomScoreAdj { try ProcessAttributes.setOOMScore(score) }
    let label = try ProcessAttributes.openLabel(configuration.process.apparmorProfile)
    try cgroups.enter(cgroupPath, clonedInto: true)

    // All at once, in the order the kernel knows to be right. Root and working directory become the container's.
    try check(clinux_setns(target, namespaces.joinedByExec), "cannot enter the container")
    close(target)
    if namespaces.makes(.user) || namespaces.joins(.user) != nil {
      try check(clinux_setresgid(0), "cannot become root's group in the user namespace")
      try check(clinux_setresuid(0), "cannot become root in the user namespace")
    }
    let root = try Files.open("/", flags: O_PATH | O_DIRECTORY)
    let tree = RootTree(descriptor: root.raw)

    var terminal: Int32 = -1
    if case .terminal(let rows, let columns) = configuration.streams {
      let directory = try tree.open("/dev/pts", flags: O_RDONLY | O_DIRECTORY)
      var console = try Terminal.open(at: directory.raw, ptmx: "ptmx")
      if rows > 0, columns > 0 { try Terminal.resize(console.slave.raw, rows: rows, columns: columns) }
      try Channel.send(.terminal, descriptor: console.master.raw, on: channel)
      console.master = OwnedDescriptor(owning: -1)
      terminal = console.slave.release()
    }
    return try ProcessSetUp(
      process: configuration.process, streams: streams, terminal: terminal, resourceLimits: resourceLimits,
      capabilities: capabilities, filter: filter, filterFlags: filterFlags, user: configuration.user,
      additionalGroups: configuration.additionalGroups, label: label, keyring: keyring
    ).apply(root: tree)
  }
}

extension Namespaces {
  /// What an executed process joins: everything the container does not share with the host, except the process
  /// namespace, in which it is born.
  var joinedByExec: Int32 {
    (made + joined.map(\.kind)).reduce(0) { $1 == .process ? $0 : $0 | $1.rawValue }
  }
}
