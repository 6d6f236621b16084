import Errors
import Glibc
import Linux
import RuntimeSpec

/// Device nodes of the host, as an instance can have them.
enum HostDevice {
  /// What the runtime makes in every instance anyway.
  private static let standard: Set<String> = [
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/console", "/dev/ptmx",
  ]
  /// Not devices of the host but of whoever mounted them there.
  private static let foreignDirectories: Set<String> = [
    "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev",
  ]
  private static let maximumDepth = 8
  private static let maximumCount = 4096

  /// The node at `hostPath`, or the nodes below it where that is a directory (`--device /dev/snd`).
  ///
  /// - Throws: `invalidArgument` with Docker's sentence where there is none.
  static func devices(for mapping: DeviceMapping) throws(ApusError) -> [LinuxDevice] {
    func failure(_ why: String) -> ApusError {
      ApusError(
        .invalidArgument,
        "error gathering device information while adding custom device \"\(mapping.hostPath)\": \(why)")
    }
    var status = stat()
    guard stat(mapping.hostPath, &status) == 0 else { throw failure(describe(errno: errno)) }
    if let device = device(status, path: mapping.containerPath) { return [device] }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw failure("not a device node") }
    var found: [LinuxDevice] = []
    walk(mapping.hostPath, as: mapping.containerPath, depth: 0, skipping: [], into: &found)
    guard !found.isEmpty else { throw failure("not a device node") }
    return found
  }

  /// Every device node of the host, for a privileged instance.
  static func all() -> [LinuxDevice] {
    var found: [LinuxDevice] = []
    walk("/dev", as: "/dev", depth: 0, skipping: foreignDirectories, into: &found)
    return found.filter { !standard.contains($0.path) }
  }

  /// Numbers of the block device at `path`.
  static func blockNumbers(of path: String) throws(ApusError) -> (major: Int64, minor: Int64) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw ApusError(.invalidArgument, "stat \(path): \(describe(errno: errno))")
    }
    guard status.st_mode & S_IFMT == S_IFBLK else {
      throw ApusError(.invalidArgument, "\(path) is not a block device: its I/O cannot be limited")
    }
    return numbers(status)
  }

  private static func walk(
    _ directory: String, as shown: String, depth: Int, skipping: Set<String>, into found: inout [LinuxDevice]
  ) {
    guard depth < maximumDepth, let stream = opendir(directory) else { return }
    defer { closedir(stream) }
    while let entry = readdir(stream), found.count < maximumCount {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name == "." || name == ".." || skipping.contains(name) { continue }
      let path = directory + "/" + name
      var status = stat()
      // Links stay links: /dev/fd and its kin would lead anywhere.
      guard lstat(path, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        walk(path, as: shown + "/" + name, depth: depth + 1, skipping: skipping, into: &found)
      } else if let device = device(status, path: shown + "/" + name) {
        found.append(device)
      }
    }
  }

  private static func device(_ status: stat, path: String) -> LinuxDevice? {
    let type: String
    switch status.st_mode & S_IFMT {
    case S_IFBLK: type = "b"
    case S_IFCHR: type = "c"
    default: return nil
    }
    let (major, minor) = numbers(status)
    return LinuxDevice(
      path: cleanPath(path), type: type, major: major, minor: minor, fileMode: status.st_mode & 0o7777,
      uid: status.st_uid, gid: status.st_gid)
  }

  /// The two halves of a device number as glibc packs them.
  private static func numbers(_ status: stat) -> (major: Int64, minor: Int64) {
    let packed = UInt64(status.st_rdev)
    return (
      Int64(packed >> 8 & 0xfff | packed >> 32 & 0xffff_f000), Int64(packed & 0xff | packed >> 12 & 0xffff_ff00)
    )
  }
}

/// Rules for which devices may be used (cgroup-v1/devices, or the program that stands for them on v2).
enum DeviceRule {
  /// Nothing but the devices every instance has; /dev/fuse and making nodes are denied with the rest.
  static let standard: [LinuxDeviceCgroup] =
    [LinuxDeviceCgroup(allow: false, access: "rwm")]
    + [(1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1)].map { major, minor in
      LinuxDeviceCgroup(allow: true, type: "c", major: major, minor: minor, access: "rwm")
    }
    + [LinuxDeviceCgroup(allow: false, type: "c", major: 10, minor: 229, access: "rwm")]

  static let everything = LinuxDeviceCgroup(allow: true, access: "rwm")

  /// `c 42:* rmw`, as `--device-cgroup-rule` takes it.
  static func parse(_ rule: String) throws(ApusError) -> LinuxDeviceCgroup {
    let fields = rule.split(separator: " ", omittingEmptySubsequences: false)
    let numbers = fields.count == 3 ? fields[1].split(separator: ":", omittingEmptySubsequences: false) : []
    func number(_ text: Substring) -> Int64? {
      if text == "*" { return -1 }
      return text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int64(text) : nil
    }
    guard numbers.count == 2, ["a", "c", "b"].contains(fields[0]), let major = number(numbers[0]),
      let minor = number(numbers[1]), (1...3).contains(fields[2].utf8.count),
      fields[2].allSatisfy({ "rwm".contains($0) })
    else { throw ApusError(.invalidArgument, "invalid device cgroup rule format: '\(rule)'") }
    return LinuxDeviceCgroup(
      allow: true, type: String(fields[0]), major: major, minor: minor, access: String(fields[2]))
  }
}
