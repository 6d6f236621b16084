import Errors
import Glibc
import Linux

/// What the `local` driver mounts at a volume's directory: `type`, `device` and `o`, as mount(8) takes them.
struct VolumeOptions {
  let type: String
  let device: String
  let options: [String]

  private static let flags: [String: (set: UInt, clear: UInt)] = {
    let bits: [(String, String, Int)] = [
      ("ro", "rw", MS_RDONLY), ("nosuid", "suid", MS_NOSUID), ("nodev", "dev", MS_NODEV),
      ("noexec", "exec", MS_NOEXEC), ("sync", "async", MS_SYNCHRONOUS), ("noatime", "atime", MS_NOATIME),
      ("nodiratime", "diratime", MS_NODIRATIME), ("relatime", "norelatime", MS_RELATIME),
      ("strictatime", "nostrictatime", MS_STRICTATIME), ("bind", "", MS_BIND), ("rbind", "", MS_BIND | MS_REC),
      ("private", "", 0), ("rprivate", "", 0), ("defaults", "", 0),
    ]
    var map: [String: (set: UInt, clear: UInt)] = [:]
    for (on, off, bit) in bits {
      map[on] = (UInt(bit), 0)
      if !off.isEmpty { map[off] = (0, UInt(bit)) }
    }
    return map
  }()

  /// nil where nothing is to be mounted.
  ///
  /// - Throws: `invalidArgument` for unknown options and for some without the others.
  init?(_ options: [String: String]) throws(ApusError) {
    guard !options.isEmpty else { return nil }
    for name in options.keys where !["type", "o", "device"].contains(name) {
      throw ApusError(.invalidArgument, "invalid option: \"\(name)\"")
    }
    for (name, needed) in [("device", ["type"]), ("type", ["device"]), ("o", ["device", "type"])]
    where options[name] != nil {
      for other in needed where options[other] == nil {
        throw ApusError(.invalidArgument, "missing required option: \"\(other)\"")
      }
    }
    for value in options.values where value.utf8.contains(0) || value.utf8.count > 4096 {
      throw ApusError(.invalidArgument, "a volume option is longer than 4,096 bytes or contains a NUL character")
    }
    type = options["type"] ?? ""
    device = options["device"] ?? ""
    self.options = (options["o"] ?? "").split(separator: ",").map(String.init)
  }

  /// Mounts it on an existing directory. Blocks.
  func mount(on directory: String) throws(ApusError) {
    var flags: UInt = 0
    var data: [String] = []
    for option in options {
      if let (set, clear) = Self.flags[option] {
        flags = flags & ~clear | set
      } else {
        data.append(option)
      }
    }
    let isBind = flags & UInt(MS_BIND) != 0
    do {
      try Mounts.mount(
        type: isBind ? nil : type, source: device, on: directory, flags: flags,
        options: data.isEmpty ? nil : data.joined(separator: ","))
      // A bind takes no other flags in the same call.
      let further = flags & ~UInt(MS_BIND | MS_REC)
      if isBind, further != 0 {
        try Mounts.mount(
          type: nil, source: nil, on: directory, flags: further | UInt(MS_BIND) | UInt(MS_REMOUNT), options: nil)
      }
      // What is mounted below it by others must not spread, nor what instances mount here.
      try Mounts.setAttributes(directory, propagation: .private)
    } catch {
      Self.unmount(directory)
      // Credentials of network file systems are among the options: the message names the device alone.
      throw ApusError(
        error.code,
        "failed to mount local volume: mount \(device):\(directory): \(describe(errno: error.errno ?? EINVAL))",
        cause: error)
    }
  }

  /// Whether something is mounted on `directory` or below it.
  static func isMounted(_ directory: String) throws(ApusError) -> Bool {
    try Mounts.list().contains { $0.mountPoint == directory || $0.mountPoint.hasPrefix(directory + "/") }
  }

  static func unmount(_ directory: String) {
    // Once per mount, should there be several on each other.
    for _ in 0..<16 { if (try? Mounts.unmount(directory, lazily: true)) == nil { return } }
  }
}
