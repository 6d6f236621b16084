import DockerTypes
import Engine
import FoundationEssentials

extension ContainerInspect {
  /// `GET /containers/{id}/json`.
  init(_ record: InstanceRecord, paths: InstancePaths, storage: String, networks: NetworkDirectory) {
    self.init()
    id = record.id
    created = GoTime.string(record.created)
    path = record.resolved.arguments.first ?? ""
    args = Array(record.resolved.arguments.dropFirst())
    state = ContainerState(record.state)
    image = record.imageID.description
    if record.state.startedAt != nil {
      resolvConfPath = paths.resolvConf
      hostnamePath = paths.hostname
      hostsPath = paths.hosts
    }
    logPath = record.configuration.log.driver == "none" ? "" : paths.log
    name = "/" + record.name
    restartCount = record.state.restartCount
    driver = storage
    platform = "linux"
    appArmorProfile =
      record.configuration.security.confinement(on: .current)
      ?? (HostFacts.current.supportsAppArmor ? "unconfined" : "")
    hostConfig = HostConfig(record.configuration)
    hostConfig.links = hostConfig.links?.map { LinkText.described($0, by: record.name) }
    graphDriver.name = storage
    graphDriver.data = ["UpperDir": paths.upper, "WorkDir": paths.work]
    mounts = record.mounts.map { MountSummary($0, record.configuration) }
    config = ContainerConfig(record)
    networkSettings = DockerTypes.NetworkSettings(record, networks)
  }
}

extension ContainerState {
  init(_ state: InstanceState) {
    self.init()
    status = state.status.rawValue
    running = state.status == .running || state.status == .paused || state.status == .restarting
    paused = state.status == .paused
    restarting = state.status == .restarting
    oomKilled = state.oomKilled
    dead = state.dead
    pid = Int(state.pid)
    exitCode = Int(state.exitCode)
    error = state.error
    startedAt = GoTime.string(state.startedAt)
    finishedAt = GoTime.string(state.finishedAt)
    health = state.health.map(HealthSummary.init)
  }
}

extension HealthSummary {
  init(_ state: HealthState) {
    self.init()
    status = state.status.rawValue
    failingStreak = state.failingStreak
    log = state.log.map { probe in
      var result = HealthProbe()
      result.start = GoTime.string(probe.start)
      result.end = GoTime.string(probe.end)
      result.exitCode = Int(probe.exitCode)
      result.output = probe.output
      return result
    }
  }
}

extension ContainerConfig {
  /// What the image and the request came to.
  init(_ record: InstanceRecord) {
    self.init()
    let configuration = record.configuration
    let process = configuration.process
    hostname = configuration.hostname ?? String(record.id.prefix(12))
    domainname = configuration.domainname ?? ""
    user = record.resolved.user
    attachStdin = process.attachStdin
    attachStdout = process.attachStdout
    attachStderr = process.attachStderr
    tty = process.terminal
    openStdin = process.openStdin
    stdinOnce = process.stdinOnce
    env = record.resolved.environment.isEmpty ? nil : record.resolved.environment
    cmd = record.resolved.command.map { StringList($0) }
    entrypoint = record.resolved.entrypoint.map { StringList($0) }
    image = configuration.image
    // Where neither says, the client shows nothing rather than the root.
    workingDir =
      record.resolved.workingDirectory == "/" ? process.workingDirectory ?? "" : record.resolved.workingDirectory
    labels = record.resolved.labels
    stopSignal = record.resolved.stopSignal
    stopTimeout = configuration.stopTimeout
    shell = record.resolved.shell
    networkDisabled = configuration.network.disabled ? true : nil
    macAddress = configuration.network.endpoints.first { $0.network == configuration.network.mode }?.mac
    healthcheck = record.resolved.healthCheck.map(HealthcheckConfig.init)
    let ports = record.resolved.exposedPorts
    exposedPorts = ports.isEmpty ? nil : Dictionary(ports.map { ($0, EmptyObject()) }) { $1 }
    let anonymous = configuration.mounts.filter { $0.kind == .volume && $0.source.isEmpty }.map(\.target)
    let targets = Set(record.resolved.volumes).union(anonymous)
    volumes = targets.isEmpty ? nil : Dictionary(uniqueKeysWithValues: targets.map { ($0, EmptyObject()) })
  }
}

extension HealthcheckConfig {
  init(_ check: HealthCheckConfiguration) {
    self.init()
    test = check.test.isEmpty ? nil : check.test
    interval = check.interval == 0 ? nil : Int(check.interval)
    timeout = check.timeout == 0 ? nil : Int(check.timeout)
    startPeriod = check.startPeriod == 0 ? nil : Int(check.startPeriod)
    startInterval = check.startInterval == 0 ? nil : Int(check.startInterval)
    retries = check.retries == 0 ? nil : check.retries
  }
}

extension MountSummary {
  init(_ mount: ResolvedMount, _ configuration: InstanceConfiguration) {
    self.init()
    type = mount.kind.rawValue
    if mount.kind == .volume {
      name = mount.name
      driver = mount.driver
    }
    source = mount.source
    destination = mount.target
    rw = !mount.readOnly
    propagation = mount.kind == .bind ? mount.propagation : ""
    mode = Self.mode(mount, ClientData.hostConfig(configuration.clientData)?.binds ?? [])
  }

  /// The options as the bind's text had them.
  private static func mode(_ mount: ResolvedMount, _ binds: [String]) -> String {
    for bind in binds {
      let parts = bind.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count > 1, parts[1] == mount.target else { continue }
      if parts.count == 3 { return String(parts[2]) }
      // What Docker makes of a named volume without options.
      return mount.kind == .volume ? "z" : ""
    }
    return ""
  }
}
