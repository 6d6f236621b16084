import DockerTypes
import Engine
import Errors

extension MountConfiguration {
  /// Everything a request mounts: `Mounts`, `Binds`, `Tmpfs`, then `Volumes` on targets that are still free.
  static func all(_ config: ContainerConfig, _ host: HostConfig) throws(ApusError) -> [MountConfiguration] {
    var mounts: [MountConfiguration] = []
    for bind in host.binds ?? [] { mounts.append(try MountConfiguration(bind: bind, driver: host.volumeDriver)) }
    for mount in host.mounts ?? [] { mounts.append(try MountConfiguration(mount)) }
    for (target, options) in (host.tmpfs ?? [:]).sorted(by: { $0.key < $1.key }) {
      var mount = MountConfiguration(.tmpfs, target: try absolute(target, in: target))
      mount.options = options.split(separator: ",").map(String.init)
      mount.readOnly = mount.options.contains("ro")
      mounts.append(mount)
    }
    var targets: Set<String> = []
    for mount in mounts where !targets.insert(trimmed(mount.target)).inserted {
      throw ApusError(.invalidArgument, "Duplicate mount point: \(mount.target)")
    }
    for target in (config.volumes ?? [:]).keys.sorted() where !targets.contains(trimmed(target)) {
      var mount = MountConfiguration(.volume, target: try absolute(target, in: target))
      mount.volumeDriver = host.volumeDriver.nonEmpty
      mounts.append(mount)
    }
    return mounts
  }

  /// `source:target[:options]`, `name:target[:options]`, or `target` alone for an anonymous volume.
  init(bind text: String, driver: String) throws(ApusError) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    switch parts.count {
    case 1:
      self.init(.volume, target: try Self.absolute(parts[0], in: text))
    case 2, 3:
      guard !parts[0].isEmpty else { throw Self.invalid(text, "its source is empty") }
      let target = try Self.absolute(parts[1], in: text)
      self.init(parts[0].hasPrefix("/") ? .bind : .volume, source: parts[0], target: target)
      createSource = kind == .bind
      if parts.count == 3 { try apply(mode: parts[2], of: text) }
    default: throw Self.invalid(text, "it has too many parts")
    }
    if kind == .volume { volumeDriver = driver.nonEmpty }
  }

  private static let propagations: Set<Substring> = [
    "private", "rprivate", "shared", "rshared", "slave", "rslave",
  ]

  private mutating func apply(mode: String, of text: String) throws(ApusError) {
    for option in mode.split(separator: ",", omittingEmptySubsequences: false) {
      switch option {
      case "rw": readOnly = false
      case "ro": readOnly = true
      // Labels mean nothing without SELinux, and the consistency of a cache nothing without one.
      case "z", "Z", "cached", "delegated", "consistent", "default", "": break
      case "nocopy" where kind == .volume: noCopy = true
      case _ where Self.propagations.contains(option) && kind == .bind: propagation = String(option)
      default: throw ApusError(.invalidArgument, "invalid mode: \(mode)")
      }
    }
  }

  /// One element of `HostConfig.Mounts`.
  init(_ mount: MountPoint) throws(ApusError) {
    let target = mount.target ?? ""
    let source = mount.source ?? ""
    func invalid(_ type: String, _ why: String) -> ApusError {
      ApusError(.invalidArgument, "invalid mount config for type \"\(type)\": \(why)")
    }
    let type = mount.type ?? ""
    guard let kind = Kind(rawValue: type) else {
      guard ["image", "npipe", "cluster"].contains(type) else {
        throw ApusError(.invalidArgument, "mount type unknown: \"\(type)\"")
      }
      throw ApusError(.unsupported, "mounts of type \"\(type)\" are not available: use bind, volume or tmpfs")
    }
    guard !target.isEmpty else { throw invalid(type, "field Target must not be empty") }
    guard target.hasPrefix("/") else {
      throw invalid(type, "invalid mount path: '\(target)' mount path must be absolute")
    }
    self.init(kind, source: source, target: target)
    readOnly = mount.readOnly ?? false
    switch kind {
    case .bind:
      guard !source.isEmpty else { throw invalid(type, "field Source must not be empty") }
      guard source.hasPrefix("/") else {
        throw invalid(type, "invalid mount path: '\(source)' mount path must be absolute")
      }
      propagation = mount.bindOptions?.propagation?.nonEmpty
      nonRecursive = mount.bindOptions?.nonRecursive ?? false
      createSource = mount.bindOptions?.createMountpoint ?? false
    case .volume:
      noCopy = mount.volumeOptions?.noCopy ?? false
      subpath = mount.volumeOptions?.subpath?.nonEmpty
      volumeLabels = mount.volumeOptions?.labels ?? [:]
      volumeDriver = mount.volumeOptions?.driverConfig?.name?.nonEmpty
      volumeOptions = mount.volumeOptions?.driverConfig?.options ?? [:]
    case .tmpfs:
      guard source.isEmpty else { throw invalid(type, "field Source must not be specified") }
      tmpfsSize = mount.tmpfsOptions?.sizeBytes.map { Int64($0) }
      tmpfsMode = mount.tmpfsOptions?.mode
      options = (mount.tmpfsOptions?.options ?? []).map { $0.joined(separator: "=") }
    }
  }

  private static func absolute(_ target: String, in text: String) throws(ApusError) -> String {
    guard target.hasPrefix("/") else { throw invalid(text, "the mount path '\(target)' must be absolute") }
    guard trimmed(target) != "" else { throw invalid(text, "the destination can't be '/'") }
    return target
  }

  /// Without trailing slashes: one target, however it is spelled.
  private static func trimmed(_ path: String) -> String {
    var path = path[...]
    while path.last == "/" { path.removeLast() }
    return String(path)
  }

  private static func invalid(_ text: String, _ why: String) -> ApusError {
    ApusError(.invalidArgument, "invalid volume specification: '\(text)': \(why)")
  }
}
