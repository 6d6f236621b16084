import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

extension Container {
  /// Makes a container whose first process waits just before its program (OCI: "created"). Whatever fails, nothing is
  /// left behind: no process, no mount, no cgroup, no descriptor.
  ///
  /// The process mounts its root while this one makes the cgroup: on two processors the one hides behind the other.
  public static func create(_ configuration: ContainerConfiguration) throws(ApusError) -> Container {
    try Streams.validate(preserving: configuration.preservedDescriptors)
    var plan = try Plan(configuration)
    let cgroups = try SystemdPlacement.driver(plan.configuration.systemd, toMake: plan.cgroupPath)
    plan.cgroupVersion = cgroups.version
    // Rules of devices are the host's root's to set; who is not root has no right over devices to lose.
    if !UserNamespace.isHostRoot { plan.limits.devices = [] }
    plan.sharesCgroup = (try? cgroups.processes(plan.cgroupPath).isEmpty) == false
    do {
      return try create(plan, cgroups: cgroups)
    } catch {
      if !plan.sharesCgroup { try? cgroups.remove(plan.cgroupPath) }
      throw error
    }
  }

  private static func create(_ plan: Plan, cgroups: any CgroupDriver) throws(ApusError) -> Container {
    var pair = try UnixSocket.pair(.packets)
    // Being born in a cgroup costs nothing, being moved to one later waits for other processors.
    let target = try cgroups.makeCloneTarget(plan.cgroupPath)
    defer { if target >= 0 { close(target) } }
    let mapped = try IDMapping.sources(plan.mounts)
    defer { for source in mapped.values { close(source) } }
    let first = FirstProcess(plan: plan, cgroups: cgroups, channel: pair.second.raw, mappedSources: mapped)
    let ours = pair.first.raw
    var processDescriptor: Int32 = -1
    func spawn() throws(ApusError) -> pid_t {
      let child = clinux_clone3(plan.namespaces.cloneFlags, &processDescriptor, SIGCHLD, target)
      if child == 0 {
        close(ours)
        first.run()
      }
      return try check(child, "cannot make the first process of \(plan.configuration.id)")
    }
    let process: pid_t
    if let path = plan.namespaces.joins(.process) {
      let namespace = try Files.open(path, flags: O_RDONLY)
      process = try Namespaces.whileJoined(process: namespace.raw, spawn)
    } else {
      process = try spawn()
    }
    // Only the child's copy may keep the channel open: its end is how we learn that the child has.
    pair.second = OwnedDescriptor(owning: -1)
    return try finish(
      plan, cgroups: cgroups, process: process, descriptor: OwnedDescriptor(owning: processDescriptor),
      channel: OwnedDescriptor(owning: pair.first.release())
    ) { (channel) throws(ApusError) in
      try cgroups.create(plan.cgroupPath, resources: plan.limits, with: process)
      // Before its program has a child that would be left out.
      let shares = try plan.linux.intelRdt.map { rdt throws(ApusError) in
        try ResourceControl().enter(rdt, id: plan.configuration.id, process: process)
      }
      try Channel.send(.cgroup, on: channel)
      if plan.namespaces.makes(.user) { try prepareUserNamespace(plan, process: process, channel: channel) }
      if let whenMade = plan.configuration.whenMade {
        let record = ContainerRecord(
          id: plan.configuration.id, cgroupPath: cgroups.version == 0 ? "" : plan.cgroupPath, linux: plan.linux,
          filter: plan.filter,
          filterFlags: plan.filterFlags, bundle: plan.configuration.bundle,
          annotations: plan.configuration.spec.annotations, systemdUnit: plan.configuration.systemd?.unit,
          sharesGroup: shares?.group ?? "", ownsSharesGroup: shares?.isOwn ?? false)
        try whenMade(process, record)
      }
    }
  }

  /// The caller's part of the set-up, then the wait for the process's. On failure the process and all of the container's
  /// are gone; the cgroup is the caller's to remove.
  static func finish(
    _ plan: Plan, cgroups: any CgroupDriver, process: pid_t, descriptor: consuming OwnedDescriptor,
    channel: consuming OwnedDescriptor, _ ourPart: (_ channel: Int32) throws(ApusError) -> Void = { _ in }
  ) throws(ApusError) -> Container {
    let ours = channel.raw
    var terminal: Int32 = -1
    var root: Int32 = -1
    do throws(ApusError) {
      try ourPart(ours)
      let raw = descriptor.raw
      try awaitReady(
        on: ours, terminal: &terminal, root: &root,
        hooks: { () throws(ApusError) in try plan.configuration.runtimeHooks?(process) },
        listener: { (number) throws(ApusError) in
          let state = plan.configuration.state("creating", process: process)
          try plan.agent?.deliver(number, of: process, descriptor: raw, state: state)
        })
    } catch {
      if terminal >= 0 { close(terminal) }
      if root >= 0 { close(root) }
      // What the child says is better than that it cannot be reached.
      var failure = error.cause is ExecFailure ? error : (lastWords(on: ours) ?? error)
      if failure.code == .internal || failure.errno == EPIPE, cgroups.oomKills(plan.cgroupPath) > 0 {
        failure = ApusError(
          .resourceExhausted,
          "the memory limit of \(plan.limits.memory.limit ?? 0) bytes is too small to set the container up in")
      }
      if !plan.sharesCgroup { try? cgroups.killAll(plan.cgroupPath) }
      _ = try? Processes.send(signal: SIGKILL, to: descriptor.raw)
      _ = try? Processes.wait(for: process)
      throw failure
    }
    return Container(
      id: plan.configuration.id, process: process, processDescriptor: descriptor, cgroupPath: plan.cgroupPath,
      cgroups: cgroups, namespaces: plan.namespaces, filter: plan.filter, filterFlags: plan.filterFlags,
      agent: plan.agent.map { ($0, plan.configuration.state("running", process: process)) }, domain: plan.domain,
      channel: channel.release(), terminal: terminal, root: root)
  }

  /// Maps the ids of a new user namespace, and makes what only the host's root can: an overlay of id-mapped layers.
  private static func prepareUserNamespace(_ plan: Plan, process: pid_t, channel: Int32) throws(ApusError) {
    try Namespaces.map(users: plan.linux.uidMappings, groups: plan.linux.gidMappings, of: process)
    guard let root = plan.configuration.root else { return try Channel.send(.mapped, on: channel) }
    let namespace = try Files.open("/proc/\(process)/ns/user", flags: O_RDONLY)
    guard let user = plan.linux.uidMappings.first(where: { $0.containerID == 0 })?.hostID,
      let group = plan.linux.gidMappings.first(where: { $0.containerID == 0 })?.hostID
    else { throw ApusError(.invalidArgument, "the mappings of a user namespace have to include user and group 0") }
    let mount = try root.mount(mapping: (namespace.raw, user, group))
    try Channel.send(.mapped, descriptor: mount.raw, on: channel)
  }

  /// Waits until only the program is missing; keeps the descriptors that come along.
  static func awaitReady(
    on channel: Int32, terminal: inout Int32, root: inout Int32, hooks: () throws(ApusError) -> Void = {},
    listener: (Int32) throws(ApusError) -> Void = { _ in }
  ) throws(ApusError) {
    while true {
      guard let (message, descriptor) = try Channel.receive(on: channel) else {
        throw ApusError(.internal, "the first process of the container ended during its set-up")
      }
      switch message {
      case .ready: return
      case .terminal: terminal = descriptor ?? -1
      case .root: root = descriptor ?? -1
      case .hooks:
        try hooks()
        try Channel.send(.hooked, on: channel)
      case .listener(let number):
        try listener(number)
        try Channel.send(.delivered, on: channel)
      case .failed(let error): throw error
      default: throw ApusError(.internal, "the first process of the container sent something unexpected")
      }
    }
  }

  /// An error that the other side had sent before it went away. Does not wait.
  private static func lastWords(on channel: Int32) -> ApusError? {
    var byte: UInt8 = 0
    while recv(channel, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) == 1 {
      guard let (message, descriptor) = try? Channel.receive(on: channel) else { return nil }
      if let descriptor { close(descriptor) }
      if case .failed(let error) = message { return error }
    }
    return nil
  }
}
