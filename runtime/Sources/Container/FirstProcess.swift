import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The first process of a container, from clone3(2) to its program. Runs in the child, which has one thread and a copy
/// of the caller's memory.
///
/// The order below is the point of this file. Whatever needs the host's tree comes before pivot_root(2), whatever needs
/// root's rights before they are given up; what the parent does meanwhile (the cgroup, the id maps) is waited for as
/// late as possible.
struct FirstProcess {
  let plan: Plan
  let cgroups: any CgroupDriver
  /// Packets to and from the caller.
  let channel: Int32
  /// What has been made ahead; see ``PreparedProcess``, which has also brought it into its cgroup then.
  var prepared: PreparedMounts?
  var isPrepared = false
  /// Id-mapped sources of binds, by index of the mount.
  var mappedSources: [Int: Int32] = [:]

  /// From clone3(2).
  func run() -> Never {
    end { () throws(ApusError) in
      // 1. Nothing of the caller but what this process needs: no log, no socket, no directory of the host survives into
      //    the container (CVE-2024-21626).
      let handover = plan.configuration.handover.map { [$0.start, $0.report] } ?? []
      let streams = try Streams.inherit(
        plan.configuration.streams, keeping: [channel] + handover + mappedSources.values,
        preserving: plan.configuration.preservedDescriptors)
      try leaveCaller()
      return streams
    }
  }

  /// From where ``PreparedProcess`` has come to: it has done all of `run`'s beginning, and its streams are the only
  /// other descriptors.
  func proceed() -> Never { end { () in Streams.received(plan.configuration.streams) } }

  private func end(_ streams: () throws(ApusError) -> Streams) -> Never {
    do throws(ApusError) {
      let program = try setUp(streams())
      try Channel.send(.ready, on: channel)
      if let handover = plan.configuration.handover { beStarted(program, by: handover) }
      guard Channel.waitForStart(on: channel) else { clinux_exit(1) }
      try runHooks(plan.configuration.spec.hooks?.startContainer, kind: "startContainer", status: "created")
      if plan.configuration.useInit {
        throw InitProcess(program: program, channel: channel, hasTerminal: terminalSize != nil).run()
      }
      throw program.execute()
    } catch {
      try? Channel.send(.failed(error), on: channel)
      clinux_exit(1)
    }
  }

  /// Waits for another process than the caller, which may be gone by then.
  private func beStarted(_ program: Program, by handover: Handover) -> Never {
    guard Channel.waitForStart(on: handover.start) else { clinux_exit(1) }
    do throws(ApusError) {
      try runHooks(plan.configuration.spec.hooks?.startContainer, kind: "startContainer", status: "created")
      throw program.execute()
    } catch {
      try? Channel.send(.failed(error), on: handover.report)
    }
    clinux_exit(1)
  }

  /// Hooks in the container's namespaces. Their paths are those of whatever this process's root is at the moment.
  private func runHooks(_ hooks: [Hook]?, kind: String, status: String) throws(ApusError) {
    guard let hooks, !hooks.isEmpty else { return }
    try HookRunner.run(hooks, kind: kind, state: plan.configuration.state(status, process: getpid()))
  }

  var terminalSize: (rows: UInt16, columns: UInt16)? {
    if case .terminal(let rows, let columns) = plan.configuration.streams { return (rows, columns) }
    return nil
  }

  /// Signals and life are no longer the caller's.
  func leaveCaller() throws(ApusError) {
    clinux_reset_signals()
    if plan.configuration.endsWithCaller { try processControl(PrctlOption.parentDeathSignal, UInt(SIGKILL)) }
  }

  /// A network namespace of its own begins with a loopback interface that is down.
  func setUpNetwork() throws(ApusError) {
    if plan.namespaces.makes(.network) {
      try check(clinux_interface_up("lo"), "cannot bring up the loopback interface")
    }
    try Sysctl.apply(plan.linux.sysctl, namespaces: plan.namespaces)
  }

  private func setUp(_ streams: Streams) throws(ApusError) -> Program {
    let namespaces = plan.namespaces
    if !namespaces.joined.isEmpty {
      // Processes that are in those namespaces already must not be able to look into this one, which still has the
      // host's tree open.
      try processControl(PrctlOption.dumpable, 0)
    }
    // The host's /proc is needed by this and by sysctls; the container's own would be the container's word.
    if let score = plan.process.oomScoreAdj { try ProcessAttributes.setOOMScore(score) }
    let labels = try SecurityLabels(plan.process)

    // 2. Namespaces. With a user namespace nothing works before its ids are mapped and one of them is ours; but as that
    //    one the host's cgroups are out of reach, so they come first.
    var mappedRoot: Int32?
    var inCgroup = isPrepared
    if isPrepared {
      try check(clinux_unshare(Namespaces.Kind.mount.rawValue), "cannot make a mount namespace")
    }
    if namespaces.makes(.user) || namespaces.joins(.user) != nil {
      try enterCgroup()
      inCgroup = true
    }
    if namespaces.makes(.user) {
      mappedRoot = try waitFor(.mapped)
      try becomeRootOfUserNamespace()
    }
    try namespaces.join()
    if namespaces.makes(.time) { try Namespaces.enterNewTime(offsets: plan.linux.timeOffsets) }
    try nameHost()
    if !isPrepared { try setUpNetwork() }

    // 3. The copy of the host's mounts: from here on nothing done to them travels back. Where the mounts are not a copy
    //    but somebody's own (no mount namespace, or a joined one), nothing at all is done to them.
    let shared = plan.linux.rootfsPropagation.hasSuffix("shared")
    let ownsMounts = namespaces.makes(.mount)
    if ownsMounts, !shared { try Mounts.setAttributes("/", propagation: .slave, recursive: true) }
    // Sources are copied while they are still peers of the host's mounts, which is what makes rshared and rslave work.
    var sources = try cloneSources()

    // 4. The root.
    if ownsMounts { try Mounts.setAttributes("/", propagation: .private) }
    let host = try Files.open("/", flags: O_PATH | O_DIRECTORY)
    let root = try makeRoot(mapped: mappedRoot)
    if plan.configuration.root?.upper != nil { try Channel.send(.root, descriptor: root.raw, on: channel) }
    let tree = RootTree(descriptor: root.raw)

    // 5. What belongs on it, in the request's order. The cgroup is waited for only where it is shown.
    let ahead = prepared.flatMap { $0.fit(plan) ? $0 : nil }
    for (index, mount) in plan.mounts.enumerated() {
      if let ahead, mount.type != "bind" {
        if let made = ahead.tree(for: mount) { try tree.attach(made, for: mount) }
      } else if mount.type == "cgroup" || mount.type == "cgroup2" {
        if !inCgroup { try enterCgroup() }
        inCgroup = true
        try tree.attachCgroups(mount, path: plan.cgroupPath, version: cgroups.version)
      } else {
        try tree.attach(mount, source: sources.removeValue(forKey: index), label: plan.linux.mountLabel)
      }
    }
    if ahead == nil, plan.ownsDevices {
      try tree.fillDevices(plan.linux.devices, bindFromHost: namespaces.makes(.user))
    }
    if !inCgroup { try enterCgroup() }

    // 6. The terminal, from the container's own devpts so that its name means something inside.
    var terminal: Int32 = -1
    if let size = terminalSize { terminal = try openConsole(tree, size: size) }

    // Hooks may still mount something, which the covers then cover.
    if plan.configuration.runtimeHooks != nil {
      try Channel.send(.hooks, on: channel)
      _ = try waitFor(.hooked)
    }

    // 7. Covers go on last: nothing set up here may go through them, and nothing may be mounted over them.
    func uncovered(_ paths: [String]) -> [String] { ahead.map { ahead in paths.filter { !ahead.covers($0) } } ?? paths }
    try tree.makeReadOnly(uncovered(plan.linux.readonlyPaths))
    try tree.mask(uncovered(plan.linux.maskedPaths))
    if plan.configuration.createWorkingDirectory, !plan.process.cwd.isEmpty {
      _ = try tree.openOrMake(plan.process.cwd, directory: true)
    }
    if plan.configuration.spec.root?.readonly == true {
      try Mounts.setAttributes(at: root.raw, "", set: .readOnly)
    }

    // 8. The host's tree goes away; the last who need it are hooks, whose programs are the host's.
    try runHooks(plan.configuration.spec.hooks?.createContainer, kind: "createContainer", status: "creating")
    try pivot(into: root.raw, from: host.raw, shared: shared)
    if let propagation = rootPropagation {
      try Mounts.setAttributes("/", propagation: propagation.0, recursive: propagation.1)
    }

    // 9. What this process is: session, limits, directory, user, rights, filter, program.
    try plan.memoryPolicy?.apply()
    let program = try ProcessSetUp(
      process: plan.process, streams: streams, terminal: terminal, resourceLimits: plan.resourceLimits,
      capabilities: plan.capabilities, filter: plan.filter, filterFlags: plan.filterFlags,
      user: plan.configuration.user, additionalGroups: plan.configuration.additionalGroups, labels: labels,
      domain: plan.domain, channel: channel, keyring: plan.configuration.ownKeyring ? plan.configuration.id : nil,
      preserved: plan.configuration.preservedDescriptors
    ).apply(root: tree)
    // Again: a change of user has cancelled it.
    if plan.configuration.endsWithCaller { try processControl(PrctlOption.parentDeathSignal, UInt(SIGKILL)) }
    return program
  }

  // MARK: Steps

  private func waitFor(_ expected: Channel.Message) throws(ApusError) -> Int32? {
    guard let (message, descriptor) = try Channel.receive(on: channel), message.byte == expected.byte else {
      // The caller has given up or is gone: nobody is left to be told.
      clinux_exit(1)
    }
    return descriptor
  }

  func enterCgroup() throws(ApusError) {
    _ = try waitFor(.cgroup)
    try cgroups.enter(plan.cgroupPath, clonedInto: true)
    // Its root is the group this process is in now.
    if plan.namespaces.makes(.cgroup) {
      try check(clinux_unshare(Namespaces.Kind.cgroup.rawValue), "cannot make a cgroup namespace")
    }
  }

  private func becomeRootOfUserNamespace() throws(ApusError) {
    try check(clinux_setgroups(0, nil), "cannot leave the host's groups")
    try check(clinux_setresgid(0), "cannot become root's group in the user namespace")
    try check(clinux_setresuid(0), "cannot become root in the user namespace")
  }

  private func nameHost() throws(ApusError) {
    let spec = plan.configuration.spec
    guard !spec.hostname.isEmpty || !spec.domainname.isEmpty else { return }
    if !spec.hostname.isEmpty {
      try check(sethostname(spec.hostname, spec.hostname.utf8.count), "cannot set the host name \(spec.hostname)")
    }
    if !spec.domainname.isEmpty {
      try check(setdomainname(spec.domainname, spec.domainname.utf8.count), "cannot set the domain \(spec.domainname)")
    }
  }
}
