import Errors
import Linux

/// Checks of a request before anything is made for it, with Docker's sentences (`POST /containers/create`, 400).
///
/// What this host cannot limit is taken out with a warning, as Docker does; what is wrong is an error.
public struct ConfigurationValidation: Sendable {
  public var host: HostFacts

  public init(host: HostFacts = .current) { self.host = host }

  /// The longest name that sethostname(2) takes.
  static let maximumHostname = 64
  static let millisecond: Int64 = 1_000_000

  /// - Returns: the request as it can be met, and warnings for the user.
  /// - Throws: `invalidArgument`, `unsupported` or `notFound`, naming what is wrong.
  public func validate(
    _ configuration: InstanceConfiguration
  ) throws(ApusError) -> (configuration: InstanceConfiguration, warnings: [String]) {
    var configuration = configuration
    var warnings: [String] = []
    try checkIsolation(configuration)
    try checkProcess(configuration)
    try checkLife(configuration)
    try checkNamespaces(configuration)
    try checkNetwork(configuration)
    try checkSecurity(configuration)
    try checkSysctls(configuration)
    configuration.resources = try validate(configuration.resources, warnings: &warnings)
    try checkMounts(configuration.mounts)
    try checkDevices(configuration)
    _ = try configuration.log.target(path: "")
    if let size = configuration.shmSize, size < 0 { throw invalid("SHM size can not be less than 0") }
    return (configuration, warnings)
  }

  func invalid(_ sentence: String) -> ApusError { ApusError(.invalidArgument, sentence) }

  private func checkIsolation(_ configuration: InstanceConfiguration) throws(ApusError) {
    guard configuration.isolation == .container else {
      throw ApusError(
        .unsupported, "isolation 'vm' is not available in this version: run the instance as a container instead")
    }
  }

  private func checkProcess(_ configuration: InstanceConfiguration) throws(ApusError) {
    for assignment in configuration.process.environment where ResolvedProcess.variableName(assignment).isEmpty {
      throw invalid("invalid environment variable: \(assignment)")
    }
    // A NUL would end the string on its way into the kernel, and with it whatever else it says.
    let strings =
      configuration.process.environment + (configuration.process.command ?? [])
      + (configuration.process.entrypoint ?? []) + configuration.mounts.flatMap { [$0.source, $0.target] }
      + [configuration.process.workingDirectory ?? "", configuration.hostname ?? "", configuration.domainname ?? ""]
    for string in strings where string.utf8.contains(0) {
      throw invalid("'\(string.prefix(40))' contains a NUL character")
    }
    if let hostname = configuration.hostname, hostname.utf8.count > Self.maximumHostname {
      throw invalid("hostname \"\(hostname)\" is too long (maximum \(Self.maximumHostname) bytes)")
    }
    if let domain = configuration.domainname, domain.utf8.count > Self.maximumHostname {
      throw invalid("domainname \"\(domain)\" is too long (maximum \(Self.maximumHostname) bytes)")
    }
    if let signal = configuration.stopSignal, !signal.isEmpty, Signal.number(named: signal) == nil {
      throw invalid("Invalid signal: \(signal)")
    }
    if let check = configuration.healthCheck { try checkHealth(check) }
  }

  private func checkHealth(_ check: HealthCheckConfiguration) throws(ApusError) {
    let durations = [
      ("Interval", check.interval), ("Timeout", check.timeout), ("StartPeriod", check.startPeriod),
      ("StartInterval", check.startInterval),
    ]
    for (name, duration) in durations where duration != 0 && duration < Self.millisecond {
      throw invalid("\(name) in Healthcheck cannot be less than 1ms")
    }
    if check.retries < 0 { throw invalid("Retries in Healthcheck cannot be negative") }
  }

  private func checkLife(_ configuration: InstanceConfiguration) throws(ApusError) {
    if configuration.removeOnExit, configuration.restartPolicy.condition != .no {
      throw invalid("can't create 'AutoRemove' container with restart policy")
    }
    if configuration.restartPolicy.maximumRetries < 0 {
      throw invalid("invalid restart policy: maximum retry count cannot be negative")
    }
    if configuration.restartPolicy.maximumRetries > 0, configuration.restartPolicy.condition != .onFailure {
      throw invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    }
    for name in configuration.annotations.keys where name.isEmpty {
      throw invalid("invalid Annotations: the empty string is not permitted as an annotation key")
    }
  }

  private func checkNamespaces(_ configuration: InstanceConfiguration) throws(ApusError) {
    let namespaces = configuration.namespaces
    func check(_ mode: String?, _ allowed: Set<String>, containers: Bool, _ name: String) throws(ApusError) {
      guard let mode, !mode.isEmpty, !allowed.contains(mode) else { return }
      if containers, mode.hasPrefix("container:"), mode.utf8.count > "container:".utf8.count { return }
      throw invalid("invalid \(name) mode: \(mode)")
    }
    try check(namespaces.pid, ["host", "private"], containers: true, "PID")
    try check(namespaces.ipc, ["host", "private", "shareable", "none"], containers: true, "IPC")
    try check(namespaces.uts, ["host", "private"], containers: false, "UTS")
    try check(namespaces.cgroup, ["host", "private"], containers: false, "cgroup namespace")
    try check(namespaces.user, ["host"], containers: false, "USER")
    if namespaces.uts == "host", let hostname = configuration.hostname, !hostname.isEmpty {
      throw invalid("conflicting options: hostname and the UTS mode")
    }
  }

  private func checkNetwork(_ configuration: InstanceConfiguration) throws(ApusError) {
    let network = configuration.network
    if network.mode.hasPrefix("container:") {
      guard network.mode.utf8.count > "container:".utf8.count else {
        throw invalid("invalid container format container:<name|id>")
      }
      if let hostname = configuration.hostname, !hostname.isEmpty {
        throw invalid("conflicting options: hostname and the network mode")
      }
      if !network.dns.isEmpty { throw invalid("conflicting options: dns and the network mode") }
      if !network.extraHosts.isEmpty {
        throw invalid("conflicting options: custom host-to-IP mapping and the network mode")
      }
      if !network.exposedPorts.isEmpty {
        throw invalid("conflicting options: port exposing and the container type network mode")
      }
    }
    for entry in network.extraHosts {
      // `name:address` or `name=address`; an IPv6 address has colons of its own.
      guard let separator = entry.firstIndex(where: { $0 == ":" || $0 == "=" }), separator != entry.startIndex,
        entry.index(after: separator) != entry.endIndex
      else { throw invalid("bad format for add-host: \"\(entry)\"") }
      try checkLine(entry, "add-host")
    }
    for server in network.dns where !GeneratedFiles.isAddress(server) {
      throw invalid("\(server) is not an ip address")
    }
    for text in network.dnsSearch { try checkLine(text, "dns-search") }
    for text in network.dnsOptions { try checkLine(text, "dns-opt") }
  }

  /// What becomes part of a line in a generated file must not become more than that.
  private func checkLine(_ text: String, _ option: String) throws(ApusError) {
    if text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) {
      throw invalid("invalid value for \(option): it contains control characters")
    }
  }

  private func checkSecurity(_ configuration: InstanceConfiguration) throws(ApusError) {
    let security = configuration.security
    _ = try CapabilityChoice(security, host: host)
    if let profile = security.seccomp, profile != "unconfined", profile != "builtin" {
      _ = try SeccompProfile(document: profile)
    }
    if let profile = security.appArmorProfile, !profile.isEmpty, profile != "unconfined", !host.supportsAppArmor {
      throw ApusError(.unsupported, "AppArmor is not enabled on this host: it cannot confine with '\(profile)'")
    }
    if let option = security.selinuxOptions.first, option != "disable" {
      throw ApusError(.unsupported, "SELinux labels are not supported: 'label=\(option)' cannot be applied")
    }
  }

  /// Only parameters that belong to a namespace of the container's own may be set: others would be the host's.
  private func checkSysctls(_ configuration: InstanceConfiguration) throws(ApusError) {
    let ipcNames: Set<String> = [
      "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
      "kernel.shmmni", "kernel.shm_rmid_forced",
    ]
    for (name, value) in configuration.sysctls {
      let dotted = String(name.map { $0 == "/" ? "." : $0 })
      guard !dotted.split(separator: ".", omittingEmptySubsequences: false).contains(where: \.isEmpty),
        !name.utf8.contains(0), !value.utf8.contains(0)
      else { throw invalid("sysctl '\(name)' is no parameter's name") }
      if ipcNames.contains(dotted) || dotted.hasPrefix("fs.mqueue.") {
        if configuration.namespaces.ipc == "host" {
          throw invalid("sysctl '\(name)' is not allowed, because host ipc namespace is used")
        }
      } else if dotted.hasPrefix("net.") {
        if configuration.network.mode == "host" {
          throw invalid("sysctl '\(name)' is not allowed, because host network namespace is used")
        }
      } else {
        throw invalid("sysctl '\(name)' is not in a separate kernel namespace: it would be the whole host's")
      }
    }
  }

  private func checkDevices(_ configuration: InstanceConfiguration) throws(ApusError) {
    for device in configuration.devices {
      guard device.containerPath.hasPrefix("/") else {
        throw invalid("\(device.containerPath) is not an absolute path")
      }
      guard !device.permissions.isEmpty, device.permissions.utf8.count <= 3,
        device.permissions.allSatisfy({ "rwm".contains($0) })
      else { throw invalid("invalid device mode: \(device.permissions)") }
      _ = try HostDevice.devices(for: device)
    }
    for rule in configuration.deviceCgroupRules { _ = try DeviceRule.parse(rule) }
  }
}
