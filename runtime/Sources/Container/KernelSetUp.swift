import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The steps of a container's set-up as system calls.
struct KernelSetUp: SetUpSteps {
  private let first: FirstProcess
  private let plan: Plan
  private let streams: Streams
  /// What has been made ahead and is as this request wants it.
  let ahead: PreparedMounts?
  private(set) var program: Program?

  // What one step leaves for a later one. Descriptors, or -1.
  private var labels: SecurityLabels?
  private var mappedRoot: Int32?
  private var openSources: [Int: Int32] = [:]
  private var sources: [Int: Int32] = [:]
  private var host: Int32 = -1
  private var root: Int32 = -1
  private var terminal: Int32 = -1

  init(first: FirstProcess, streams: Streams) {
    self.first = first
    plan = first.plan
    self.streams = streams
    let plan = first.plan
    ahead = first.prepared.flatMap { $0.fit(plan) ? $0 : nil }
  }

  private var tree: RootTree { RootTree(descriptor: root) }

  mutating func hide() throws(ApusError) { try processControl(PrctlOption.dumpable, 0) }

  mutating func useHostFiles() throws(ApusError) {
    if let score = plan.process.oomScoreAdj { try ProcessAttributes.setOOMScore(score) }
    labels = try SecurityLabels(plan.process)
  }

  // MARK: Namespaces

  mutating func makeMountNamespace() throws(ApusError) {
    try check(clinux_unshare(Namespaces.Kind.mount.rawValue), "cannot make a mount namespace")
  }

  mutating func enterCgroup() throws(ApusError) { try first.enterCgroup() }

  mutating func becomeRootOfUserNamespace() throws(ApusError) {
    if plan.namespaces.makes(.mount) { openSources = first.openSources() }
    mappedRoot = try first.waitFor(.mapped)
    // An unprivileged maker of the namespace may not let it leave groups, and has none that could be abused.
    if clinux_setgroups(0, nil) < 0, errno != EPERM || !Namespaces.deniesGroups {
      try check(-1 as Int32, "cannot leave the host's groups")
    }
    try check(clinux_setresgid(0), "cannot become root's group in the user namespace")
    try check(clinux_setresuid(0), "cannot become root in the user namespace")
  }

  mutating func joinNamespaces() throws(ApusError) { try plan.namespaces.join() }

  mutating func enterNewTime() throws(ApusError) { try Namespaces.enterNewTime(offsets: plan.linux.timeOffsets) }

  mutating func nameHost() throws(ApusError) {
    let spec = plan.configuration.spec
    if !spec.hostname.isEmpty {
      try check(sethostname(spec.hostname, spec.hostname.utf8.count), "cannot set the host name \(spec.hostname)")
    }
    if !spec.domainname.isEmpty {
      try check(setdomainname(spec.domainname, spec.domainname.utf8.count), "cannot set the domain \(spec.domainname)")
    }
  }

  mutating func setUpNetwork() throws(ApusError) { try first.setUpNetwork() }

  // MARK: Mounts

  mutating func receiveMounts() throws(ApusError) {
    try Mounts.setAttributes("/", propagation: .slave, recursive: true)
  }

  mutating func copySources() throws(ApusError) { sources = try first.cloneSources(opened: openSources) }

  mutating func isolateRoot() throws(ApusError) { try Mounts.setAttributes("/", propagation: .private) }

  mutating func makeRoot() throws(ApusError) {
    host = try Files.open("/", flags: O_PATH | O_DIRECTORY).release()
    root = try first.makeRoot(mapped: mappedRoot).release()
    if plan.configuration.root?.upper != nil { try Channel.send(.root, descriptor: root, on: first.channel) }
  }

  mutating func mount(_ index: Int) throws(ApusError) {
    let mount = plan.mounts[index]
    if let ahead, mount.type != "bind" {
      if let made = ahead.tree(for: mount) { try tree.attach(made, for: mount) }
    } else if mount.isCgroup {
      try tree.attachCgroups(mount, path: plan.cgroupPath, version: first.cgroups.version)
    } else {
      try tree.attach(mount, source: sources.removeValue(forKey: index), label: plan.linux.mountLabel)
    }
  }

  mutating func fillDevices() throws(ApusError) {
    let mayMakeNodes = UserNamespace.isHostRoot && !plan.namespaces.makes(.user)
    try tree.fillDevices(plan.linux.devices, bindFromHost: !mayMakeNodes)
  }

  mutating func openConsole() throws(ApusError) {
    guard let size = first.terminalSize else { return }
    terminal = try first.openConsole(tree, size: size)
  }

  mutating func awaitRuntimeHooks() throws(ApusError) {
    try Channel.send(.hooks, on: first.channel)
    _ = try first.waitFor(.hooked)
  }

  mutating func cover() throws(ApusError) {
    let ahead = ahead
    func uncovered(_ paths: [String]) -> [String] { ahead.map { ahead in paths.filter { !ahead.covers($0) } } ?? paths }
    try tree.makeReadOnly(uncovered(plan.linux.readonlyPaths))
    try tree.mask(uncovered(plan.linux.maskedPaths))
  }

  mutating func makeWorkingDirectory() throws(ApusError) {
    _ = try tree.openOrMake(plan.process.cwd, directory: true)
  }

  mutating func makeRootReadOnly() throws(ApusError) { try Mounts.setAttributes(at: root, "", set: .readOnly) }

  // MARK: Leaving

  mutating func runContainerHooks() throws(ApusError) {
    try first.runHooks(plan.configuration.spec.hooks?.createContainer, kind: "createContainer", status: "creating")
  }

  mutating func leaveHost() throws(ApusError) {
    try first.pivot(into: root, from: host, shared: plan.sharesMounts)
    close(host)
  }

  mutating func setRootPropagation() throws(ApusError) {
    guard let (propagation, recursive) = first.rootPropagation else { return }
    try Mounts.setAttributes("/", propagation: propagation, recursive: recursive)
  }

  mutating func becomeProcess() throws(ApusError) {
    try plan.memoryPolicy?.apply()
    let configuration = plan.configuration
    // Opened by a step that every set-up takes.
    let labels = if let labels { labels } else { try SecurityLabels(plan.process) }
    program = try ProcessSetUp(
      process: plan.process, streams: streams, terminal: terminal, resourceLimits: plan.resourceLimits,
      capabilities: plan.capabilities, filter: plan.filter, filterFlags: plan.filterFlags, user: configuration.user,
      additionalGroups: configuration.additionalGroups, labels: labels, domain: plan.domain, channel: first.channel,
      keyring: configuration.ownKeyring ? configuration.id : nil, preserved: configuration.preservedDescriptors
    ).apply(root: tree)
    close(root)
    // Again: a change of user has cancelled it.
    if configuration.endsWithCaller { try processControl(PrctlOption.parentDeathSignal, UInt(SIGKILL)) }
  }
}
