import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// What is in every container's /dev (config-linux.md, Default Devices).
enum DefaultDevices {
  static let nodes: [(name: String, major: UInt32, minor: UInt32)] = [
    ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0),
  ]
  static let links: [(name: String, target: String)] = [
    ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"), ("core", "/proc/kcore"), ("ptmx", "pts/ptmx"),
  ]
}

extension RootTree {
  /// Fills a /dev that has just been mounted, and that nobody else has seen yet.
  ///
  /// In a user namespace nodes cannot be made: there the host's are bound.
  func fillDevices(_ devices: [LinuxDevice], bindFromHost: Bool) throws(ApusError) {
    let directory = try open("/dev", flags: O_RDONLY | O_DIRECTORY)
    // Modes as the specification gives them, whatever the caller's umask.
    let mask = umask(0)
    defer { umask(mask) }
    for node in DefaultDevices.nodes where !devices.contains(where: { $0.path == "/dev/\(node.name)" }) {
      if bindFromHost {
        try bindDevice("/dev/\(node.name)")
      } else {
        let device = dev_t(clinux_makedev(node.major, node.minor))
        if mknodat(directory.raw, node.name, S_IFCHR | 0o666, device) < 0, errno != EEXIST {
          try check(-1 as Int32, "cannot make the device /dev/\(node.name)")
        }
      }
    }
    for link in DefaultDevices.links {
      if symlinkat(link.target, directory.raw, link.name) < 0, errno != EEXIST {
        try check(-1 as Int32, "cannot make the link /dev/\(link.name)")
      }
    }
    for device in devices { try make(device, bindFromHost: bindFromHost) }
  }

  private func make(_ device: LinuxDevice, bindFromHost: Bool) throws(ApusError) {
    guard device.path.hasPrefix("/"), !device.path.hasSuffix("/") else {
      throw ApusError(.invalidArgument, "the device path \"\(device.path)\" is not an absolute path")
    }
    if bindFromHost { return try bindDevice(device.path) }
    let type: mode_t
    switch device.type {
    case "c", "u": type = S_IFCHR
    case "b": type = S_IFBLK
    case "p": type = S_IFIFO
    default: throw ApusError(.invalidArgument, "the device \(device.path) is of the unknown type \"\(device.type)\"")
    }
    guard let major = UInt32(exactly: device.major), let minor = UInt32(exactly: device.minor) else {
      throw ApusError(
        .invalidArgument, "the device \(device.path) has no such number as \(device.major):\(device.minor)")
    }
    let (parentPath, name) = Self.split(device.path)
    let parent = try openOrMake(parentPath, directory: true)
    let mode = mode_t(device.fileMode ?? 0o666) & 0o7777
    if mknodat(parent.raw, name, type | mode, dev_t(clinux_makedev(major, minor))) < 0 {
      guard errno == EEXIST else {
        try check(-1 as Int32, "cannot make the device \(device.path)")
        return
      }
      // What is there may be anything; only the very same device is good enough.
      let status = try Files.status(at: parent.raw, name)
      guard status.st_mode & S_IFMT == type,
        type == S_IFIFO || status.st_rdev == dev_t(clinux_makedev(major, minor))
      else { throw ApusError(.conflict, "cannot make the device \(device.path): something else is there") }
    }
    guard device.uid ?? 0 != 0 || device.gid ?? 0 != 0 else { return }
    try check(
      fchownat(parent.raw, name, device.uid ?? 0, device.gid ?? 0, AT_SYMLINK_NOFOLLOW),
      "cannot give the device \(device.path) its owner")
  }

  private func bindDevice(_ path: String) throws(ApusError) {
    let copy = try Mounts.clone(path)
    try attach(copy.raw, at: path, directory: false)
  }

  /// Copies of the null device for masking. The container's own, and verified to be it: whatever an image has put at
  /// /dev/null would otherwise be shown, writable, in the place of what is to be hidden (CVE-2025-31133).
  func openNull() throws(ApusError) -> OwnedDescriptor {
    let null = try open("/dev/null", links: false)
    let status = try Files.status(null.raw)
    guard status.st_mode & S_IFMT == S_IFCHR, status.st_rdev == dev_t(clinux_makedev(1, 3)) else {
      throw ApusError(.permissionDenied, "cannot mask paths: the container's /dev/null is not the null device")
    }
    return null
  }
}
