import CLinux
import Errors
import Glibc

/// Files by descriptor. Whatever lies in a tree that somebody else controls is opened once, with ``Resolve`` flags that
/// keep the walk inside, and then used through that descriptor only.
public enum Files {
  /// How openat2(2) may walk a path (RESOLVE_*).
  public struct Resolve: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    /// Do not cross mount points.
    public static let noXDev = Resolve(rawValue: 0x01)
    /// Do not follow /proc's magic links.
    public static let noMagicLinks = Resolve(rawValue: 0x02)
    /// Do not follow any symbolic link.
    public static let noSymlinks = Resolve(rawValue: 0x04)
    /// Fail when the walk leaves the directory.
    public static let beneath = Resolve(rawValue: 0x08)
    /// The directory is `/` for the walk: absolute links and `..` stay inside.
    public static let inRoot = Resolve(rawValue: 0x10)
    /// ``inRoot`` without magic links: what every path inside a container is opened with.
    public static let container: Resolve = [.inRoot, .noMagicLinks]
  }

  /// Opens a path of the host. O_CLOEXEC is added.
  public static func open(_ path: String, flags: Int32, mode: mode_t = 0) throws(ApusError) -> OwnedDescriptor {
    OwnedDescriptor(
      owning: try check(
        retrying { Glibc.openat(AT_FDCWD, path, flags | O_CLOEXEC, mode) }, "cannot open \(path)"))
  }

  /// Opens `path` relative to `directory` by openat2(2). O_CLOEXEC is added.
  public static func open(
    at directory: Int32, path: String, flags: Int32, mode: mode_t = 0, resolve: Resolve = .container
  ) throws(ApusError) -> OwnedDescriptor {
    // openat2 refuses what openat ignores: a mode without O_CREAT or O_TMPFILE.
    let creates = flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE
    return OwnedDescriptor(
      owning: try check(
        clinux_openat2(
          directory, path, UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), creates ? UInt64(mode) : 0, resolve.rawValue),
        "cannot open \(path)"))
  }

  /// All of a small file; more than `limit` bytes is an error.
  public static func read(_ path: String, limit: Int = 1 << 20) throws(ApusError) -> [UInt8] {
    let file = try open(path, flags: O_RDONLY)
    return try read(descriptor: file.raw, limit: limit, name: path)
  }

  /// All of a small file inside `directory`, see ``open(at:path:flags:mode:resolve:)``.
  public static func read(
    at directory: Int32, path: String, limit: Int = 1 << 20, resolve: Resolve = .container
  ) throws(ApusError) -> [UInt8] {
    // O_NONBLOCK: an image can have a FIFO where a file is expected; it must not hang the caller.
    let file = try open(at: directory, path: path, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY, resolve: resolve)
    return try read(descriptor: file.raw, limit: limit, name: path)
  }

  /// Everything from the descriptor's position to its end; more than `limit` bytes is an error.
  public static func read(descriptor: Int32, limit: Int, name: String = "a file") throws(ApusError) -> [UInt8] {
    var bytes: [UInt8] = []
    // Most files read here (procfs, cgroups, passwd) are below a page.
    var room = min(limit, 4096) + 1
    while true {
      let start = bytes.count
      var got = 0
      bytes.append(contentsOf: repeatElement(0, count: room))
      got = bytes.withUnsafeMutableBytes { buffer in
        retrying { Glibc.read(descriptor, buffer.baseAddress.map { $0 + start }, room) }
      }
      bytes.removeLast(room - max(got, 0))
      try check(got, "cannot read \(name)")
      if bytes.count > limit {
        throw ApusError(.resourceExhausted, "\(name) is larger than the \(limit) bytes it may have")
      }
      if got == 0 { return bytes }
      // A short read was most likely the whole file, and the next finds its end: no room worth clearing is needed. Nor is
      // more than the rest of a file that says how long it is.
      var next = 512
      if got == room {
        let size = (try? status(descriptor)).map { Int($0.st_size) } ?? 0
        next = size >= bytes.count ? size - bytes.count + 1 : 1 << 16
      }
      room = min(limit + 1 - bytes.count, next)
    }
  }

  /// Writes all of `bytes`.
  public static func write(_ bytes: [UInt8], to descriptor: Int32, name: String = "a file") throws(ApusError) {
    var offset = 0
    while offset < bytes.count {
      let written = bytes.withUnsafeBytes { buffer in
        retrying { Glibc.write(descriptor, buffer.baseAddress.map { $0 + offset }, buffer.count - offset) }
      }
      offset += try check(written, "cannot write \(name)")
    }
  }

  /// Writes `text` in one write(2) to an existing file: what procfs, sysfs and cgroup files expect.
  public static func write(_ text: String, toExisting path: String) throws(ApusError) {
    try write(text, at: AT_FDCWD, toExisting: path)
  }

  /// The same relative to a directory.
  public static func write(_ text: String, at directory: Int32, toExisting path: String) throws(ApusError) {
    let file = retrying { Glibc.openat(directory, path, O_WRONLY | O_CLOEXEC) }
    try check(file, "cannot open \(path)")
    var text = text
    let written = text.withUTF8 { buffer in retrying { Glibc.write(file, buffer.baseAddress, buffer.count) } }
    let why = errno
    _ = Glibc.close(file)
    if written < 0 { throw ApusError(errno: why, "cannot write \"\(text)\" to \(path)") }
  }

  /// Writes a file so that a reader sees either the old or the new content: temporary name, fsync on demand, rename.
  public static func writeAtomically(
    _ bytes: [UInt8], to path: String, mode: mode_t = 0o644, synchronize: Bool = false
  ) throws(ApusError) {
    let temporary = "\(path).\(getpid()).tmp"
    do {
      let file = try open(temporary, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode)
      try write(bytes, to: file.raw, name: temporary)
      if synchronize { try check(fdatasync(file.raw), "cannot flush \(temporary)") }
      try check(Glibc.rename(temporary, path), "cannot rename \(temporary) to \(path)")
    } catch {
      _ = Glibc.unlink(temporary)
      throw error
    }
  }

  /// Makes one directory; an existing one is fine.
  public static func makeDirectory(_ path: String, mode: mode_t = 0o755) throws(ApusError) {
    try makeDirectory(at: AT_FDCWD, path, mode: mode)
  }

  /// Makes one directory relative to `directory`; an existing one is fine.
  public static func makeDirectory(at directory: Int32, _ path: String, mode: mode_t = 0o755) throws(ApusError) {
    if mkdirat(directory, path, mode) < 0, errno != EEXIST {
      try check(-1 as Int32, "cannot make the directory \(path)")
    }
  }

  /// Makes a directory of the host and its missing parents.
  public static func makeDirectories(_ path: String, mode: mode_t = 0o755) throws(ApusError) {
    if mkdir(path, mode) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
      try check(-1 as Int32, "cannot make the directory \(path)")
      return
    }
    try makeDirectories(String(path[..<slash]), mode: mode)
    try makeDirectory(path, mode: mode)
  }

  /// Whether something has this name on the host (links are followed).
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// fstat(2).
  public static func status(_ descriptor: Int32) throws(ApusError) -> stat {
    var status = stat()
    try check(fstat(descriptor, &status), "cannot examine a file")
    return status
  }

  /// fstatat(2); links are not followed.
  public static func status(at directory: Int32, _ path: String) throws(ApusError) -> stat {
    var status = stat()
    try check(fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW), "cannot examine \(path)")
    return status
  }

  /// Where a symbolic link points.
  public static func readLink(at directory: Int32 = AT_FDCWD, _ path: String) throws(ApusError) -> String {
    var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let length = target.withUnsafeMutableBytes { buffer in
      buffer.withMemoryRebound(to: CChar.self) { text in
        text.baseAddress.map { readlinkat(directory, path, $0, text.count) } ?? -1
      }
    }
    try check(length, "cannot read the link \(path)")
    return String(decoding: target.prefix(length), as: UTF8.self)
  }

  /// Name and type (DT_*) of everything in an open directory but `.` and `..`; at most `limit` of them.
  public static func entries(
    of directory: Int32, limit: Int = 1 << 20
  ) throws(ApusError) -> [(name: String, type: UInt8)] {
    var entries: [(name: String, type: UInt8)] = []
    var buffer = [UInt8](repeating: 0, count: 16384)
    try check(Int(lseek(directory, 0, SEEK_SET)), "cannot rewind a directory")
    while true {
      let filled = Int(
        try check(
          buffer.withUnsafeMutableBytes { clinux_getdents(directory, $0.baseAddress, $0.count) },
          "cannot list a directory"))
      if filled == 0 { return entries }
      var offset = 0
      while offset < filled {
        // struct linux_dirent64: u64 inode, s64 offset, u16 length, u8 type, name.
        let length = Int(buffer[offset + 16]) | Int(buffer[offset + 17]) << 8
        let name = buffer[(offset + 19)..<(offset + length)].prefix { $0 != 0 }
        if !(name.elementsEqual([0x2e]) || name.elementsEqual([0x2e, 0x2e])) {
          guard entries.count < limit else {
            throw ApusError(.resourceExhausted, "a directory has more than \(limit) entries")
          }
          entries.append((String(decoding: name, as: UTF8.self), buffer[offset + 18]))
        }
        offset += length
      }
    }
  }
}
