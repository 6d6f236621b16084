import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

extension Container {
  /// Runs one more process in the running container; returns when the kernel has executed its program. On failure the
  /// process has been reaped; the error's cause is an ``ExecFailure`` when the program could not be executed.
  public func exec(_ configuration: ExecConfiguration) throws(ApusError) -> ExecProcess {
    guard configuration.ignoresPause || !cgroups.isFrozen(cgroupPath) else {
      // The new process would stop on entering the group, and this one wait for it.
      throw ApusError(.conflict, "the container \(id) is paused; unpause it before executing a process in it")
    }
    try Streams.validate(preserving: configuration.preservedDescriptors)
    var pair = try UnixSocket.pair(.packets)
    let (executed, root) = try prepare(configuration, channel: pair.second.raw)
    defer { if root >= 0 { close(root) } }
    let group = try cgroups.cloneTarget(executed.cgroupPath)
    defer { if group >= 0 { close(group) } }
    let ours = pair.first.raw
    var processDescriptor: Int32 = -1
    func spawn() throws(ApusError) -> pid_t {
      let child = clinux_clone3(0, &processDescriptor, SIGCHLD, executed.affinity == nil ? group : -1)
      if child == 0 {
        close(ours)
        executed.run()
      }
      return try check(child, "cannot make a process in \(id)")
    }
    // The process namespace is the one thing that a process cannot enter by itself: it has to be born there.
    let process: pid_t
    if executed.isInUserNamespace {
      process = try spawnThroughUserNamespace(executed, descriptor: &processDescriptor, closing: ours)
    } else if namespaces.makes(.process) || namespaces.joins(.process) != nil {
      process = try Namespaces.whileJoined(process: self.processDescriptor.raw, spawn)
    } else {
      process = try spawn()
    }
    pair.second = OwnedDescriptor(owning: -1)
    let descriptor = OwnedDescriptor(owning: processDescriptor)
    var terminal: Int32 = -1
    do throws(ApusError) {
      while let (message, received) = try Channel.receive(on: ours) {
        switch message {
        case .terminal: terminal = received ?? -1
        case .listener(let number):
          if let (agent, state) = agent {
            try agent.deliver(number, of: process, descriptor: descriptor.raw, state: state)
          }
          try Channel.send(.delivered, on: ours)
        case .failed(let error): throw error
        default: throw ApusError(.internal, "a process executed in \(id) sent something unexpected")
        }
      }
    } catch {
      if terminal >= 0 { close(terminal) }
      _ = try? Processes.send(signal: SIGKILL, to: descriptor.raw)
      _ = try? Processes.wait(for: process)
      throw error
    }
    return ExecProcess(process: process, terminal: terminal)
  }

  /// For an ordinary user, who has a right to the container's process namespace only as root of its user namespace: a
  /// child goes there, makes the process as its sibling, and ends.
  private func spawnThroughUserNamespace(
    _ executed: ExecutedProcess, descriptor: inout Int32, closing ours: Int32
  ) throws(ApusError) -> pid_t {
    var pipe = try Pipe()
    let between = clinux_clone3(0, nil, SIGCHLD, -1)
    if between == 0 {
      close(ours)
      // CLONE_PARENT, with which the signal of the end is this process's own.
      let kinds = Namespaces.Kind.user.rawValue | (namespaces.makes(.process) ? Namespaces.Kind.process.rawValue : 0)
      var process = clinux_setns(self.processDescriptor.raw, kinds) < 0 ? -errno : clinux_clone3(0x8000, nil, 0, -1)
      if process == 0 { executed.run() }
      if process == -1 { process = -errno }
      _ = write(pipe.writeEnd.raw, &process, 4)
      clinux_exit(0)
    }
    try check(between, "cannot make a process in \(id)")
    pipe.writeEnd = OwnedDescriptor(owning: -1)
    var process: Int32 = -EPIPE
    _ = retrying { read(pipe.readEnd.raw, &process, 4) }
    _ = try Processes.wait(for: between)
    guard process > 0 else { throw ApusError(errno: -process, "cannot enter the container \(id)") }
    descriptor = try Processes.open(process).release()
    return process
  }

  /// What can be wrong with the request is found here, before there is a process. The second is the container's root,
  /// the caller's to close; -1 where joining its mount namespace leads there.
  private func prepare(
    _ configuration: ExecConfiguration, channel: Int32
  ) throws(ApusError) -> (ExecutedProcess, root: Int32) {
    let process = configuration.process
    let capabilities = try CapabilitySets(process.capabilities)
    if !namespaces.makes(.user) { try capabilities.checkAvailable() }
    try Plan.validate(process)
    try SecurityLabels.validate(process)
    var path = cgroupPath
    let below = configuration.cgroup.split(separator: "/").joined(separator: "/")
    if !below.isEmpty {
      guard cgroups.version != 0 else {
        throw ApusError(.unsupported, "cannot enter the control group \(below): the container \(id) has none")
      }
      path += "/\(below)"
      try Cgroups.validate(path)
    }
    let resourceLimits = try Plan.resourceLimits(process)
    let initial = process.execCPUAffinity?.initial ?? ""
    var executed = ExecutedProcess(
      configuration: configuration, capabilities: capabilities, resourceLimits: resourceLimits, namespaces: namespaces,
      target: processDescriptor.raw, cgroups: cgroups, cgroupPath: path, filter: filter, filterFlags: filterFlags,
      keyring: configuration.ownKeyring ? id : nil, channel: channel)
    executed.domain = domain
    executed.isInUserNamespace = geteuid() != 0 && namespaces.makes(.user)
    if !initial.isEmpty {
      executed.affinity = try ProcessorList(initial, field: "process.execCPUAffinity.initial")
    }
    if let final = process.execCPUAffinity?.final, !final.isEmpty {
      executed.finalAffinity = try ProcessorList(final, field: "process.execCPUAffinity.final")
    }
    if !namespaces.makes(.mount) {
      executed.root = try Files.open("/proc/\(self.process)/root", flags: O_PATH | O_DIRECTORY).release()
    }
    return (executed, executed.root)
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
  let keyring: String?
  let channel: Int32
  /// The processors until it is in the container's group, and from then on.
  var affinity: ProcessorList?
  var finalAffinity: ProcessorList?
  var domain: UInt?
  /// Whether it is born in the container's user namespace.
  var isInUserNamespace = false
  /// The container's root, where no mount namespace of its own has it; or -1.
  var root: Int32 = -1

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
    let streams = try Streams.inherit(
      configuration.streams, keeping: [channel, target] + (root >= 0 ? [root] : []),
      preserving: configuration.preservedDescriptors)
    clinux_reset_signals()
    // The host's files, which are out of reach below.
    if let score = configuration.process.oomScoreAdj { try ProcessAttributes.setOOMScore(score) }
    let labels = try SecurityLabels(configuration.process)
    // Moving, not being born into the group, where the first processors may not be all of the container's.
    try affinity?.applyAsAffinity("process.execCPUAffinity.initial")
    // Nor where it was born through the user namespace, outside of the group.
    try cgroups.enter(cgroupPath, clonedInto: affinity == nil && !isInUserNamespace)
    try finalAffinity?.applyAsAffinity("process.execCPUAffinity.final")

    // All at once, in the order the kernel knows to be right. Root and working directory become the container's.
    let user = isInUserNamespace ? Namespaces.Kind.user.rawValue : 0
    try check(clinux_setns(target, namespaces.joinedByExec & ~user), "cannot enter the container")
    close(target)
    if root >= 0 {
      // In a namespace that is not the container's own its root is not the container's.
      try check(fchdir(root), "cannot enter the container's root")
      try check(chroot("."), "cannot make the container's root the root")
      close(root)
    }
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
      additionalGroups: configuration.additionalGroups, labels: labels, domain: domain, channel: channel,
      keyring: keyring,
      preserved: configuration.preservedDescriptors
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
