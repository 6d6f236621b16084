import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The first process of a container, from clone3(2) to its program. Runs in the child, which has one thread and a copy
/// of the caller's memory. In which order it becomes the container is said by ``SetUpOrder``.
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
      // Nothing of the caller but what this process needs: no log, no socket, no directory of the host survives into the
      // container (CVE-2024-21626).
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
  func runHooks(_ hooks: [Hook]?, kind: String, status: String) throws(ApusError) {
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
    var steps = KernelSetUp(first: self, streams: streams)
    try SetUpOrder.run(plan, isPrepared: isPrepared, hasDevices: steps.ahead != nil, &steps)
    guard let program = steps.program else { throw ApusError(.internal, "the set-up of a container has no program") }
    return program
  }

  // MARK: Steps

  func waitFor(_ expected: Channel.Message) throws(ApusError) -> Int32? {
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
}
