import DockerTypes
import Engine
import FoundationEssentials

extension SystemInfo {
  init(_ information: EngineInformation, root: String) {
    self.init()
    id = information.id
    containers = information.instances
    containersRunning = information.running
    containersPaused = information.paused
    containersStopped = information.stopped
    images = information.images
    driver = information.storageDriver
    driverStatus = information.storageStatus.map { [$0.0, $0.1] }
    plugins.volume = ["local"]
    plugins.network = ["bridge", "host", "macvlan", "null"]
    plugins.log = ["json-file", "local", "none"]
    memoryLimit = true
    swapLimit = true
    cpuCfsPeriod = true
    cpuCfsQuota = true
    cpuShares = true
    cpuSet = true
    pidsLimit = true
    oomKillDisable = information.cgroupVersion == "1"
    ipv4Forwarding = true
    systemTime = GoTime.string(Date())
    loggingDriver = "json-file"
    cgroupDriver = information.cgroupDriver
    cgroupVersion = information.cgroupVersion
    kernelVersion = information.kernelVersion
    operatingSystem = information.operatingSystem
    osVersion = information.operatingSystemVersion
    osType = "linux"
    architecture = information.machine
    indexServerAddress = "https://index.docker.io/v1/"
    registryConfig = .standard
    ncpu = information.cpus
    memTotal = Int(information.memory)
    dockerRootDir = root
    name = information.name
    serverVersion = ApusVersion.current
    runtimes = ["runc": RuntimeInfo(path: "apus-runtime"), "apus-vm": RuntimeInfo(path: "apus-runtime")]
    defaultRuntime = "runc"
    swarm.localNodeState = "inactive"
    liveRestoreEnabled = true
    initBinary = "apus-runtime"
    containerdCommit = CommitInfo(id: "")
    runcCommit = CommitInfo(id: ApusVersion.current)
    initCommit = CommitInfo(id: ApusVersion.current)
    securityOptions = information.securityOptions
    warnings = information.warnings
  }
}

extension RuntimeInfo {
  init(path: String) {
    self.init()
    self.path = path
  }
}

extension CommitInfo {
  init(id: String) {
    self.init()
    self.id = id
  }
}

extension RegistryServiceConfig {
  static let standard: RegistryServiceConfig = {
    var index = RegistryIndex()
    index.name = "docker.io"
    index.secure = true
    index.official = true
    var config = RegistryServiceConfig()
    config.indexConfigs = ["docker.io": index]
    config.insecureRegistryCIDRs = ["::1/128", "127.0.0.0/8"]
    return config
  }()
}
