import CLinux
import Errors
import Glibc
import Linux

/// The root of a container, held by descriptor. Every path in it is walked with openat2(2), which treats the root as
/// `/` and refuses /proc's magic links; what has been opened is used through its descriptor and never by path again.
struct RootTree: Sendable {
  let descriptor: Int32

  /// O_PATH descriptor of something that exists.
  func open(_ path: String, flags: Int32 = O_PATH, links: Bool = true) throws(ApusError) -> OwnedDescriptor {
    try Files.open(
      at: descriptor, path: Self.relative(path), flags: flags,
      resolve: links ? .container : [.inRoot, .noMagicLinks, .noSymlinks])
  }

  /// The same; nil when it does not exist.
  func openIfPresent(_ path: String) throws(ApusError) -> OwnedDescriptor? {
    do {
      return try open(path)
    } catch where error.errno == ENOENT || error.errno == ENOTDIR || error.errno == EACCES {
      return nil
    }
  }

  /// O_PATH descriptor of a directory or file, made with its parents where missing.
  func openOrMake(
    _ path: String, directory: Bool, mode: mode_t = 0o755, links: Bool = true
  ) throws(ApusError) -> OwnedDescriptor {
    do {
      return try open(path, links: links)
    } catch where error.errno == ENOENT {
      let (parentPath, name) = Self.split(path)
      guard !name.isEmpty, name != ".." else { throw error }
      // The parent can be reached through links of the image; only what is missing is made, one step at a time.
      let parent = try openOrMake(parentPath, directory: true, links: links)
      if directory {
        try Files.makeDirectory(at: parent.raw, name, mode: mode)
      } else {
        let made = openat(parent.raw, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0o644)
        if made < 0, errno != EEXIST { try check(made, "cannot make \(path) in the container") }
        if made >= 0 { close(made) }
      }
      return try Files.open(at: parent.raw, path: name, flags: O_PATH, resolve: [.beneath, .noSymlinks])
    }
  }

  static func relative(_ path: String) -> String {
    let trimmed = path.drop { $0 == "/" }
    return trimmed.isEmpty ? "." : String(trimmed)
  }

  /// Parent and last component, without slashes at the end.
  static func split(_ path: String) -> (parent: String, name: String) {
    var trimmed = path[...]
    while trimmed.last == "/" { trimmed.removeLast() }
    guard let slash = trimmed.lastIndex(of: "/") else { return ("/", String(trimmed)) }
    let parent = trimmed[..<slash]
    return (parent.isEmpty ? "/" : String(parent), String(trimmed[trimmed.index(after: slash)...]))
  }
}

extension RootFilesystem {
  /// The overlay, detached: it exists as long as the descriptor, or what it is attached to.
  ///
  /// `userNamespace`: the layers are id-mapped for it, so that one copy on disk serves every mapping.
  func mount(userNamespace: Int32? = nil) throws(ApusError) -> OwnedDescriptor {
    guard !lower.isEmpty else { throw ApusError(.invalidArgument, "a container's root needs at least one layer") }
    guard (upper == nil) == (work == nil) else {
      throw ApusError(.invalidArgument, "a container's root needs both an upper and a work directory, or none")
    }
    if let userNamespace { return try mountMapped(for: userNamespace) }
    if upper == nil, lower.count == 1, let only = lower.first {
      // The kernel makes no overlay of a single directory.
      let copy = try Mounts.clone(only)
      try Mounts.setAttributes(at: copy.raw, "", set: .readOnly)
      return copy
    }
    return try Mounts.overlay(lower: lower, upper: upper, work: work)
  }

  private func mountMapped(for userNamespace: Int32) throws(ApusError) -> OwnedDescriptor {
    func mapped(_ path: String) throws(ApusError) -> OwnedDescriptor {
      let copy = try Mounts.clone(path)
      try Mounts.setAttributes(at: copy.raw, "", set: .idMapped, userNamespace: userNamespace)
      return copy
    }
    let context = try FilesystemContext("overlay")
    try context.set("source", "overlay")
    for directory in lower {
      let layer = try mapped(directory)
      try context.set("lowerdir+", descriptor: layer.raw)
    }
    if let upper, let work {
      // Both have to be on one mount: that of the directory they share.
      let (upperParent, upperName) = RootTree.split(upper)
      let (workParent, workName) = RootTree.split(work)
      guard upperParent == workParent else {
        throw ApusError(
          .unsupported, "with a user namespace, \(upper) and \(work) have to be in the same directory")
      }
      let parent = try mapped(upperParent)
      let upperDirectory = try Files.open(at: parent.raw, path: upperName, flags: O_PATH, resolve: .beneath)
      let workDirectory = try Files.open(at: parent.raw, path: workName, flags: O_PATH, resolve: .beneath)
      try context.set("upperdir", descriptor: upperDirectory.raw)
      try context.set("workdir", descriptor: workDirectory.raw)
    }
    return try context.create()
  }
}
