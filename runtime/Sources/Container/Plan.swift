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

  init(_ configuration: ContainerConfiguration) throws(ApusError) {
    self.configuration = configuration
    guard let process = configuration.spec.process else {
      throw ApusError(.invalidArgument, "the configuration of \(configuration.id) has no process")
    }
    self.process = process
    linux = configuration.spec.linux ?? LinuxSection()
    namespaces = try Namespaces(linux)
    mounts = []
    for mount in configuration.spec.mounts { mounts.append(try PlannedMount(mount)) }
    capabilities = try CapabilitySets(process.capabilities)
    try capabilities.checkAvailable()
    resourceLimits = try Self.resourceLimits(process)
    limits = try CgroupResources(linux.resources ?? LinuxResources())
    // Nothing is allowed but the default devices and what the request adds.
    let rules = limits.devices.filter { $0.allow || $0.kind != .all }
    let defaults = CgroupResources.DeviceRule.defaults
    // Without a refusal among them, saying it twice says nothing.
    let added = rules.allSatisfy(\.allow) ? rules.filter { !defaults.contains($0) } : rules
    limits.devices = [.init(allow: false)] + defaults + added
    cgroupPath = linux.cgroupsPath.drop { $0 == "/" }.description
    if cgroupPath.isEmpty { cgroupPath = "apus/\(configuration.id)" }
    try Cgroups.validate(cgroupPath)
    if configuration.root == nil, configuration.spec.root?.path.hasPrefix("/") != true {
      throw ApusError(.invalidArgument, "the root of \(configuration.id) is not an absolute path")
    }
    guard process.selinuxLabel.isEmpty, linux.mountLabel.isEmpty else {
      throw ApusError(.unsupported, "SELinux labels are not supported")
    }
    try Self.checkSupported(configuration.spec, process: process, linux: linux)
    guard linux.intelRdt == nil else { throw ApusError(.unsupported, "Intel RDT is not supported") }
    if let profile = linux.seccomp {
      filter = try Seccomp.program(profile, cacheDirectory: configuration.seccompCacheDirectory)
      filterFlags = try Seccomp.flags(profile)
    }
  }

  /// What would otherwise be left out without a word.
  private static func checkSupported(_ spec: Spec, process: ProcessSpec, linux: LinuxSection) throws(ApusError) {
    func refuse(_ what: String, if isAskedFor: Bool) throws(ApusError) {
      if isAskedFor { throw ApusError(.unsupported, "\(what) are not supported") }
    }
    if let hooks = spec.hooks {
      // The others are the caller's.
      try refuse("hooks in the container's namespaces", if: !(hooks.createContainer + hooks.startContainer).isEmpty)
    }
    try refuse(
      "execution domains other than LINUX",
      if: linux.personality.map { $0.domain != "LINUX" || !$0.flags.isEmpty } ?? false)
    try refuse("processors before and after joining a group", if: process.execCPUAffinity != nil)
    try refuse("limits of RDMA devices", if: !(linux.resources?.rdma.isEmpty ?? true))
    try refuse("network classes and priorities", if: linux.resources?.network != nil)
  }

  static func resourceLimits(
    _ process: ProcessSpec
  ) throws(ApusError) -> [(limit: ResourceLimit, soft: UInt64, hard: UInt64)] {
    var limits: [(limit: ResourceLimit, soft: UInt64, hard: UInt64)] = []
    for item in process.rlimits {
      guard let limit = ResourceLimit(named: item.type) else {
        throw ApusError(.invalidArgument, "unknown resource limit \"\(item.type)\"")
      }
      guard item.soft <= item.hard else {
        throw ApusError(
          .invalidArgument, "the soft limit of \(limit.name), \(item.soft), exceeds its hard limit, \(item.hard)")
      }
      limits.append((limit, item.soft, item.hard))
    }
    return limits
  }

  /// Whether /dev is the container's own: a file system mounted there, not a directory of the host.
  var ownsDevices: Bool {
    mounts.contains { RootTree.relative($0.destination) == "dev" && $0.type != "bind" }
  }
}
