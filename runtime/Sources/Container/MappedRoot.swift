import CLinux
import Errors
import Glibc
import Linux

/// Roots whose layers are id-mapped for a user namespace.
extension RootFilesystem {
  /// The overlay of mapped layers, detached. By the caller and not by the container's process: mapping a mount takes
  /// rights over its file system, which nobody in a user namespace has.
  func mountMapped(for userNamespace: Int32) throws(ApusError) -> OwnedDescriptor {
    guard Mounts.attachesToDetached else { return try mountMappedApart(for: userNamespace) }
    // A detached mount is taken apart with its last descriptor, whoever else has been given its directories: all of
    // them are kept until the overlay has its own copies.
    var kept: [Int32] = []
    defer { for descriptor in kept { close(descriptor) } }
    let context = try FilesystemContext("overlay")
    try context.set("source", "overlay")
    for directory in lower {
      kept.append(try mapped(directory, for: userNamespace).release())
      try context.set("lowerdir+", descriptor: kept[kept.count - 1])
    }
    if let changes = try changesOfOneMount() {
      let parent = try mapped(changes.parent, for: userNamespace)
      let upperDirectory = try Files.open(at: parent.raw, path: changes.upper, flags: O_PATH, resolve: .beneath)
      let workDirectory = try Files.open(at: parent.raw, path: changes.work, flags: O_PATH, resolve: .beneath)
      kept.append(parent.release())
      try context.set("upperdir", descriptor: upperDirectory.raw)
      try context.set("workdir", descriptor: workDirectory.raw)
      try context.set("index", "off")
    }
    return try context.create()
  }

  private func mapped(_ path: String, for userNamespace: Int32) throws(ApusError) -> OwnedDescriptor {
    let copy = try Mounts.clone(path)
    do {
      try Mounts.setAttributes(at: copy.raw, "", set: .idMapped, userNamespace: userNamespace)
    } catch  where error.errno == EINVAL {
      throw ApusError(
        .unsupported, "cannot map the users of \(path): its file system cannot do that on this kernel",
        cause: error.cause)
    }
    return copy
  }

  /// The upper and the work directory, by name in the directory they share: both have to be on one mount.
  private func changesOfOneMount() throws(ApusError) -> (parent: String, upper: String, work: String)? {
    guard let upper, let work else { return nil }
    let (upperParent, upperName) = RootTree.split(upper)
    let (workParent, workName) = RootTree.split(work)
    guard upperParent == workParent else {
      throw ApusError(.unsupported, "with a user namespace, \(upper) and \(work) have to be in the same directory")
    }
    return (upperParent, upperName, workName)
  }

  /// For kernels before Linux 6.15, which make overlays only of what is attached somewhere: a child attaches the layers
  /// in a mount namespace that ends with it, and hands over the overlay.
  private func mountMappedApart(for userNamespace: Int32) throws(ApusError) -> OwnedDescriptor {
    var pair = try UnixSocket.pair(.packets)
    let child = clinux_clone3(UInt64(Namespaces.Kind.mount.rawValue), nil, SIGCHLD, -1)
    if child == 0 {
      do throws(ApusError) {
        let overlay = try attachMapped(for: userNamespace)
        try Channel.send(.root, descriptor: overlay.raw, on: pair.second.raw)
        clinux_exit(0)
      } catch {
        try? Channel.send(.failed(error), on: pair.second.raw)
        clinux_exit(1)
      }
    }
    try check(child, "cannot make a mount namespace")
    pair.second = OwnedDescriptor(owning: -1)
    defer { _ = try? Processes.wait(for: child) }
    switch try Channel.receive(on: pair.first.raw) {
    case (.root, let overlay?)?: return OwnedDescriptor(owning: overlay)
    case (.failed(let error), _)?: throw error
    default: throw ApusError(.internal, "the process that maps a container's layers ended during its work")
    }
  }

  /// The other side of ``mountMappedApart(for:)``.
  private func attachMapped(for userNamespace: Int32) throws(ApusError) -> OwnedDescriptor {
    // Nothing of this is to be seen by the host.
    try Mounts.setAttributes("/", propagation: .private, recursive: true)
    var layers: [Int32] = []
    for directory in lower { layers.append(try mapped(directory, for: userNamespace).release()) }
    let changes = try changesOfOneMount()
    let parent = if let changes { try mapped(changes.parent, for: userNamespace).release() } else { -1 as Int32 }

    // Short names, for all options together may have a page: in a tmpfs, which may cover what has been opened by now.
    let directory = RootTree.split(lower[0]).parent
    try Mounts.mount(type: "tmpfs", source: "tmpfs", on: directory)
    try check(chdir(directory), "cannot enter \(directory)")
    for (number, layer) in layers.enumerated() {
      try check(mkdir("\(number)", 0o755), "cannot make a place for a layer")
      try Mounts.attach(layer, "\(number)")
    }
    var options = "lowerdir=" + layers.indices.map { "\($0)" }.joined(separator: ":")
    if let changes {
      try check(mkdir("changes", 0o755), "cannot make a place for the writable layer")
      try Mounts.attach(parent, "changes")
      options += ",index=off,upperdir=changes/\(Mounts.escape(changes.upper, comma: true))"
      options += ",workdir=changes/\(Mounts.escape(changes.work, comma: true))"
    }
    guard options.utf8.count < 4096 else {
      throw ApusError(.unsupported, "cannot stack \(lower.count) layers: this needs Linux 6.15")
    }
    try check(mkdir("root", 0o755), "cannot make a place for the root")
    try Mounts.mount(type: "overlay", source: "overlay", on: "root", options: options)
    return try Mounts.clone("root")
  }
}
