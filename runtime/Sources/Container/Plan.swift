import Errors
import Glibc
import Linux
import RuntimeSpec

/// A configuration, read and checked: everything that can be wrong with the request itself is found here, before there
/// is a process.
struct Plan: Sendable {
  var configuration: ContainerConfiguration
  var process: ProcessSpec
  var linux: LinuxSection
  var namespaces: Namespaces
  var mounts: [PlannedMount]
  var capabilities: CapabilitySets
  var limits: CgroupResources
  var resourceLimits: [(limit: ResourceLimit, soft: UInt64, hard: UInt64)]
  var cgroupPath: String
  var filter: [UInt8] = []
  var filterFlags: UInt32 = 0
  var cgroupVersion = 1
  /// Whether somebody else is in the control group already: what fails here must not be the end of them.
  var sharesCgroup = false
  /// The execution domain; nil to keep the caller's.
  var domain: UInt?
  var memoryPolicy: MemoryPolicy?

  /// - Parameters:
  ///   - compilesFilter: the one part that takes a noticeable time.
  ///   - ahead: what has been planned ahead of it, whose filter is likely the same.
  init(
    _ configuration: ContainerConfiguration, compilesFilter: Bool = true, ahead: Plan? = nil
  ) throws(ApusError) {
    self.configuration = configuration
    guard let process = configuration.spec.process else {
      throw ApusError(.invalidArgument, "the configuration of \(configuration.id) has no process")
    }
    self.process = process
    linux = configuration.spec.linux ?? LinuxSection()
    namespaces = try Namespaces(linux)
    mounts = []
    for mount in configuration.spec.mounts {
      mounts.append(try PlannedMount(mount, linux: linux, bundle: configuration.bundle))
    }
    capabilities = try CapabilitySets(process.capabilities)
    // In a user namespace of its own a process has all rights, over what is in it.
    if !namespaces.makes(.user) { try capabilities.checkAvailable() }
    resourceLimits = try Self.resourceLimits(process)
    limits = try CgroupResources(linux.resources ?? LinuxResources())
    // Nothing is allowed but the default devices and what the request adds.
    let rules = limits.devices.filter { $0.allow || $0.kind != .all }
    let defaults = CgroupResources.DeviceRule.defaults
    // Without a refusal among them, saying it twice says nothing.
    let added = rules.allSatisfy(\.allow) ? rules.filter { !defaults.contains($0) } : rules
    limits.devices = [.init(allow: false)] + defaults + added
    cgroupPath = configuration.cgroupPath
    try Cgroups.validate(cgroupPath)
    if configuration.root == nil, var root = configuration.spec.root {
      if !root.path.isEmpty, !root.path.hasPrefix("/"), configuration.bundle.hasPrefix("/") {
        root.path = "\(configuration.bundle)/\(root.path)"
        self.configuration.spec.root = root
      }
    }
    domain = try linux.personality.map(ExecutionDomain.number)
    memoryPolicy = try linux.memoryPolicy.map(MemoryPolicy.init)
    try validate()
    if let profile = linux.seccomp, compilesFilter {
      filter = try Seccomp.program(profile, cacheDirectory: configuration.seccompCacheDirectory)
      filterFlags = try Seccomp.flags(profile)
    } else if let document = configuration.seccompDocument, compilesFilter {
      if let ahead, ahead.configuration.seccompDocument == document {
        (filter, filterFlags) = (ahead.filter, ahead.filterFlags)
      } else {
        (filter, filterFlags) = try Seccomp.program(document: document)
      }
    }
  }

  static func resourceLimits(
    _ process: ProcessSpec
  ) throws(ApusError) -> [(limit: ResourceLimit, soft: UInt64, hard: UInt64)] {
    var limits: [(limit: ResourceLimit, soft: UInt64, hard: UInt64)] = []
    for item in process.rlimits {
      guard let limit = ResourceLimit(named: item.type) else {
        throw ApusError(.invalidArgument, "process.rlimits: unknown resource limit \"\(item.type)\"")
      }
      guard item.soft <= item.hard else {
        throw ApusError(
          .invalidArgument,
          "process.rlimits: the soft limit of \(limit.name), \(item.soft), exceeds its hard limit, \(item.hard)")
      }
      guard !limits.contains(where: { $0.limit == limit }) else {
        throw ApusError(.invalidArgument, "process.rlimits: \(item.type) is there twice")
      }
      limits.append((limit, item.soft, item.hard))
    }
    return limits
  }

  /// Whether /dev is the container's own: a file system mounted there, not a directory of the host.
  var ownsDevices: Bool {
    mounts.contains { RootTree.relative($0.destination) == "dev" && $0.type != "bind" }
  }

  /// Where the listener of the seccomp filter goes; nil without one.
  var agent: SeccompAgent? { SeccompAgent(linux.seccomp) }

  /// Whether the container can be made ahead of its request: nothing that the caller takes part in.
  var isUsual: Bool {
    let hooks = configuration.spec.hooks ?? Hooks()
    return namespaces.makes(.mount) && configuration.pivots && configuration.handover == nil
      && configuration.preservedDescriptors == 0 && configuration.runtimeHooks == nil
      && configuration.whenMade == nil && configuration.ownKeyring
      && hooks.createContainer.isEmpty && hooks.startContainer.isEmpty && linux.intelRdt == nil
      && mounts.allSatisfy { !$0.options.idMapped && !$0.options.remounts && !$0.options.copiesUp }
  }
}
