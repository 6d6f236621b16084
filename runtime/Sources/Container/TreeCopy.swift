import CLinux
import Errors
import Glibc
import Linux

/// Copies what an image has at the place of a new tmpfs into it (mount option `tmpcopyup`). All by descriptor, since both
/// trees are the container's.
enum TreeCopy {
  private static let maximumDepth = 64
  /// More than anybody puts at such a place, less than what would fill the host's memory with inodes.
  private static let maximumEntries = 65536

  /// - Parameters:
  ///   - source: an O_PATH descriptor; what is no directory has nothing to copy.
  ///   - target: a directory, detached or not.
  ///   - keepsMode: whether the target itself gets the source's mode, too.
  static func copy(from source: Int32, to target: Int32, keepsMode: Bool) throws(ApusError) {
    guard try Files.status(source).st_mode & S_IFMT == S_IFDIR else { return }
    var left = maximumEntries
    try copyDirectory(
      try Files.open(at: source, path: ".", flags: O_RDONLY | O_DIRECTORY, resolve: [.beneath]),
      try Files.open(at: target, path: ".", flags: O_RDONLY | O_DIRECTORY, resolve: [.beneath]), depth: 0,
      keepsMode: keepsMode, left: &left)
  }

  private static func copyDirectory(
    _ source: borrowing OwnedDescriptor, _ target: borrowing OwnedDescriptor, depth: Int, keepsMode: Bool = false,
    left: inout Int
  ) throws(ApusError) {
    guard depth < maximumDepth else {
      throw ApusError(.invalidArgument, "it is nested deeper than \(maximumDepth) levels")
    }
    for (name, _) in try Files.entries(of: source.raw, limit: maximumEntries) {
      left -= 1
      guard left >= 0 else { throw ApusError(.resourceExhausted, "it has more than \(maximumEntries) files") }
      let status = try Files.status(at: source.raw, name)
      switch status.st_mode & S_IFMT {
      case S_IFDIR:
        try Files.makeDirectory(at: target.raw, name, mode: 0o700)
        try copyDirectory(
          try open(source.raw, name, O_RDONLY | O_DIRECTORY), try open(target.raw, name, O_RDONLY | O_DIRECTORY),
          depth: depth + 1, left: &left)
      case S_IFREG: try copyFile(try open(source.raw, name, O_RDONLY | O_NONBLOCK), to: target.raw, name)
      case S_IFLNK:
        try check(
          symlinkat(try Files.readLink(at: source.raw, name), target.raw, name), "cannot copy the link \(name)")
      default:
        try check(mknodat(target.raw, name, status.st_mode, status.st_rdev), "cannot copy \(name)")
      }
      try check(
        fchownat(target.raw, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW), "cannot set the owner of \(name)"
      )
      if status.st_mode & S_IFMT != S_IFLNK {
        try check(fchmodat(target.raw, name, status.st_mode & 0o7777, 0), "cannot set the mode of \(name)")
      }
    }
    let own = try Files.status(source.raw)
    if depth == 0 {
      if keepsMode { try check(fchmod(target.raw, own.st_mode & 0o7777), "cannot set the mode of a copy") }
      try check(fchown(target.raw, own.st_uid, own.st_gid), "cannot set the owner of a copy")
    }
  }

  private static func open(_ directory: Int32, _ name: String, _ flags: Int32) throws(ApusError) -> OwnedDescriptor {
    try Files.open(at: directory, path: name, flags: flags, resolve: [.beneath, .noSymlinks])
  }

  private static func copyFile(_ source: consuming OwnedDescriptor, to directory: Int32, _ name: String)
    throws(ApusError)
  {
    let copy = try Files.open(
      at: directory, path: name, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600, resolve: [.beneath, .noSymlinks])
    while try check(sendfile(copy.raw, source.raw, nil, 1 << 30), "cannot copy \(name)") > 0 {}
  }
}
