import DockerTypes
import Engine

extension HostConfig {
  /// What a client asked for, with what has changed since; for an instance that no client of this API made, its
  /// configuration in Docker's terms.
  init(_ configuration: InstanceConfiguration) {
    if let asked = ClientData.hostConfig(configuration.clientData) {
      self = asked
    } else {
      self.init()
      describe(configuration)
    }
    resources.apply(configuration.resources)
    restartPolicy.name = configuration.restartPolicy.condition.rawValue
    restartPolicy.maximumRetryCount = configuration.restartPolicy.maximumRetries
    describe(configuration.network)
    autoRemove = configuration.removeOnExit
    fillDefaults(configuration)
  }

  /// The ports are as the client said them, as far as they still are so.
  private mutating func describe(_ network: NetworkConfiguration) {
    networkMode = NetworkName.mode(network.mode)
    portBindings = PortBindingConfig.described(network.ports, asked: portBindings ?? [:])
    if networkMode == NetworkName.bridge { links = network.links.isEmpty ? nil : network.links }
  }

  /// The values that stand for "nothing asked".
  private mutating func fillDefaults(_ configuration: InstanceConfiguration) {
    if consoleSize.count != 2 { consoleSize = [0, 0] }
    if logConfig.type.isEmpty { logConfig.type = configuration.log.driver }
    if logConfig.config == nil { logConfig.config = [:] }
    if ipcMode.isEmpty { ipcMode = "private" }
    if cgroupnsMode.isEmpty { cgroupnsMode = "private" }
    if portBindings == nil { portBindings = [:] }
    if shmSize == 0 { shmSize = 64 << 20 }
    if runtime?.isEmpty ?? true { runtime = configuration.isolation == .vm ? "apus-vm" : "runc" }
    let security = configuration.security
    if maskedPaths == nil { maskedPaths = security.privileged ? nil : security.maskedPaths ?? Self.defaultMaskedPaths }
    if readonlyPaths == nil {
      readonlyPaths = security.privileged ? nil : security.readOnlyPaths ?? Self.defaultReadOnlyPaths
    }
  }

  private mutating func describe(_ configuration: InstanceConfiguration) {
    let security = configuration.security
    privileged = security.privileged
    capAdd = security.addCapabilities.isEmpty ? nil : StringList(security.addCapabilities)
    capDrop = security.dropCapabilities.isEmpty ? nil : StringList(security.dropCapabilities)
    readonlyRootfs = security.readOnlyRoot
    var options: [String] = []
    if security.noNewPrivileges { options.append("no-new-privileges") }
    if let seccomp = security.seccomp { options.append("seccomp=" + seccomp) }
    if let profile = security.appArmorProfile { options.append("apparmor=" + profile) }
    securityOpt = options.isEmpty ? nil : options
    pidMode = configuration.namespaces.pid ?? ""
    ipcMode = configuration.namespaces.ipc ?? ""
    utsMode = configuration.namespaces.uts ?? ""
    usernsMode = configuration.namespaces.user ?? ""
    cgroupnsMode = configuration.namespaces.cgroup ?? ""
    publishAllPorts = configuration.network.publishAll
    dns = configuration.network.dns
    dnsSearch = configuration.network.dnsSearch
    dnsOptions = configuration.network.dnsOptions
    extraHosts = configuration.network.extraHosts.isEmpty ? nil : configuration.network.extraHosts
    groupAdd = configuration.process.groups.isEmpty ? nil : configuration.process.groups
    volumesFrom = configuration.volumesFrom.isEmpty ? nil : configuration.volumesFrom
    oomScoreAdj = configuration.resources.oomScoreAdj ?? 0
    shmSize = Int(configuration.shmSize ?? 0)
    sysctls = configuration.sysctls.isEmpty ? nil : configuration.sysctls
    annotations = configuration.annotations.isEmpty ? nil : configuration.annotations
    useInit = configuration.useInit ? true : nil
    isolation = configuration.isolation == .vm ? "vm" : ""
    logConfig.config = configuration.log.options
    let binds = configuration.mounts.compactMap(\.bindText)
    self.binds = binds.isEmpty ? nil : binds
    let tmpfs = configuration.mounts.filter { $0.kind == .tmpfs }
    if !tmpfs.isEmpty {
      self.tmpfs = Dictionary(tmpfs.map { ($0.target, $0.options.joined(separator: ",")) }) { $1 }
    }
    resources.devices = configuration.devices.isEmpty ? nil : configuration.devices.map(DeviceConfig.init)
  }

  // What Docker masks by default (`GET /containers/{id}/json`, HostConfig.MaskedPaths).
  static let defaultMaskedPaths = [
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
  ]
  static let defaultReadOnlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
}

extension MountConfiguration {
  /// `source:target[:ro]`, where it can be said so.
  fileprivate var bindText: String? {
    guard kind != .tmpfs, !source.isEmpty else { return nil }
    return "\(source):\(target)" + (readOnly ? ":ro" : "")
  }
}

extension DeviceConfig {
  init(_ device: DeviceMapping) {
    self.init()
    pathOnHost = device.hostPath
    pathInContainer = device.containerPath
    cgroupPermissions = device.permissions
  }
}
