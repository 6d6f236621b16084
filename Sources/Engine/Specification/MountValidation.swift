import Errors
import Glibc

extension ConfigurationValidation {
  static let propagations: Set<String> = ["private", "rprivate", "shared", "rshared", "slave", "rslave"]

  func checkMounts(_ mounts: [MountConfiguration]) throws(ApusError) {
    var targets: Set<String> = []
    for mount in mounts {
      do {
        try check(mount)
      } catch {
        throw ApusError(
          error.code, "invalid mount config for type \"\(mount.kind.rawValue)\": \(error.message)", cause: error)
      }
      let target = cleanPath(mount.target)
      // An anonymous volume gives way to whatever else is to be there.
      if mount.kind == .volume, mount.source.isEmpty { continue }
      guard targets.insert(target).inserted else { throw invalid("Duplicate mount point: \(target)") }
    }
  }

  private func check(_ mount: MountConfiguration) throws(ApusError) {
    guard !mount.target.isEmpty else { throw invalid("field Target must not be empty") }
    guard mount.target.hasPrefix("/") else {
      throw invalid("invalid mount path: '\(mount.target)' mount path must be absolute")
    }
    guard cleanPath(mount.target) != "/" else { throw invalid("invalid specification: destination can't be '/'") }
    switch mount.kind {
    case .bind: try checkBind(mount)
    case .volume: try checkVolume(mount)
    case .tmpfs:
      guard mount.source.isEmpty else { throw invalid("field Source must not be specified") }
      if let size = mount.tmpfsSize, size < 0 { throw invalid("invalid size \(size): it cannot be negative") }
      for option in mount.options where !TmpfsOptions.isAllowed(option) {
        throw invalid("invalid tmpfs option \"\(option)\"")
      }
    }
  }

  private func checkBind(_ mount: MountConfiguration) throws(ApusError) {
    guard !mount.source.isEmpty else { throw invalid("field Source must not be empty") }
    if let propagation = mount.propagation, !propagation.isEmpty, !Self.propagations.contains(propagation) {
      throw invalid("invalid propagation mode: \(propagation)")
    }
    guard mount.source.hasPrefix("/") else {
      throw invalid("invalid mount path: '\(mount.source)' mount path must be absolute")
    }
    var status = stat()
    guard !mount.createSource, stat(mount.source, &status) != 0 else { return }
    let why = errno
    guard why == ENOENT || why == ENOTDIR else { throw ApusError(errno: why, "stat \(mount.source)") }
    throw invalid("bind source path does not exist: \(mount.source)")
  }

  private func checkVolume(_ mount: MountConfiguration) throws(ApusError) {
    if !mount.source.isEmpty { try VolumeName.check(mount.source) }
    guard let subpath = mount.subpath, !subpath.isEmpty else { return }
    guard !mount.source.isEmpty else { throw invalid("must not set Subpath when using anonymous volumes") }
    guard !subpath.hasPrefix("/"), !cleanPath(subpath).hasPrefix("..") else {
      throw invalid("subpath must be a relative path within the volume")
    }
    // By path it would be a race against whoever else has the volume: a link put there leads out of it.
    throw ApusError(.unsupported, "mounting a part of a volume (subpath) is not supported in this version")
  }
}
