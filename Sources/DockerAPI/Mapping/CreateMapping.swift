import DockerTypes
import Engine
import Errors
import FoundationEssentials

extension InstanceConfiguration {
  /// What a `POST /containers/create` asks for, in the engine's terms.
  ///
  /// - Throws: `invalidArgument` or `unsupported` in Docker's words for what cannot be read; the engine checks the rest.
  init(_ request: ContainerCreateRequest) throws(ApusError) {
    self.init()
    let config = request.config
    let host = request.hostConfig ?? HostConfig()
    guard !config.image.isEmpty else { throw ApusError(.invalidArgument, "invalid reference format: no image given") }
    image = config.image
    process = ProcessConfiguration(config, host)
    hostname = config.hostname.nonEmpty
    domainname = config.domainname.nonEmpty
    labels = config.labels ?? [:]
    stopSignal = config.stopSignal?.nonEmpty
    stopTimeout = config.stopTimeout
    healthCheck = config.healthcheck.map(HealthCheckConfiguration.init)
    isolation = try Self.isolation(host)
    restartPolicy = try RestartPolicy(host.restartPolicy)
    removeOnExit = host.autoRemove
    resources = try Resources(host.resources)
    resources.oomScoreAdj = host.oomScoreAdj == 0 ? nil : host.oomScoreAdj
    security = try SecurityConfiguration(host)
    namespaces = NamespaceConfiguration(host)
    network = try NetworkConfiguration(config, host, request.networkingConfig)
    mounts = try MountConfiguration.all(config, host)
    volumesFrom = host.volumesFrom ?? []
    devices = (host.resources.devices ?? []).map(DeviceMapping.init)
    deviceCgroupRules = host.resources.deviceCgroupRules ?? []
    log = LogConfiguration(host.logConfig)
    sysctls = host.sysctls ?? [:]
    annotations = host.annotations ?? [:]
    shmSize = host.shmSize == 0 ? nil : Int64(host.shmSize)
    useInit = host.useInit ?? false
    if let requests = host.resources.deviceRequests, let first = requests.first {
      throw ApusError(
        .unsupported,
        "could not select device driver \"\(first.driver)\" with capabilities: \(first.capabilities ?? []): "
          + "device requests (GPUs) are not available in this version, use --device")
    }
    try ClientData.remember(request, in: &clientData)
  }

  private static func isolation(_ host: HostConfig) throws(ApusError) -> Isolation {
    let byRuntime: Isolation
    switch host.runtime ?? "" {
    case "", "apus", "runc", "io.containerd.runc.v2": byRuntime = .container
    case "apus-vm": byRuntime = .vm
    case let other: throw ApusError(.invalidArgument, "unknown or invalid runtime name: \(other)")
    }
    switch host.isolation.lowercased() {
    case "", "default": return byRuntime
    case "container": return .container
    case "vm": return .vm
    case let other:
      throw ApusError(.invalidArgument, "invalid isolation '\(other)': it is 'container' or 'vm'")
    }
  }
}

extension ProcessConfiguration {
  init(_ config: ContainerConfig, _ host: HostConfig) {
    self.init()
    entrypoint = config.entrypoint?.values
    command = config.cmd?.values
    environment = config.env ?? []
    workingDirectory = config.workingDir.nonEmpty
    user = config.user.nonEmpty
    groups = host.groupAdd ?? []
    terminal = config.tty
    terminalSize = TerminalSize(consoleSize: host.consoleSize)
    openStdin = config.openStdin
    stdinOnce = config.stdinOnce
    attachStdin = config.attachStdin
    attachStdout = config.attachStdout
    attachStderr = config.attachStderr
  }
}

extension TerminalSize {
  /// Docker's `[rows, columns]`; nil when either is missing or nothing.
  init?(consoleSize: [Int]?) {
    guard let size = consoleSize, size.count == 2, size[0] > 0, size[1] > 0 else { return nil }
    self.init(rows: UInt16(clamping: size[0]), columns: UInt16(clamping: size[1]))
  }
}

extension HealthCheckConfiguration {
  init(_ config: HealthcheckConfig) {
    self.init()
    test = config.test ?? []
    interval = Int64(config.interval ?? 0)
    timeout = Int64(config.timeout ?? 0)
    startPeriod = Int64(config.startPeriod ?? 0)
    startInterval = Int64(config.startInterval ?? 0)
    retries = config.retries ?? 0
  }
}

extension RestartPolicy {
  init(_ policy: RestartPolicyConfig) throws(ApusError) {
    guard let condition = Condition(rawValue: policy.name.isEmpty ? "no" : policy.name) else {
      throw ApusError(
        .invalidArgument,
        "invalid restart policy: unknown policy '\(policy.name)'; use one of 'no', 'always', 'on-failure', or "
          + "'unless-stopped'")
    }
    self.init(condition, maximumRetries: policy.maximumRetryCount)
  }
}

extension NamespaceConfiguration {
  init(_ host: HostConfig) {
    self.init()
    pid = host.pidMode.nonEmpty
    ipc = host.ipcMode.nonEmpty
    uts = host.utsMode.nonEmpty
    cgroup = host.cgroupnsMode.nonEmpty
    user = host.usernsMode.nonEmpty
  }
}

extension DeviceMapping {
  init(_ device: DeviceConfig) {
    self.init(
      hostPath: device.pathOnHost, containerPath: device.pathInContainer.nonEmpty ?? device.pathOnHost,
      permissions: device.cgroupPermissions.nonEmpty ?? "rwm")
  }
}

extension LogConfiguration {
  init(_ config: LogConfig) {
    self.init()
    driver = config.type.nonEmpty ?? "json-file"
    options = config.config ?? [:]
  }
}

extension String {
  /// nil when empty: how the API says "not given".
  var nonEmpty: String? { isEmpty ? nil : self }
}
