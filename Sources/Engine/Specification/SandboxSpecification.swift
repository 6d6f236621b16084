import Errors
import Linux
import RuntimeSpec
import SandboxProtocol

/// Describes an instance's sandbox to the runtime (OCI runtime specification 1.2), with the defaults Docker's users expect.
public struct SandboxSpecification: Sendable {
  private static let seccompSections = SeccompCache()

  /// Readable in /proc and /sys by anybody, but of the host: what they tell or allow is no container's business.
  static let maskedPaths = [
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware",
  ]
  static let readOnlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

  let record: InstanceRecord
  let context: SandboxContext

  public init(_ record: InstanceRecord, context: SandboxContext) {
    self.record = record
    self.context = context
  }

  /// The request for the shim, complete but for the layers (`root.lower`) and the filter cache. The files it mounts are
  /// written by ``GeneratedFiles`` and ``SharedMemory``, see ``prepare()``.
  ///
  /// - Throws: `conflict` where an instance to join does not run, `invalidArgument` where the host has changed since the
  ///   request was validated.
  public func createRequest() throws(ApusError) -> CreateRequest {
    let configuration = record.configuration
    let namespaces = try SandboxNamespaces(configuration, context: context)
    let size = configuration.process.terminalSize
    return CreateRequest(
      id: record.id, spec: try specification(namespaces),
      root: RootFilesystem(lower: [], upper: context.paths.upper, work: context.paths.work),
      user: Self.user(record.resolved.user), additionalGroups: configuration.process.groups,
      createWorkingDirectory: true, useInit: configuration.useInit && namespaces.ownsProcesses,
      openStdin: configuration.process.openStdin, stdinOnce: configuration.process.stdinOnce,
      log: try configuration.log.target(path: context.paths.log), exitPath: context.paths.exit,
      socketPath: context.paths.socket, rows: size?.rows ?? 0, columns: size?.columns ?? 0)
  }

  /// Writes the generated files and mounts shared memory, for a start. The run directory must be there.
  public func prepare() throws(ApusError) {
    if record.configuration.network.mode.hasPrefix("container:") {
      // They are the other instance's.
      return try SharedMemory.prepare(record.configuration, paths: context.paths)
    }
    let hostname = record.configuration.hostname(id: record.id)
    try GeneratedFiles(
      record, hostname: hostname, linked: context.linked, hostGateway: context.hostGateway,
      servesNames: context.servesNames
    ).write(to: context.paths)
    try SharedMemory.prepare(record.configuration, paths: context.paths)
  }

  /// The whole specification; `root` is left to the shim.
  public func specification() throws(ApusError) -> Spec {
    try specification(SandboxNamespaces(record.configuration, context: context))
  }

  /// Root where nobody is named: looked up all the same, for its groups and home directory are the image's.
  private static func user(_ user: String) -> String { user.isEmpty ? "0" : user }

  private func specification(_ namespaces: SandboxNamespaces) throws(ApusError) -> Spec {
    let configuration = record.configuration
    let security = configuration.security
    let capabilities = try CapabilityChoice(security, host: context.host).capabilities
    let hostname = configuration.hostname(id: record.id, peer: namespaces.networkPeer)
    let sharesNames = configuration.namespaces.uts == "host"

    var process = ProcessSpec(
      terminal: configuration.process.terminal, args: record.resolved.arguments,
      env: record.resolved.processEnvironment(hostname: hostname, terminal: configuration.process.terminal)
        + context.linked.flatMap(\.environment),
      cwd: record.resolved.workingDirectory, capabilities: LinuxCapabilities(capabilities),
      rlimits: configuration.resources.ulimits.map(POSIXRlimit.init), noNewPrivileges: security.noNewPrivileges,
      oomScoreAdj: oomScoreAdjustment)
    if let size = configuration.process.terminalSize {
      process.consoleSize = ConsoleSize(height: UInt32(size.rows), width: UInt32(size.columns))
    }
    process.apparmorProfile = security.confinement(on: context.host) ?? ""
    let mounts = SandboxMounts(record: record, namespaces: namespaces, context: context)
    return Spec(
      process: process, root: Root(path: "", readonly: security.readOnlyRoot), hostname: sharesNames ? "" : hostname,
      domainname: sharesNames ? "" : configuration.domainname ?? "", mounts: mounts.list,
      annotations: configuration.annotations,
      linux: try linux(namespaces, capabilities: capabilities, rootPropagation: mounts.rootPropagation))
  }

  private func linux(
    _ namespaces: SandboxNamespaces, capabilities: Capabilities, rootPropagation: String
  ) throws(ApusError) -> LinuxSection {
    let configuration = record.configuration
    let security = configuration.security
    var resources = try LinuxResources(configuration.resources)
    var devices: [LinuxDevice] = []
    if security.privileged {
      devices = HostDevice.all()
      for mapping in configuration.devices where mapping.hostPath != mapping.containerPath {
        devices += try HostDevice.devices(for: mapping)
      }
      resources.devices = [DeviceRule.everything]
    } else {
      resources.devices = DeviceRule.standard
      for mapping in configuration.devices {
        for device in try HostDevice.devices(for: mapping) {
          devices.append(device)
          resources.devices.append(
            LinuxDeviceCgroup(
              allow: true, type: device.type, major: device.major, minor: device.minor, access: mapping.permissions))
        }
      }
      for rule in configuration.deviceCgroupRules { resources.devices.append(try DeviceRule.parse(rule)) }
    }
    return LinuxSection(
      sysctl: sysctls(namespaces), resources: resources, cgroupsPath: cgroupPath, namespaces: namespaces.list,
      devices: devices, seccomp: try seccomp(capabilities), rootfsPropagation: rootPropagation,
      maskedPaths: security.maskedPaths
        ?? (security.privileged ? [] : Self.maskedPaths + context.host.thermalThrottlePaths),
      readonlyPaths: security.readOnlyPaths ?? (security.privileged ? [] : Self.readOnlyPaths))
  }

  /// nil, that is the daemon's, where nobody asks: to write it could need CAP_SYS_RESOURCE. A daemon that protects itself
  /// does not hand that down.
  private var oomScoreAdjustment: Int? {
    if let asked = record.configuration.resources.oomScoreAdj, asked != 0 { return asked }
    return context.host.oomScoreAdjustment < 0 ? 0 : nil
  }

  private var cgroupPath: String {
    let asked = record.configuration.resources.cgroupParent ?? ""
    return cleanPath("/" + (asked.isEmpty ? context.cgroupParent : asked) + "/" + record.id)
  }

  /// In a network of its own an instance may bind any port and ping without a privilege.
  private func sysctls(_ namespaces: SandboxNamespaces) -> [String: String] {
    var sysctls: [String: String] = [:]
    if namespaces.ownsNetwork {
      if context.host.supportsPingGroupRange { sysctls["net.ipv4.ping_group_range"] = "0 2147483647" }
      if context.host.supportsUnprivilegedPortStart { sysctls["net.ipv4.ip_unprivileged_port_start"] = "0" }
    }
    return sysctls.merging(record.configuration.sysctls) { $1 }
  }

  private func seccomp(_ capabilities: Capabilities) throws(ApusError) -> LinuxSeccomp? {
    switch record.configuration.security.seccomp {
    case "unconfined": return nil
    case nil where record.configuration.security.privileged: return nil
    case nil, "builtin": return Self.seccompSections.section(capabilities: capabilities, host: context.host)
    case let document?:
      return try SeccompProfile(document: document).section(capabilities: capabilities, host: context.host)
    }
  }
}

extension LinuxCapabilities {
  /// As Docker gives them: neither inheritable nor ambient (CVE-2022-24769).
  init(_ capabilities: Capabilities) {
    let names = capabilities.capabilityNames
    self.init(bounding: names, effective: names, permitted: names)
  }
}

extension POSIXRlimit {
  init(_ ulimit: Ulimit) {
    self.init(
      type: "RLIMIT_" + ulimit.name.uppercased(), hard: ulimit.hard < 0 ? .max : UInt64(ulimit.hard),
      soft: ulimit.soft < 0 ? .max : UInt64(ulimit.soft))
  }
}
