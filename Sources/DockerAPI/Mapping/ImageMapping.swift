import DockerTypes
import Engine
import FoundationEssentials
import ImageSpec
import Registry

extension ImageSummary {
  init(_ image: Image, sharedSize: Int64? = nil, containers: Int? = nil, version: APIVersion) {
    self.init()
    id = image.id.description
    created = GoTime.split(image.created ?? Date(timeIntervalSince1970: 0)).seconds
    labels = image.config.config.labels
    repoTags = image.references
    repoDigests = image.repoDigests
    size = Int(image.size)
    self.sharedSize = sharedSize.map { Int($0) } ?? -1
    self.containers = containers ?? -1
    if version < .withoutVirtualSize { virtualSize = size }
    if version < .emptyNames, repoTags.isEmpty {
      repoTags = ["<none>:<none>"]
      if repoDigests.isEmpty { repoDigests = ["<none>@<none>"] }
    }
  }
}

extension ImageSummary {
  /// As `GET /system/df` shows it: the sizes are what it takes on the disk.
  init(_ entry: ImageDiskUsage.Entry, version: APIVersion) {
    self.init(entry.image, sharedSize: entry.sharedSize, containers: entry.instances, version: version)
    size = Int(entry.size)
    if version < .withoutVirtualSize { virtualSize = size }
  }
}

extension ImagesDiskUsage {
  init(_ usage: ImageDiskUsage) {
    self.init()
    totalCount = usage.images.count
    activeCount = usage.images.count { $0.instances > 0 }
    totalSize = Int(usage.stored)
    reclaimable = Int(usage.reclaimable)
  }
}

extension ImageInspect {
  init(_ image: Image, storage: String, version: APIVersion) {
    self.init()
    id = image.id.description
    repoTags = image.references
    repoDigests = image.repoDigests
    comment = image.config.comment ?? image.config.history.last?.comment ?? ""
    created = GoTime.string(image.created)
    dockerVersion = image.config.dockerVersion ?? ""
    author = image.config.author ?? ""
    config = ImageConfig(image.config.config, complete: version < .leanImageConfig)
    architecture = image.config.architecture
    variant = image.config.variant?.nonEmpty
    os = image.config.os
    osVersion = image.config.osVersion?.nonEmpty
    size = Int(image.size)
    graphDriver.name = storage
    graphDriver.data = [:]
    rootFS.type = image.config.rootfs.type
    rootFS.layers = image.layers.map(\.description)
    metadata.lastTagTime = GoTime.string(image.added)
    if version < .withoutVirtualSize { virtualSize = size }
    if version < .withoutImageContainer {
      container = image.config.container ?? ""
      containerConfig = ContainerConfig()
    }
  }
}

extension ImageConfig {
  /// `complete`: with the members that never meant anything, which older clients read.
  init(_ config: ImageConfiguration.Config, complete: Bool) {
    self.init()
    func set(_ keys: [String]?) -> [String: EmptyObject]? {
      keys.flatMap { $0.isEmpty ? nil : Dictionary($0.map { ($0, EmptyObject()) }) { $1 } }
    }
    user = config.user?.nonEmpty
    exposedPorts = set(config.exposedPorts)
    env = config.env
    cmd = config.cmd
    entrypoint = config.entrypoint
    healthcheck = config.healthcheck.map { check in
      var result = HealthcheckConfig()
      result.test = check.test
      result.interval = check.interval.map { Int($0) }
      result.timeout = check.timeout.map { Int($0) }
      result.startPeriod = check.startPeriod.map { Int($0) }
      result.startInterval = check.startInterval.map { Int($0) }
      result.retries = check.retries
      return result
    }
    argsEscaped = config.argsEscaped
    volumes = set(config.volumes)
    workingDir = config.workingDir?.nonEmpty
    onBuild = config.onBuild
    labels = config.labels
    stopSignal = config.stopSignal
    shell = config.shell
    guard complete else { return }
    hostname = ""
    domainname = ""
    user = user ?? ""
    attachStdin = false
    attachStdout = false
    attachStderr = false
    tty = false
    openStdin = false
    stdinOnce = false
    image = ""
    workingDir = workingDir ?? ""
  }
}

extension DescriptorSummary {
  init(_ descriptor: Descriptor) {
    self.init()
    mediaType = descriptor.mediaType
    digest = descriptor.digest.description
    size = Int(descriptor.size)
    urls = descriptor.urls
    annotations = descriptor.annotations
    platform = descriptor.platform.map(PlatformSummary.init)
    artifactType = descriptor.artifactType
  }
}

extension PlatformSummary {
  init(_ platform: Platform) {
    self.init()
    architecture = platform.architecture
    os = platform.os
    osVersion = platform.osVersion
    osFeatures = platform.osFeatures
    variant = platform.variant
  }
}

extension ImageSearchResult {
  init(_ result: SearchResult) {
    self.init()
    name = result.name
    description = result.description
    starCount = result.stars
    isOfficial = result.isOfficial
    isAutomated = result.isAutomated
  }
}
