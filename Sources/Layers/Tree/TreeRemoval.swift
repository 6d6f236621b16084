import Errors
import Glibc
import Linux

extension Tree {
  /// Removes `name` and everything in it; not being there is fine. Does not follow links nor enter other mounts.
  /// - Throws: `conflict` naming what something is mounted on.
  public static func removeAll(parent: Int32, name: String) throws(ApusError) {
    guard !name.isEmpty, name != ".", name != "..", !name.contains("/"), !name.utf8.contains(0) else {
      throw ApusError(.invalidArgument, "'\(name.prefix(200))' is not one name")
    }
    try removeAll(parent: parent, EntryName(name.utf8))
  }

  static func removeAll(parent: Int32, _ name: EntryName) throws(ApusError) {
    // Most often it is no directory, or an empty one: one system call.
    if unlinkat(parent, name.terminated, 0) == 0 || errno == ENOENT { return }
    if errno == EISDIR || errno == EPERM || errno == EBUSY {
      if unlinkat(parent, name.terminated, AT_REMOVEDIR) == 0 || errno == ENOENT { return }
    }
    guard let status = try EntryStatus.find(name, at: parent) else { return }
    guard status.isDirectory else {
      try check(unlinkat(parent, name.terminated, 0), "cannot remove '\(name.text)'")
      return
    }
    let top = try TreeStep.openDirectory(name, at: parent)
    guard try EntryStatus.of(top.raw).mountID == EntryStatus.of(parent).mountID else {
      throw ApusError(.conflict, "cannot remove '\(name.text)': something is mounted on it")
    }
    var removal = Removal(top: top.raw, mountID: try EntryStatus.of(top.raw).mountID)
    try removal.empty(top.raw, depth: 0)
    try check(unlinkat(parent, name.terminated, AT_REMOVEDIR), "cannot remove '\(name.text)'")
  }
}

private struct Removal {
  let top: Int32
  let mountID: UInt64
  private var moved = 0
  /// Descriptors and stack that a tree may cost; what lies deeper is moved up first.
  private static let depthLimit = 128

  init(top: Int32, mountID: UInt64) {
    self.top = top
    self.mountID = mountID
  }

  mutating func empty(_ directory: Int32, depth: Int) throws(ApusError) {
    // Moving deep directories up adds names to the top: it is listed until it is empty.
    while true {
      let names = try TreeStep.list(directory, sorted: false)
      if names.isEmpty { return }
      for name in names { try remove(name, at: directory, depth: depth) }
      if depth > 0 { return }
    }
  }

  private mutating func remove(_ name: EntryName, at directory: Int32, depth: Int) throws(ApusError) {
    if unlinkat(directory, name.terminated, 0) == 0 || errno == ENOENT { return }
    let why = errno
    guard why == EISDIR || why == EPERM || why == EBUSY else {
      throw ApusError(errno: why, "cannot remove '\(name.text)'")
    }
    if unlinkat(directory, name.terminated, AT_REMOVEDIR) == 0 || errno == ENOENT { return }
    guard errno == ENOTEMPTY || errno == EEXIST else {
      throw ApusError(errno: errno == ENOTDIR ? why : errno, "cannot remove '\(name.text)'")
    }
    if depth >= Self.depthLimit {
      moved += 1
      let place = EntryName(".apus-removal-\(moved)".utf8)
      try check(
        renameat(directory, name.terminated, top, place.terminated), "cannot remove '\(name.text)'")
      return
    }
    let opened = try TreeStep.openDirectory(name, at: directory)
    guard try EntryStatus.of(opened.raw).mountID == mountID else {
      throw ApusError(.conflict, "cannot remove '\(name.text)': something is mounted on it")
    }
    try empty(opened.raw, depth: depth + 1)
    try check(unlinkat(directory, name.terminated, AT_REMOVEDIR), "cannot remove '\(name.text)'")
  }
}
