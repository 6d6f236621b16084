import Errors
import Glibc
import Linux

/// A name in a directory: bytes that need not be UTF-8, ended by a NUL for the system calls.
struct EntryName: Hashable, Comparable {
  let terminated: [CChar]

  init(_ bytes: some Sequence<UInt8>) { terminated = bytes.map { CChar(bitPattern: $0) } + [0] }

  var bytes: [UInt8] { terminated.dropLast().map { UInt8(bitPattern: $0) } }
  var text: String { TarEntry.display(bytes) }

  static func < (left: EntryName, right: EntryName) -> Bool {
    left.terminated.lexicographicallyPrecedes(right.terminated) { UInt8(bitPattern: $0) < UInt8(bitPattern: $1) }
  }
}

/// What statx(2) tells of a file.
struct EntryStatus {
  private let value: statx

  /// Of a name in a directory; links are not followed. nil when there is none.
  static func find(_ name: EntryName, at directory: Int32) throws(ApusError) -> EntryStatus? {
    var value = statx()
    let mask = UInt32(STATX_BASIC_STATS) | 0x1000  // STATX_MNT_ID
    let flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
    if statx(directory, name.terminated, flags, mask, &value) < 0 {
      if errno == ENOENT { return nil }
      try check(-1 as Int32, "cannot examine '\(name.text)'")
    }
    return EntryStatus(value: value)
  }

  static func of(_ descriptor: Int32) throws(ApusError) -> EntryStatus {
    var value = statx()
    let mask = UInt32(STATX_BASIC_STATS) | 0x1000
    try check(statx(descriptor, "", AT_EMPTY_PATH, mask, &value), "cannot examine a file")
    return EntryStatus(value: value)
  }

  var mode: UInt32 { UInt32(value.stx_mode) }
  func has(type: mode_t) -> Bool { mode & UInt32(S_IFMT) == UInt32(type) }
  var isDirectory: Bool { has(type: S_IFDIR) }
  var isRegular: Bool { has(type: S_IFREG) }
  /// overlayfs's mark for a deleted name.
  var isWhiteout: Bool { has(type: S_IFCHR) && deviceMajor == 0 && deviceMinor == 0 }
  var uid: UInt32 { value.stx_uid }
  var gid: UInt32 { value.stx_gid }
  var size: Int64 { Int64(value.stx_size) }
  var blocks: Int64 { Int64(value.stx_blocks) }
  var links: UInt32 { value.stx_nlink }
  var deviceMajor: UInt32 { value.stx_rdev_major }
  var deviceMinor: UInt32 { value.stx_rdev_minor }
  var modifiedSeconds: Int64 { Int64(value.stx_mtime.tv_sec) }
  var modifiedNanoseconds: UInt32 { value.stx_mtime.tv_nsec }
  var accessTime: timespec {
    timespec(tv_sec: Int(value.stx_atime.tv_sec), tv_nsec: Int(value.stx_atime.tv_nsec))
  }
  var modificationTime: timespec { timespec(tv_sec: Int(modifiedSeconds), tv_nsec: Int(modifiedNanoseconds)) }
  var mountID: UInt64 { value.stx_mnt_id }
  var identity: FileIdentity {
    FileIdentity(major: value.stx_dev_major, minor: value.stx_dev_minor, inode: value.stx_ino)
  }
}

/// The same file under several names.
struct FileIdentity: Hashable {
  var major: UInt32
  var minor: UInt32
  var inode: UInt64
}

/// Steps that all tree operations share. A name is one component, never followed when it is a link.
enum TreeStep {
  /// Deeper trees are refused where a descriptor is held per level.
  static let depthLimit = 1024

  static func openDirectory(_ name: EntryName, at directory: Int32) throws(ApusError) -> OwnedDescriptor {
    try open(name, at: directory, flags: O_RDONLY | O_DIRECTORY)
  }

  static func open(
    _ name: EntryName, at directory: Int32, flags: Int32, mode: mode_t = 0
  ) throws(ApusError) -> OwnedDescriptor {
    let descriptor = retrying { openat(directory, name.terminated, flags | O_NOFOLLOW | O_CLOEXEC, mode) }
    return OwnedDescriptor(owning: try check(descriptor, "cannot open '\(name.text)'"))
  }

  /// A descriptor that can be listed, of a directory that may have been opened with O_PATH.
  static func reopen(directory: Int32) throws(ApusError) -> OwnedDescriptor {
    OwnedDescriptor(
      owning: try check(
        retrying { openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }, "cannot open a directory"))
  }

  /// All names but `.` and `..`.
  /// - Parameter sorted: else in the file system's own order, in which it works fastest.
  static func list(_ directory: Int32, sorted: Bool = true) throws(ApusError) -> [EntryName] {
    let copy = try reopen(directory: directory).release()
    guard let stream = fdopendir(copy) else {
      close(copy)
      throw ApusError(errno: errno, "cannot list a directory")
    }
    defer { closedir(stream) }
    var names: [EntryName] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else {
        if errno != 0 { throw ApusError(errno: errno, "cannot list a directory") }
        break
      }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { EntryName($0.prefix { $0 != 0 }) }
      if name.terminated == [0x2e, 0] || name.terminated == [0x2e, 0x2e, 0] { continue }
      names.append(name)
    }
    if sorted { names.sort() }
    return names
  }

  static func readLink(_ name: EntryName, at directory: Int32) throws(ApusError) -> [UInt8] {
    var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let length = target.withUnsafeMutableBytes { buffer in
      buffer.withMemoryRebound(to: CChar.self) { text in
        text.baseAddress.map { readlinkat(directory, name.terminated, $0, text.count) } ?? -1
      }
    }
    try check(length, "cannot read the link '\(name.text)'")
    return Array(target.prefix(length))
  }

  /// Extended attributes that belong to the file rather than to the host or to overlayfs.
  static func attributes(
    _ name: EntryName, at directory: Int32
  ) throws(ApusError) -> [(name: [UInt8], value: [UInt8])] {
    let file = try open(name, at: directory, flags: O_PATH)
    return try attributes(of: file.raw)
  }

  static func attributes(of descriptor: Int32) throws(ApusError) -> [(name: [UInt8], value: [UInt8])] {
    var result: [(name: [UInt8], value: [UInt8])] = []
    for name in try ExtendedAttributes.names(of: descriptor).sorted() {
      var shown = name
      if name.hasPrefix("trusted.overlay.") {
        // Those that a tree inside a container has are escaped by one more "overlay.".
        guard name.hasPrefix("trusted.overlay.overlay.") else { continue }
        shown = "trusted." + name.dropFirst("trusted.overlay.".count)
      }
      if name == "security.selinux" || name == "security.ima" || name == "security.evm" { continue }
      guard let value = try ExtendedAttributes.get(name, of: descriptor) else { continue }
      result.append((Array(shown.utf8), value))
    }
    return result
  }
}
