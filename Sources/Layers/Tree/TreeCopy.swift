import Errors
import Glibc
import Linux

extension Tree {
  /// Copies what is in the directory `path` into an open directory, with owners, modes, times, links, devices and
  /// attributes; the directory itself gets the owner and mode of `path`. What is mounted below `path` is not copied.
  /// False when there is no directory `path`.
  @discardableResult
  public static func copyContents(
    from root: Int32, path: String, to directory: Int32, cancelled: @escaping Cancellation = { false }
  ) throws(ApusError) -> Bool {
    let clean = "/" + components(path).joined(separator: "/")
    let source: OwnedDescriptor
    do {
      source = try Files.open(at: root, path: clean, flags: O_RDONLY | O_DIRECTORY)
    } catch  where error.errno == ENOENT || error.errno == ENOTDIR {
      return false
    }
    let target = try TreeStep.reopen(directory: directory)
    var copy = TreeCopy(mountID: try EntryStatus.of(source.raw).mountID, root: target.raw, cancelled: cancelled)
    try copy.copyContents(source.raw, to: target.raw, depth: 0)
    try copy.describeSelf(source.raw, target.raw)
    return true
  }
}

private struct TreeCopy {
  let mountID: UInt64
  let root: Int32
  let cancelled: Tree.Cancellation
  /// Where a file that has several names was copied to, from the root of the copy.
  private var copied: [FileIdentity: String] = [:]
  private var path: [String] = []

  init(mountID: UInt64, root: Int32, cancelled: @escaping Tree.Cancellation) {
    self.mountID = mountID
    self.root = root
    self.cancelled = cancelled
  }

  mutating func copyContents(_ source: Int32, to target: Int32, depth: Int) throws(ApusError) {
    guard depth < TreeStep.depthLimit else {
      throw ApusError(.resourceExhausted, "the tree is nested deeper than \(TreeStep.depthLimit) directories")
    }
    for name in try TreeStep.list(source) {
      if cancelled() { throw ApusError(.internal, "copying was cancelled") }
      guard let status = try EntryStatus.find(name, at: source), status.mountID == mountID else { continue }
      try copy(name, status, from: source, to: target, depth: depth)
    }
  }

  private mutating func copy(
    _ name: EntryName, _ status: EntryStatus, from source: Int32, to target: Int32, depth: Int
  ) throws(ApusError) {
    if status.links > 1, !status.isDirectory {
      // Names that are not UTF-8 are copied twice rather than linked.
      if let first = copied[status.identity] {
        let linked = try link(first, name, at: target)
        if linked { return }
      } else if let text = String(validating: name.bytes, as: UTF8.self) {
        copied[status.identity] = (path + [text]).joined(separator: "/")
      }
    }
    switch status.mode & UInt32(S_IFMT) {
    case UInt32(S_IFREG):
      try copyFile(name, from: source, to: target)
    case UInt32(S_IFDIR):
      if mkdirat(target, name.terminated, 0o700) < 0, errno != EEXIST {
        try check(-1 as Int32, "cannot make the directory '\(name.text)'")
      }
      let opened = try TreeStep.openDirectory(name, at: source)
      let made = try TreeStep.openDirectory(name, at: target)
      path.append(String(decoding: name.bytes, as: UTF8.self))
      defer { path.removeLast() }
      try copyContents(opened.raw, to: made.raw, depth: depth + 1)
    case UInt32(S_IFLNK):
      let text = EntryName(try TreeStep.readLink(name, at: source))
      try check(symlinkat(text.terminated, target, name.terminated), "cannot make the link '\(name.text)'")
    case UInt32(S_IFSOCK):
      return
    default:
      try TreeWrite.makeNode(
        name, at: target, type: status.mode & UInt32(S_IFMT), major: status.deviceMajor, minor: status.deviceMinor)
    }
    try TreeWrite.describe(
      name, at: target, mode: status.mode, uid: status.uid, gid: status.gid,
      attributes: try TreeStep.attributes(name, at: source), isLink: status.has(type: S_IFLNK))
    try TreeWrite.setTimes(
      name, at: target, access: status.accessTime, modification: status.modificationTime)
  }

  private func link(_ first: String, _ name: EntryName, at target: Int32) throws(ApusError) -> Bool {
    let existing = try Files.open(at: root, path: first, flags: O_PATH | O_NOFOLLOW, resolve: [.beneath, .noSymlinks])
    // By /proc: linking an O_PATH descriptor itself needs a capability more.
    return linkat(AT_FDCWD, existing.path, target, name.terminated, AT_SYMLINK_FOLLOW) == 0
  }

  private func copyFile(_ name: EntryName, from source: Int32, to target: Int32) throws(ApusError) {
    let input = try TreeStep.open(name, at: source, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
    let output = try TreeStep.open(name, at: target, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
    var first = true
    while true {
      if cancelled() { throw ApusError(.internal, "copying was cancelled") }
      let count = copy_file_range(input.raw, nil, output.raw, nil, 16 << 20, 0)
      if count == 0 { return }
      if count < 0 {
        let why = errno
        // Not between these two file systems: read and write.
        guard first, why == EXDEV || why == EINVAL || why == ENOSYS || why == EOPNOTSUPP || why == EBADF else {
          throw ApusError(errno: why, "cannot copy '\(name.text)'")
        }
        return try readAndWrite(input.raw, output.raw, name)
      }
      first = false
    }
  }

  private func readAndWrite(_ input: Int32, _ output: Int32, _ name: EntryName) throws(ApusError) {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    defer { buffer.deallocate() }
    var offset: Int64 = 0
    while true {
      let count = try check(retrying { read(input, buffer, 256 << 10) }, "cannot read '\(name.text)'")
      if count == 0 { return }
      try FileWriter.write(
        UnsafeRawBufferPointer(start: buffer, count: count), to: output, at: offset, name: "'\(name.text)'")
      offset += Int64(count)
      if cancelled() { throw ApusError(.internal, "copying was cancelled") }
    }
  }

  /// Owner, mode and times of the two top directories.
  func describeSelf(_ source: Int32, _ target: Int32) throws(ApusError) {
    let status = try EntryStatus.of(source)
    let name = EntryName(".".utf8)
    try TreeWrite.describe(
      name, at: target, mode: status.mode, uid: status.uid, gid: status.gid,
      attributes: try TreeStep.attributes(of: source), isLink: false)
    try TreeWrite.setTimes(name, at: target, access: status.accessTime, modification: status.modificationTime)
  }
}
