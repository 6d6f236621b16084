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
    let resolve: Files.Resolve = links ? .container : [.inRoot, .noMagicLinks, .noSymlinks]
    return OwnedDescriptor(
      owning: try check(
        clinux_openat2(
          descriptor, Self.relative(path), UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), 0, resolve.rawValue),
        "cannot open \(path) in the container"))
  }

  /// The same; nil when it does not exist.
  func openIfPresent(_ path: String) throws(ApusError) -> OwnedDescriptor? {
    do {
      return try open(path)
    } catch  where error.errno == ENOENT || error.errno == ENOTDIR || error.errno == EACCES {
      return nil
    }
  }

  /// O_PATH descriptor of a directory or file, made with its parents where missing.
  /// - Parameter hops: how many links that lead nowhere yet may be followed.
  func openOrMake(
    _ path: String, directory: Bool, mode: mode_t = 0o755, links: Bool = true, hops: Int = 16
  ) throws(ApusError) -> OwnedDescriptor {
    do {
      return try open(path, links: links)
    } catch  where error.errno == ENOENT {
      let (parentPath, name) = Self.split(path)
      guard !name.isEmpty, name != ".." else { throw error }
      // The parent can be reached through links of the image; only what is missing is made, one step at a time.
      let parent = try openOrMake(parentPath, directory: true, links: links, hops: hops)
      // As of /etc/resolv.conf in images of systemd: where it leads to is made. What it says is read once, and walked from
      // the root like any other path.
      if links, let target = try? Files.readLink(at: parent.raw, name) {
        guard hops > 0 else { throw ApusError(errno: ELOOP, "cannot follow the link \(path) in the container") }
        let whole = target.hasPrefix("/") ? target : "\(try location(of: parent.raw))/\(target)"
        return try openOrMake(whole, directory: directory, mode: mode, hops: hops - 1)
      }
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

  /// The path of what is open below the root, without links.
  private func location(of open: Int32) throws(ApusError) -> String {
    let root = try Files.readLink("/proc/self/fd/\(descriptor)")
    let path = try Files.readLink("/proc/self/fd/\(open)")
    if root == "/" { return path }
    guard path == root || path.hasPrefix("\(root)/") else {
      throw ApusError(.internal, "\(path) has left the container's root while links in it were followed")
    }
    return String(path.dropFirst(root.count))
  }

  static func relative(_ path: String) -> String {
    let trimmed = path.drop { $0 == "/" }
    return trimmed.isEmpty ? "." : String(trimmed)
  }

  /// The components of a path that mean something.
  static func components(_ path: String) -> [Substring] { path.split(separator: "/").filter { $0 != "." } }

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
  /// `mapping`: the layers are id-mapped for a user namespace, so that one copy on disk serves every mapping; and the
  /// host's user and group that are root in it.
  func mount(mapping: (namespace: Int32, user: UInt32, group: UInt32)? = nil) throws(ApusError) -> OwnedDescriptor {
    guard !lower.isEmpty else { throw ApusError(.invalidArgument, "a container's root needs at least one layer") }
    guard (upper == nil) == (work == nil) else {
      throw ApusError(.invalidArgument, "a container's root needs both an upper and a work directory, or none")
    }
    if let mapping {
      // An overlay acts as whoever has mounted it, and the host's root has no number behind id-mapped layers.
      return try Capabilities.withFileOwner(user: mapping.user, group: mapping.group) { () throws(ApusError) in
        try mountMapped(for: mapping.namespace)
      }
    }
    if upper == nil, lower.count == 1, let only = lower.first {
      // The kernel makes no overlay of a single directory.
      let copy = try Mounts.clone(only)
      try Mounts.setAttributes(at: copy.raw, "", set: .readOnly)
      return copy
    }
    // Without an index, a container can start again while the last root of the same directories still reaches the disk.
    var options = upper == nil ? [] : ["index=off"]
    if isTemporary, let work {
      options.append("volatile")
      // The mark of an earlier mount, by which the kernel would refuse another one: after a crash of the host there is
      // nobody to start this container again, and without one nothing is missing.
      _ = unlink("\(work)/work/incompat/volatile/dirty")
      _ = rmdir("\(work)/work/incompat/volatile")
    }
    return try Mounts.overlay(lower: lower, upper: upper, work: work, options: options)
  }

  /// For kernels before Linux 6.5 with more layers than the new interface takes there: by mount(2), whose options may
  /// have a page. Nil where that is not needed. The overlay is attached on the top layer's own directory, which in this
  /// mount namespace nobody else uses; the working directory becomes that of the layers, so that their names are short.
  func attachByOptions(always: Bool = false) throws(ApusError) -> OwnedDescriptor? {
    guard always || (!Mounts.takesLayersOneByOne && lower.count > 1), let top = lower.first else { return nil }
    guard always || lower.reduce(0, { $0 + $1.utf8.count + 1 }) > 255 else { return nil }
    let directory = RootTree.split(top).parent
    try check(chdir(directory), "cannot enter \(directory)")
    let prefix = directory + "/"
    let names = lower.map { $0.hasPrefix(prefix) ? String($0.dropFirst(prefix.utf8.count)) : $0 }
    var options = "lowerdir=" + names.map { Mounts.escape($0, comma: true) }.joined(separator: ":")
    if let upper, let work {
      options += ",index=off,upperdir=\(Mounts.escape(upper, comma: true)),workdir=\(Mounts.escape(work, comma: true))"
    }
    guard options.utf8.count < 4096 else {
      throw ApusError(.unsupported, "cannot stack \(lower.count) layers: this needs Linux 6.5 or shorter layer paths")
    }
    try Mounts.mount(type: "overlay", source: "overlay", on: top, options: options)
    return try Files.open(top, flags: O_PATH | O_DIRECTORY)
  }
}
