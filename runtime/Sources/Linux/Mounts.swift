import CLinux
import Errors
import Glibc

/// Mounts by descriptor: made detached, configured, then attached in one step, so that nobody ever sees a half-made
/// one.
public enum Mounts {
  /// Properties of one mount, as opposed to its file system (MOUNT_ATTR_*).
  public struct Attributes: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let readOnly = Attributes(rawValue: 0x01)
    public static let noSetUserID = Attributes(rawValue: 0x02)
    public static let noDevices = Attributes(rawValue: 0x04)
    public static let noExecute = Attributes(rawValue: 0x08)
    public static let noAccessTime = Attributes(rawValue: 0x10)
    public static let strictAccessTime = Attributes(rawValue: 0x20)
    public static let noDirectoryAccessTime = Attributes(rawValue: 0x80)
    public static let idMapped = Attributes(rawValue: 0x0010_0000)
    public static let noSymbolicLinks = Attributes(rawValue: 0x0020_0000)
    /// The bits of the access-time mode, which are set and cleared together.
    public static let accessTimeMask = Attributes(rawValue: 0x70)
  }

  /// How mounts made below a mount travel to its peers (mount_namespaces(7)).
  public enum Propagation: UInt64, Sendable {
    case unbindable = 0x0002_0000
    case `private` = 0x0004_0000
    case slave = 0x0008_0000
    case shared = 0x0010_0000
  }

  static let recursive: UInt32 = 0x8000  // AT_RECURSIVE
  static let emptyPath: UInt32 = 0x1000  // AT_EMPTY_PATH

  /// A detached copy of the mount at `path`, or of the whole tree of mounts below it.
  public static func clone(
    at directory: Int32 = AT_FDCWD, _ path: String, recursive: Bool = false
  ) throws(ApusError) -> OwnedDescriptor {
    // OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    let flags = 1 | UInt32(bitPattern: O_CLOEXEC) | (recursive ? self.recursive : 0) | (path.isEmpty ? emptyPath : 0)
    return OwnedDescriptor(
      owning: try check(clinux_open_tree(directory, path, flags), "cannot clone the mount \(path)"))
  }

  /// Attaches a detached mount on what `directory` and `path` name; an empty path is the directory itself.
  public static func attach(
    _ mount: Int32, at directory: Int32 = AT_FDCWD, _ path: String
  ) throws(ApusError) {
    // MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    let flags: UInt32 = 0x04 | (path.isEmpty ? 0x40 : 0)
    try check(clinux_move_mount(mount, "", directory, path, flags), "cannot attach a mount at \(path)")
  }

  /// Changes attributes and propagation of a mount, or of all mounts of a tree (mount_setattr(2)).
  public static func setAttributes(
    at directory: Int32 = AT_FDCWD, _ path: String, set: Attributes = [], clear: Attributes = [],
    propagation: Propagation? = nil, userNamespace: Int32? = nil, recursive: Bool = false
  ) throws(ApusError) {
    let flags = (recursive ? self.recursive : 0) | (path.isEmpty ? emptyPath : 0)
    // Some access-time bit set means that the whole mode is replaced.
    let clear = set.isDisjoint(with: .accessTimeMask) ? clear : clear.union(.accessTimeMask)
    try check(
      clinux_mount_setattr(
        directory, path, flags, set.rawValue, clear.rawValue, propagation?.rawValue ?? 0, userNamespace ?? -1),
      "cannot change the mount \(path)")
  }

  /// Removes the mount at a path; lazily also one in use.
  public static func unmount(_ path: String, lazily: Bool = false) throws(ApusError) {
    // UMOUNT_NOFOLLOW
    try check(umount2(path, 8 | (lazily ? Int32(MNT_DETACH) : 0)), "cannot unmount \(path)")
  }

  /// mount(2) with plain arguments.
  public static func mount(
    type: String?, source: String?, on target: String, flags: UInt = 0, options: String? = nil
  ) throws(ApusError) {
    // Not by Optional.map: the kernel tells NULL from the empty string.
    func call(_ data: UnsafeRawPointer?) -> Int32 { Glibc.mount(source ?? "none", target, type, flags, data) }
    let result = options.map { $0.withCString { call(UnsafeRawPointer($0)) } } ?? call(nil)
    try check(result, "cannot mount \(type ?? source ?? "a file system") on \(target)")
  }

  /// An overlay, detached: `lower` are directories, the top one first; with neither `upper` nor `work` it is read-only.
  ///
  /// Paths longer than the kernel's interface takes, or with characters it gives a meaning, are passed by descriptor.
  /// Throws unsupported on kernels before 6.5 when the names of the lower directories take more than 255 bytes.
  public static func overlay(
    lower: [String], upper: String? = nil, work: String? = nil, attributes: Attributes = [], options: [String] = []
  ) throws(ApusError) -> OwnedDescriptor {
    let context = try FilesystemContext("overlay")
    try context.set("source", "overlay")
    if takesLayersOneByOne {
      for directory in lower { try context.setPath("lowerdir+", directory) }
    } else {
      let joined = lower.map { escape($0) }.joined(separator: ":")
      guard joined.utf8.count < 256 else {
        throw ApusError(.unsupported, "cannot stack \(lower.count) layers: this needs Linux 6.5 or shorter layer paths")
      }
      try context.set("lowerdir", joined)
    }
    if let upper, let work {
      try context.setPath("upperdir", upper)
      try context.setPath("workdir", work)
    }
    for option in options {
      if let equals = option.firstIndex(of: "=") {
        try context.set(String(option[..<equals]), String(option[option.index(after: equals)...]))
      } else {
        try context.set(option)
      }
    }
    return try context.create(attributes: attributes)
  }

  /// A read-only mount of an EROFS file, detached: file-backed where the kernel can (Linux 6.12), by a loop device that
  /// goes away with the mount elsewhere.
  public static func erofs(file: String, attributes: Attributes = []) throws(ApusError) -> OwnedDescriptor {
    do {
      return try erofs(source: file, attributes: attributes)
    } catch  where error.errno == ENOTBLK {
      let loop = try LoopDevice(file: file)
      return try erofs(source: loop.path, attributes: attributes)
    }
  }

  private static func erofs(source: String, attributes: Attributes) throws(ApusError) -> OwnedDescriptor {
    let context = try FilesystemContext("erofs")
    // The source is looked up when the file system is made: a descriptor that stands for a long name lives until then.
    let name = source.utf8.count < 256 ? nil : try Files.open(source, flags: O_PATH).release()
    defer { if let name { close(name) } }
    try context.set("source", name.map { "/proc/self/fd/\($0)" } ?? source)
    try context.set("ro")
    return try context.create(attributes: attributes.union(.readOnly))
  }

  /// Whether an overlay's layers can be given one by one, without a limit on the length of all together (Linux 6.5).
  public static let takesLayersOneByOne = kernelIsAtLeast(6, 5)

  /// Whether mounts can be attached to a tree that is itself attached nowhere (Linux 6.15).
  public static let attachesToDetached = kernelIsAtLeast(6, 15)

  private static func kernelIsAtLeast(_ major: Int, _ minor: Int) -> Bool {
    var name = utsname()
    guard uname(&name) == 0 else { return false }
    let release = withUnsafeBytes(of: name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let numbers = release.split { $0 == "." || $0 == "-" }.prefix(2).compactMap { Int($0) }
    return numbers.count == 2 && (numbers[0], numbers[1]) >= (major, minor)
  }

  /// In an overlay's option `:` and `\` separate, in mount(2)'s options `,` as well.
  public static func escape(_ path: String, comma: Bool = false) -> String {
    var escaped = ""
    for character in path {
      if character == ":" || character == "\\" || (comma && character == ",") { escaped.append("\\") }
      escaped.append(character)
    }
    return escaped
  }
}

/// A file system being set up (fsopen(2)).
public struct FilesystemContext: ~Copyable {
  private let descriptor: OwnedDescriptor
  private let type: String

  public init(_ type: String) throws(ApusError) {
    self.type = type
    let result = clinux_fsopen(type, 1)
    if result < 0, errno == ENODEV {
      throw ApusError(
        .unsupported, "this kernel has no file system \"\(type)\"",
        cause: SystemFailure(errno: ENODEV, stage: "fsopen"))
    }
    descriptor = OwnedDescriptor(owning: try Linux.check(result, "cannot set up a file system of type \(type)"))
  }

  /// Sets an option with a value of at most 255 bytes.
  public func set(_ key: String, _ value: String) throws(ApusError) {
    try configure(stage: "cannot set \(key)=\(value) on \(type)") {
      value.withCString { clinux_fsconfig(descriptor.raw, 1, key, $0, 0) }
    }
  }

  /// Sets an option without a value.
  public func set(_ key: String) throws(ApusError) {
    try configure(stage: "cannot set \(key) on \(type)") {
      clinux_fsconfig(descriptor.raw, 0, key, nil, 0)
    }
  }

  /// Sets an option to an open file or directory (Linux 6.13 for overlays).
  public func set(_ key: String, descriptor value: Int32) throws(ApusError) {
    try configure(stage: "cannot set \(key) on \(type)") {
      clinux_fsconfig(descriptor.raw, 5, key, nil, value)
    }
  }

  /// Sets an option that the kernel looks up at once to a path of any length and any characters: one that the string
  /// interface cannot take goes through a descriptor.
  func setPath(_ key: String, _ path: String) throws(ApusError) {
    guard path.utf8.count >= 256 || path.utf8.contains(UInt8(ascii: ":")) || path.utf8.contains(UInt8(ascii: "\\"))
    else { return try set(key, path) }
    let directory = try Files.open(path, flags: O_PATH)
    try set(key, directory.path)
  }

  /// Makes the file system and a detached mount of it.
  public func create(attributes: Mounts.Attributes = []) throws(ApusError) -> OwnedDescriptor {
    try configure(stage: "cannot make a file system of type \(type)") {
      clinux_fsconfig(descriptor.raw, 6, nil, nil, 0)
    }
    return OwnedDescriptor(
      owning: try Linux.check(
        clinux_fsmount(descriptor.raw, 1, UInt32(attributes.rawValue)), "cannot mount a file system of type \(type)"))
  }

  private func configure(
    stage: @autoclosure () -> String, _ call: () -> Int32
  ) throws(ApusError) {
    guard call() < 0 else { return }
    let why = errno
    let log = messages()
    var stage = stage()
    if !log.isEmpty { stage += " (\(log))" }
    throw ApusError(errno: why, stage)
  }

  /// What the kernel wrote about the failure: "e overlay: …" lines of the context's log.
  private func messages() -> String {
    var lines: [String] = []
    while lines.count < 8 {
      var line = [UInt8](repeating: 0, count: 512)
      let length = line.withUnsafeMutableBytes { read(descriptor.raw, $0.baseAddress, $0.count) }
      guard length > 2 else { break }
      lines.append(String(decoding: line[2..<length], as: UTF8.self).filter { $0 != "\n" })
    }
    return lines.joined(separator: "; ")
  }
}

/// A loop device (loop(4)): a read-only file as a block device that frees itself with its last user.
public struct LoopDevice: ~Copyable, Sendable {
  private let descriptor: OwnedDescriptor
  /// `/dev/loopN`.
  public let path: String

  /// Throws resourceExhausted when no device becomes free in a bounded number of attempts.
  public init(file: String) throws(ApusError) {
    let backing = try Files.open(file, flags: O_RDONLY)
    let control = try Files.open("/dev/loop-control", flags: O_RDWR)
    for _ in 0..<64 {
      let number = try check(clinux_loop_free(control.raw), "cannot find a free loop device")
      let path = "/dev/loop\(number)"
      if !Files.exists(path) {
        // Without udev nobody makes the node; 7 is the loop driver's major number.
        _ = mknod(path, S_IFBLK | 0o660, dev_t(clinux_makedev(7, UInt32(number))))
      }
      let loop = try Files.open(path, flags: O_RDONLY)
      // LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR
      if clinux_loop_configure(loop.raw, backing.raw, 1 | 4, 0) >= 0 {
        self.descriptor = loop
        self.path = path
        return
      }
      // Somebody else was faster: take the next.
      guard errno == EBUSY else { throw ApusError(errno: errno, "cannot set up \(path) for \(file)") }
    }
    throw ApusError(.resourceExhausted, "no loop device became free for \(file)")
  }
}
