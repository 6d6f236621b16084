import Errors
import Glibc
import Linux

/// Trees of files that somebody else may have filled: walked by descriptor, links never followed.
enum FileTree {
  /// Deeper than any program makes on purpose; the walk holds a descriptor per level.
  private static let depthLimit = 2_000

  /// Deletes a directory with all that is in it, or a file. A missing one is fine. Blocks.
  static func remove(_ path: String) throws(ApusError) {
    try remove(at: AT_FDCWD, path, depth: 0)
  }

  private static func remove(at parent: Int32, _ name: String, depth: Int) throws(ApusError) {
    if unlinkat(parent, name, 0) == 0 || errno == ENOENT { return }
    guard errno == EISDIR || errno == EPERM else {
      try check(-1 as Int32, "cannot delete \(name)")
      return
    }
    // An empty directory, as most are here, needs no look inside.
    if unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return }
    guard errno == ENOTEMPTY || errno == EEXIST else {
      try check(-1 as Int32, "cannot delete \(name)")
      return
    }
    guard depth < depthLimit else {
      throw ApusError(.resourceExhausted, "cannot delete \(name): directories are nested more than \(depthLimit) deep")
    }
    let opened = retrying { openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
    let directory = OwnedDescriptor(owning: try check(opened, "cannot open \(name)"))
    for entry in try Files.entries(of: directory.raw) {
      try remove(at: directory.raw, entry.name, depth: depth + 1)
    }
    try check(unlinkat(parent, name, AT_REMOVEDIR), "cannot delete \(name)")
  }
}
