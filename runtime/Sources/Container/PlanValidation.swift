import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

extension ContainerConfiguration {
  /// Throws what ``Container/create(_:)`` would find wrong with the configuration itself, all but rules that libseccomp
  /// refuses, and does nothing else.
  public func validate() throws(ApusError) {
    _ = try Plan(self, compilesFilter: false)
    if let profile = spec.linux?.seccomp { try Seccomp.validate(profile) }
  }
}

/// Fields that are wrong by themselves or contradict each other. Each sentence names the field.
extension Plan {
  func validate() throws(ApusError) {
    try validateVersion()
    try validateProcess()
    try validateRoot()
    try validateDevices()
    try validateNames()
    try HookRunner.validate(configuration.spec.hooks)
    try Sysctl.validate(linux.sysctl, namespaces: namespaces)
    try SecurityLabels.validate(process, mountLabel: linux.mountLabel)
    if let rdt = linux.intelRdt { try ResourceControl().validate(rdt) }
    guard linux.netDevices.isEmpty || namespaces.makes(.network) || namespaces.joins(.network) != nil else {
      throw ApusError(.invalidArgument, "linux.netDevices needs a network namespace, and linux.namespaces has none")
    }
    guard linux.netDevices.isEmpty else {
      throw ApusError(.unsupported, "linux.netDevices: moving network devices is not supported; use a hook")
    }
  }

  private func validateVersion() throws(ApusError) {
    let version = configuration.spec.ociVersion
    guard version.hasPrefix("1.") else {
      throw ApusError(.invalidArgument, "ociVersion: \"\(version.prefix(64))\" is not a version 1 of the specification")
    }
  }

  private func validateProcess() throws(ApusError) {
    guard process.cwd.isEmpty || process.cwd.hasPrefix("/") else {
      throw ApusError(.invalidArgument, "process.cwd: \"\(process.cwd)\" is not an absolute path")
    }
    try Self.validate(process)
    // Permitted bounds effective: the kernel would refuse with nothing but EPERM to say why.
    let excess = capabilities.effective.subtracting(capabilities.permitted)
    guard excess.isEmpty else {
      throw ApusError(
        .invalidArgument,
        "process.capabilities.effective: \(excess.capabilityNames.joined(separator: ", ")) is not among the permitted ones"
      )
    }
  }

  /// For a first and for an executed process.
  static func validate(_ process: ProcessSpec) throws(ApusError) {
    try ProcessAttributes.validateScheduling(process)
    if let score = process.oomScoreAdj, !(-1000...1000).contains(score) {
      throw ApusError(.invalidArgument, "process.oomScoreAdj: is from -1000 to 1000, not \(score)")
    }
    guard process.user.additionalGids.count <= UserDatabase.maximumGroups else {
      throw ApusError(
        .invalidArgument, "process.user.additionalGids: has more than \(UserDatabase.maximumGroups) groups")
    }
    if let mask = process.user.umask, mask > 0o777 {
      throw ApusError(.invalidArgument, "process.user.umask: \(String(mask, radix: 8)) is not one of permissions")
    }
    if let affinity = process.execCPUAffinity {
      for (name, list) in [("initial", affinity.initial), ("final", affinity.final)] where !list.isEmpty {
        _ = try ProcessorList(list, field: "process.execCPUAffinity.\(name)")
      }
    }
  }

  private func validateRoot() throws(ApusError) {
    if configuration.root == nil, configuration.spec.root?.path.hasPrefix("/") != true {
      throw ApusError(.invalidArgument, "root.path: the root of \(configuration.id) is not an absolute path")
    }
    let propagations = ["", "shared", "slave", "private", "unbindable"]
    let propagation = linux.rootfsPropagation
    guard propagations.contains(propagation) || propagations.contains(String(propagation.dropFirst())) else {
      throw ApusError(
        .invalidArgument, "linux.rootfsPropagation: is shared, slave, private or unbindable, not \"\(propagation)\"")
    }
    for (field, paths) in [("maskedPaths", linux.maskedPaths), ("readonlyPaths", linux.readonlyPaths)] {
      for path in paths where !path.hasPrefix("/") {
        throw ApusError(.invalidArgument, "linux.\(field): \"\(path)\" is not an absolute path")
      }
    }
    guard !namespaces.makes(.mount) else { return }
    // Without a mount namespace of its own the root is a tree of mounts that only the container knows.
    let namespace = "the container's own mount namespace, which linux.namespaces does not ask for"
    guard configuration.root == nil else {
      throw ApusError(.invalidArgument, "a root of layers needs \(namespace)")
    }
    guard propagation.isEmpty else {
      throw ApusError(.invalidArgument, "linux.rootfsPropagation needs \(namespace)")
    }
    let mounted = [
      ("mounts", !mounts.isEmpty), ("linux.maskedPaths", !linux.maskedPaths.isEmpty),
      ("linux.readonlyPaths", !linux.readonlyPaths.isEmpty),
    ]
    for (field, isSet) in mounted where isSet && !Mounts.attachesToDetached {
      throw ApusError(.unsupported, "\(field) needs \(namespace), or Linux 6.15")
    }
  }

  private func validateDevices() throws(ApusError) {
    for (index, device) in linux.devices.enumerated() {
      func refuse(_ reason: String) -> ApusError { ApusError(.invalidArgument, "linux.devices[\(index)]\(reason)") }
      guard device.path.hasPrefix("/"), !device.path.hasSuffix("/") else {
        throw refuse(".path: \"\(device.path)\" is not an absolute path of a device")
      }
      guard ["c", "u", "b", "p"].contains(device.type) else {
        throw refuse(".type: the device \(device.path) is of the unknown type \"\(device.type)\"")
      }
      // As wide as the kernel's numbers are.
      guard (0..<4096).contains(device.major), (0..<1_048_576).contains(device.minor) else {
        throw refuse(": the device \(device.path) has no such number as \(device.major):\(device.minor)")
      }
    }
  }

  private func validateNames() throws(ApusError) {
    let spec = configuration.spec
    for (field, name) in [("hostname", spec.hostname), ("domainname", spec.domainname)] where !name.isEmpty {
      guard namespaces.makes(.uts) || namespaces.joins(.uts) != nil else {
        throw ApusError(.invalidArgument, "\(field): a host name needs a UTS namespace, and linux.namespaces has none")
      }
      guard name.utf8.count <= 64 else {
        throw ApusError(.invalidArgument, "\(field): has more than the 64 bytes that the kernel keeps")
      }
    }
  }
}
