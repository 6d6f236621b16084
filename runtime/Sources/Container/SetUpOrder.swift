import Errors

/// What the first process of a container does to become it, one by one. A seam: the kernel's own are in
/// ``KernelSetUp``, and tests record which are taken and in which order.
protocol SetUpSteps {
  /// Processes of joined namespaces can no longer trace this one or look into its /proc directory.
  mutating func hide() throws(ApusError)
  /// What goes through the host's /proc: the OOM score; the files that take the labels are opened.
  mutating func useHostFiles() throws(ApusError)
  mutating func makeMountNamespace() throws(ApusError)
  /// Waits for the caller to have made the group.
  mutating func enterCgroup() throws(ApusError)
  /// Waits for the caller to have mapped the ids.
  mutating func becomeRootOfUserNamespace() throws(ApusError)
  mutating func joinNamespaces() throws(ApusError)
  mutating func enterNewTime() throws(ApusError)
  mutating func nameHost() throws(ApusError)
  mutating func setUpNetwork() throws(ApusError)
  /// Mounts come from the host, and none travel back.
  mutating func receiveMounts() throws(ApusError)
  mutating func copySources() throws(ApusError)
  /// What is mounted on the host's root is no longer seen, either.
  mutating func isolateRoot() throws(ApusError)
  mutating func makeRoot() throws(ApusError)
  /// Attaches the entry of the request with this index.
  mutating func mount(_ index: Int) throws(ApusError)
  mutating func fillDevices() throws(ApusError)
  mutating func openConsole() throws(ApusError)
  /// Waits for the caller to have run them.
  mutating func awaitRuntimeHooks() throws(ApusError)
  mutating func cover() throws(ApusError)
  mutating func makeWorkingDirectory() throws(ApusError)
  mutating func makeRootReadOnly() throws(ApusError)
  mutating func runContainerHooks() throws(ApusError)
  mutating func leaveHost() throws(ApusError)
  mutating func setRootPropagation() throws(ApusError)
  /// Session, limits, directory, user, rights, filter: everything but the program.
  mutating func becomeProcess() throws(ApusError)
}

/// The order of the steps, which is what keeps a container from the host's tree and from root's rights.
///
/// Whatever needs the host's tree comes before ``SetUpSteps/leaveHost()``, whatever needs root's rights before
/// ``SetUpSteps/becomeProcess()``; what the caller does meanwhile (the cgroup, the id maps) is waited for as late as
/// possible.
enum SetUpOrder {
  /// - Parameters:
  ///   - isPrepared: the process has been made ahead: it is in its cgroup, and has its network.
  ///   - hasDevices: so has its /dev.
  static func run(
    _ plan: Plan, isPrepared: Bool, hasDevices: Bool, _ steps: inout some SetUpSteps
  ) throws(ApusError) {
    let namespaces = plan.namespaces
    let spec = plan.configuration.spec
    // Before anybody of those namespaces can see this process, which still has the host's tree open (CVE-2016-9962).
    if !namespaces.joined.isEmpty { try steps.hide() }
    // The container's own /proc would be the container's word (CVE-2019-19921, CVE-2025-52881).
    try steps.useHostFiles()

    // Namespaces. With a user namespace nothing works before its ids are mapped and one of them is ours; but as that one
    // the host's cgroups are out of reach, so they come first.
    var inCgroup = isPrepared
    if isPrepared { try steps.makeMountNamespace() }
    if namespaces.makes(.user) || namespaces.joins(.user) != nil {
      if !inCgroup { try steps.enterCgroup() }
      inCgroup = true
    }
    if namespaces.makes(.user) { try steps.becomeRootOfUserNamespace() }
    try steps.joinNamespaces()
    if namespaces.makes(.time) { try steps.enterNewTime() }
    try steps.nameHost()
    if !isPrepared { try steps.setUpNetwork() }

    // The copy of the host's mounts: from here on nothing done to them travels back. Where the mounts are not a copy but
    // somebody's own (no mount namespace, or a joined one), nothing at all is done to them.
    let ownsMounts = namespaces.makes(.mount)
    if ownsMounts, !plan.sharesMounts { try steps.receiveMounts() }
    // While they are still peers of the host's mounts, which is what makes rshared and rslave work.
    try steps.copySources()
    if ownsMounts { try steps.isolateRoot() }
    try steps.makeRoot()

    // What belongs on the root, in the request's order. The cgroup is waited for only where it is shown.
    for (index, mount) in plan.mounts.enumerated() {
      if !inCgroup, mount.isCgroup {
        try steps.enterCgroup()
        inCgroup = true
      }
      try steps.mount(index)
    }
    if !hasDevices, plan.ownsDevices { try steps.fillDevices() }
    if !inCgroup { try steps.enterCgroup() }
    // From the container's own devpts, so that its name means something inside.
    if case .terminal = plan.configuration.streams { try steps.openConsole() }
    // They may still mount something, which the covers then cover.
    if plan.configuration.runtimeHooks != nil { try steps.awaitRuntimeHooks() }

    // Covers go on last: nothing set up here may go through them, and nothing may be mounted over them
    // (CVE-2025-31133).
    try steps.cover()
    if plan.configuration.createWorkingDirectory, !plan.process.cwd.isEmpty { try steps.makeWorkingDirectory() }
    // After all that makes something in it.
    if spec.root?.readonly == true { try steps.makeRootReadOnly() }

    // The host's tree goes away; the last who need it are hooks, whose programs are the host's.
    if spec.hooks?.createContainer.isEmpty == false { try steps.runContainerHooks() }
    try steps.leaveHost()
    // Not before: what is shared cannot be pivoted to.
    if !plan.linux.rootfsPropagation.isEmpty { try steps.setRootPropagation() }
    try steps.becomeProcess()
  }
}

extension Plan {
  /// Whether mounts made in the container are to be seen on the host.
  var sharesMounts: Bool { linux.rootfsPropagation.hasSuffix("shared") }
}

extension PlannedMount {
  var isCgroup: Bool { type == "cgroup" || type == "cgroup2" }
}
