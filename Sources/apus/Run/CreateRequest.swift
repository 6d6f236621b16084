import Errors

/// The body of `POST /containers/create`, made from the options of `run` and `create`.
///
/// What is wrong in an option is said here, before the daemon is asked; what the daemon knows better (does the image
/// exist, can the host do it) is left to it.
struct CreateRequest {
  private(set) var config: [JSON.Member] = []
  private(set) var host: [JSON.Member] = []

  /// - Parameters:
  ///   - rare: nil where none of them was given.
  ///   - detached: whether nothing will be attached.
  ///   - environment: reads a variable of this process, for `-e NAME`.
  static func body(
    _ frequent: FrequentOptions, _ rare: RareOptions?, image: String, command: [String], detached: Bool,
    consoleSize: (rows: Int, columns: Int)? = nil, environment: (String) -> String? = ProcessOptions.inherited
  ) throws -> JSON {
    var request = CreateRequest()
    request.config("Image", image)
    if !command.isEmpty { request.config("Cmd", JSON(command)) }
    let streams = detached ? [] : try attachedStreams(frequent, rare)
    try request.process(frequent.process, attached: streams, environment)
    request.host("AutoRemove", frequent.rm)
    try request.mounts(frequent.volume, rare?.storage)
    let network = try request.network(frequent, rare?.network)
    if let rare {
      try request.program(rare)
      try request.limits(rare.limits)
      try request.security(rare.security)
      try request.health(rare.health)
      request.logging(rare)
    }
    if let consoleSize {
      request.host("ConsoleSize", .array([JSON(consoleSize.rows), JSON(consoleSize.columns)]))
    }
    request.config("HostConfig", .object(request.host))
    if let network { request.config("NetworkingConfig", network) }
    return .object(request.config)
  }

  /// The changes that `update` asks for.
  static func update(
    _ limits: UpdatableLimits, restart: String?, publish: [String] = [], unpublish: [String] = []
  ) throws -> JSON {
    var request = CreateRequest()
    try request.updatable(limits)
    if let restart { request.host("RestartPolicy", try restartPolicy(restart)) }
    for (key, option, texts) in [("PublishPorts", "publish", publish), ("UnpublishPorts", "unpublish", unpublish)] {
      let ports = try texts.flatMap { try PortArgument.published($0, option: option) }
      if !ports.isEmpty { request.host(key, PortArgument.bindings(ports)) }
    }
    return .object(request.host)
  }

  // MARK: Members

  mutating func config(_ key: String, _ value: JSON) { config.append(.init(key: key, value: value)) }
  mutating func host(_ key: String, _ value: JSON) { host.append(.init(key: key, value: value)) }

  mutating func config(_ key: String, _ value: String?) {
    if let value { config(key, .string(value)) }
  }

  mutating func host(_ key: String, _ value: String?) {
    if let value { host(key, .string(value)) }
  }

  mutating func host(_ key: String, _ value: Int?) {
    if let value { host(key, JSON(value)) }
  }

  mutating func host(_ key: String, _ values: [String]) {
    if !values.isEmpty { host(key, JSON(values)) }
  }

  mutating func host(_ key: String, _ value: Bool) {
    if value { host(key, JSON.bool(true)) }
  }

  mutating func host(_ key: String, pairs: [String]) {
    if !pairs.isEmpty { host(key, JSON.object(Self.members(pairs))) }
  }

  mutating func host(_ key: String, bytes text: String?, option: String, unlimited: Bool = false) throws {
    guard let text else { return }
    if unlimited, text == "-1" { return host(key, JSON(-1)) }
    guard let value = Quantity.bytes(text) else {
      throw Self.failure(option, text, "it wants a size such as 512m or 2g")
    }
    host(key, JSON(value))
  }

  static func failure(_ option: String, _ value: String, _ want: String) -> UsageError {
    UsageError("Option --\(option) cannot be '\(value)': \(want).")
  }

  /// `key=value` texts as members; a later one replaces an earlier one of the same key.
  static func members(_ pairs: [String]) -> [JSON.Member] {
    var members: [JSON.Member] = []
    for text in pairs {
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      members.removeAll { $0.key == parts[0] }
      members.append(.init(key: parts[0], value: .string(parts.count > 1 ? parts[1] : "")))
    }
    return members
  }

  // MARK: The program

  private mutating func process(
    _ process: ProcessOptions, attached: Set<String>, _ environment: (String) -> String?
  ) throws {
    config("Tty", .bool(process.tty))
    config("OpenStdin", .bool(process.interactive))
    config("StdinOnce", .bool(process.interactive && attached.contains("stdin")))
    config("AttachStdin", .bool(attached.contains("stdin")))
    config("AttachStdout", .bool(attached.contains("stdout")))
    config("AttachStderr", .bool(attached.contains("stderr")))
    let variables = try process.environment(environment)
    if !variables.isEmpty { config("Env", JSON(variables)) }
    config("WorkingDir", process.workdir)
    config("User", process.user)
  }

  private mutating func program(_ rare: RareOptions) throws {
    let program = rare.program
    // An empty entrypoint removes the image's.
    if let entrypoint = program.entrypoint { config("Entrypoint", .array([.string(entrypoint)])) }
    config("StopSignal", program.stopSignal)
    if let value = program.stopTimeout { config("StopTimeout", JSON(value)) }
    host("Init", program.useInit)
    if let text = rare.restart { host("RestartPolicy", try Self.restartPolicy(text)) }
    host("Runtime", rare.runtime)
    host("Isolation", rare.vm ? "vm" : rare.isolation)
    let labels = Self.members(try program.labelFile.flatMap(SettingsFile.lines) + program.label)
    if !labels.isEmpty { config("Labels", .object(labels)) }
    host("Annotations", pairs: program.annotation)
    host("GroupAdd", program.groupAdd)
  }

  private static func restartPolicy(_ text: String) throws -> JSON {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    var policy: JSON = ["Name": .string(parts[0])]
    if parts.count > 1 {
      guard let count = Int(parts[1]) else {
        throw failure("restart", text, "the number of tries after the colon is not a number")
      }
      policy["MaximumRetryCount"] = JSON(count)
    }
    return policy
  }

  private mutating func mounts(_ volumeTexts: [String], _ storage: StorageOptions?) throws {
    var binds: [String] = []
    var volumes: [JSON.Member] = []
    for text in volumeTexts {
      switch try VolumeArgument.parse(text) {
      case .bind(let bind): binds.append(bind)
      case .anonymous(let target): volumes.append(.init(key: target, value: .object([])))
      }
    }
    host("Binds", binds)
    if !volumes.isEmpty { config("Volumes", .object(volumes)) }
    guard let storage else { return }
    let mounts = try storage.mount.map(MountArgument.parse)
    if !mounts.isEmpty { host("Mounts", .array(mounts)) }
    var tmpfs: [JSON.Member] = []
    for text in storage.tmpfs {
      let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      tmpfs.append(.init(key: parts[0], value: .string(parts.count > 1 ? parts[1] : "")))
    }
    if !tmpfs.isEmpty { host("Tmpfs", .object(tmpfs)) }
    host("VolumesFrom", storage.volumesFrom)
    host("VolumeDriver", storage.volumeDriver)
    host("StorageOpt", pairs: storage.storageOpt)
  }

  // MARK: Limits

  private mutating func updatable(_ limits: UpdatableLimits) throws {
    try host("Memory", bytes: limits.memory, option: "memory")
    try host("MemorySwap", bytes: limits.memorySwap, option: "memory-swap", unlimited: true)
    try host("MemoryReservation", bytes: limits.memoryReservation, option: "memory-reservation")
    if let text = limits.cpus {
      guard let value = Quantity.nanoCPUs(text) else {
        throw Self.failure("cpus", text, "it wants a number such as 1.5")
      }
      host("NanoCpus", JSON(value))
    }
    host("CpuShares", limits.cpuShares)
    host("CpuPeriod", limits.cpuPeriod)
    host("CpuQuota", limits.cpuQuota)
    host("CpuRealtimePeriod", limits.cpuRtPeriod)
    host("CpuRealtimeRuntime", limits.cpuRtRuntime)
    host("CpusetCpus", limits.cpusetCpus)
    host("CpusetMems", limits.cpusetMems)
    host("PidsLimit", limits.pidsLimit)
    host("BlkioWeight", limits.blkioWeight)
  }

  private mutating func limits(_ limits: LimitOptions) throws {
    try updatable(limits.updatable)
    host("MemorySwappiness", limits.memorySwappiness)
    try throttle("BlkioWeightDevice", limits.blkioWeightDevice, "blkio-weight-device", member: "Weight", bytes: false)
    try throttle("BlkioDeviceReadBps", limits.deviceReadBps, "device-read-bps", bytes: true)
    try throttle("BlkioDeviceWriteBps", limits.deviceWriteBps, "device-write-bps", bytes: true)
    try throttle("BlkioDeviceReadIOps", limits.deviceReadIops, "device-read-iops", bytes: false)
    try throttle("BlkioDeviceWriteIOps", limits.deviceWriteIops, "device-write-iops", bytes: false)
    let ulimits = try limits.ulimit.map { try ulimit($0) }
    if !ulimits.isEmpty { host("Ulimits", .array(ulimits)) }
    try host("ShmSize", bytes: limits.shmSize, option: "shm-size")
    host("OomKillDisable", limits.oomKillDisable)
    host("OomScoreAdj", limits.oomScoreAdj)
    host("CgroupParent", limits.cgroupParent)
  }

  private mutating func throttle(
    _ key: String, _ texts: [String], _ option: String, member: String = "Rate", bytes: Bool
  ) throws {
    let values = try texts.map { text -> JSON in
      guard let colon = text.lastIndex(of: ":") else {
        throw Self.failure(option, text, "it wants device:\(member.lowercased())")
      }
      let amount = String(text[text.index(after: colon)...])
      guard let value = bytes ? Quantity.bytes(amount) : Int64(amount) else {
        throw Self.failure(option, text, "'\(amount)' is not an amount")
      }
      return .object([
        .init(key: "Path", value: .string(String(text[..<colon]))), .init(key: member, value: JSON(value)),
      ])
    }
    if !values.isEmpty { host(key, .array(values)) }
  }

  private func ulimit(_ text: String) throws -> JSON {
    let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
    let limits = parts.count == 2 ? parts[1].split(separator: ":").map { Int64($0) } : []
    guard let soft = limits.first ?? nil, limits.count <= 2, let hard = limits.last ?? nil else {
      throw Self.failure("ulimit", text, "it wants name=soft[:hard], such as nofile=1024:2048")
    }
    return ["Name": .string(parts[0]), "Soft": JSON(soft), "Hard": JSON(hard)]
  }

  // MARK: Security

  private mutating func security(_ security: SecurityOptions) throws {
    host("Privileged", security.privileged)
    host("ReadonlyRootfs", security.readOnly)
    host("CapAdd", security.capAdd)
    host("CapDrop", security.capDrop)
    host("SecurityOpt", try security.securityOpt.map { try Self.securityOption($0) })
    if !security.device.isEmpty { host("Devices", .array(security.device.map { Self.device($0) })) }
    host("DeviceCgroupRules", security.deviceCgroupRule)
    if let text = security.gpus {
      let count = text == "all" ? -1 : JSON(Int64(text) ?? -1)
      host("DeviceRequests", [["Driver": "", "Count": count, "Capabilities": [["gpu"]]]])
    }
    host("Sysctls", pairs: security.sysctl)
    host("UsernsMode", security.userns)
    host("PidMode", security.pid)
    host("IpcMode", security.ipc)
    host("UTSMode", security.uts)
    host("CgroupnsMode", security.cgroupns)
  }

  /// A seccomp profile is named by its file here and sent as its text.
  private static func securityOption(_ text: String) throws -> String {
    let separator: Character = text.contains("=") ? "=" : ":"
    let parts = text.split(separator: separator, maxSplits: 1).map(String.init)
    guard parts.count == 2, parts[0] == "seccomp", !["unconfined", "builtin", "default"].contains(parts[1]) else {
      return text
    }
    let profile = try LocalFile.read(parts[1])
    guard (try? JSONReader.read(profile)) != nil else {
      throw ApusError(.invalidArgument, "The seccomp profile \(parts[1]) is not valid JSON.")
    }
    return "seccomp=" + String(decoding: profile, as: UTF8.self)
  }

  private static func device(_ text: String) -> JSON {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let isMode = { (text: String) in !text.isEmpty && text.allSatisfy { "rwm".contains($0) } }
    var target = parts[0], mode = "rwm"
    if parts.count == 2 {
      if isMode(parts[1]) { mode = parts[1] } else { target = parts[1] }
    } else if parts.count > 2 {
      target = parts[1].isEmpty ? parts[0] : parts[1]
      mode = parts[2]
    }
    return ["PathOnHost": .string(parts[0]), "PathInContainer": .string(target), "CgroupPermissions": .string(mode)]
  }

  // MARK: Health, log

  private mutating func health(_ health: HealthOptions) throws {
    if health.noHealthcheck { return config("Healthcheck", ["Test": ["NONE"]]) }
    var members: [JSON.Member] = []
    if let command = health.healthCmd {
      members.append(.init(key: "Test", value: ["CMD-SHELL", .string(command)]))
    }
    for (text, option, key) in [
      (health.healthInterval, "health-interval", "Interval"), (health.healthTimeout, "health-timeout", "Timeout"),
      (health.healthStartPeriod, "health-start-period", "StartPeriod"),
      (health.healthStartInterval, "health-start-interval", "StartInterval"),
    ] {
      guard let text else { continue }
      guard let value = Quantity.duration(text) else {
        throw Self.failure(option, text, "it wants a duration such as 30s")
      }
      members.append(.init(key: key, value: JSON(value)))
    }
    if let retries = health.healthRetries { members.append(.init(key: "Retries", value: JSON(retries))) }
    if !members.isEmpty { config("Healthcheck", .object(members)) }
  }

  private mutating func logging(_ rare: RareOptions) {
    guard rare.logDriver != nil || !rare.logOpt.isEmpty else { return }
    host("LogConfig", ["Type": .string(rare.logDriver ?? ""), "Config": .object(Self.members(rare.logOpt))])
  }
}

extension CreateRequest {
  /// The streams to attach: what `-a` names, or output and, when interactive, input.
  static func attachedStreams(_ frequent: FrequentOptions, _ rare: RareOptions?) throws -> Set<String> {
    let named = (rare?.attach ?? []).map { $0.lowercased() }
    for name in named where !["stdin", "stdout", "stderr"].contains(name) {
      throw UsageError("Option --attach wants stdin, stdout or stderr, not '\(name)'.")
    }
    if !named.isEmpty { return Set(named) }
    return frequent.process.interactive ? ["stdin", "stdout", "stderr"] : ["stdout", "stderr"]
  }
}
