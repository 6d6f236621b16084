import Errors
import Glibc
import ImageSpec
import Layers
import Linux

/// The files of an instance that does not run, with its volumes where it would see them.
///
/// They are put together in a mount namespace that no process is in: it lives as long as the descriptor of it, nothing of
/// it shows on the host, and nothing is left when the daemon is killed. All of it blocks.
struct StoppedTree: Sendable {
  let record: InstanceRecord
  let paths: InstancePaths
  let store: any LayerStore

  /// - Parameter writable: the instance's writable layer takes changes; nobody else may use it meanwhile.
  func open(writable: Bool) throws(ApusError) -> TreeRoot {
    let lease = try store.acquire(record.layers)
    let mounts = record.mounts.filter { $0.kind != .tmpfs && Files.exists($0.source) }
      .sorted { $0.target.utf8.count < $1.target.utf8.count }
    let (root, namespace) = try MountNamespace.assemble { () throws(ApusError) -> Int32 in
      let root = try overlay(lease.paths, mounts: mounts, writable: writable)
      for mount in mounts { try attach(mount, below: root.raw, writable: writable) }
      return root.release()
    }
    return TreeRoot(descriptor: root, keeper: namespace, lease: lease)
  }

  private func overlay(
    _ layers: [String], mounts: [ResolvedMount], writable: Bool
  ) throws(ApusError) -> OwnedDescriptor {
    let overlay: OwnedDescriptor
    if writable {
      overlay = try Mounts.overlay(lower: layers, upper: paths.upper, work: paths.work)
    } else {
      // An instance that never ran may lack the places of its volumes: the lowest layer has them.
      let places = try FilesystemContext("tmpfs").create()
      try Mounts.attach(places.raw, paths.work)
      let directory = try Files.open(paths.work, flags: O_RDONLY | O_DIRECTORY)
      for mount in mounts { try makePlace(mount, below: directory.raw) }
      overlay = try Mounts.overlay(lower: [paths.upper] + layers + [paths.work], attributes: .readOnly)
    }
    try Mounts.attach(overlay.raw, paths.directory)
    return try Files.open(paths.directory, flags: O_RDONLY | O_DIRECTORY)
  }

  private func attach(_ mount: ResolvedMount, below root: Int32, writable: Bool) throws(ApusError) {
    let source = try Mounts.clone(mount.source, recursive: true)
    if mount.readOnly || !writable {
      try Mounts.setAttributes(at: source.raw, "", set: .readOnly, recursive: true)
    }
    if writable { try makePlace(mount, below: root) }
    do throws(ApusError) {
      let place = try Files.open(at: root, path: mount.target, flags: O_PATH)
      try Mounts.attach(source.raw, at: place.raw, "")
    } catch {
      // The image has something in the way; the instance would not start either.
      guard error.code == .notFound || error.code == .invalidArgument else { throw error }
    }
  }

  /// What a mount is mounted on: directories down to it, and itself as what its source is.
  private func makePlace(_ mount: ResolvedMount, below root: Int32) throws(ApusError) {
    if (try? Files.open(at: root, path: mount.target, flags: O_PATH)) != nil { return }
    var status = stat()
    let isDirectory = stat(mount.source, &status) != 0 || status.st_mode & S_IFMT == S_IFDIR
    let components = mount.target.split(separator: "/").map(String.init)
    var path = ""
    for (index, component) in components.enumerated() {
      let parent = try Files.open(at: root, path: path.isEmpty ? "." : path, flags: O_PATH | O_DIRECTORY)
      path += "/" + component
      if index < components.count - 1 || isDirectory {
        try Files.makeDirectory(at: parent.raw, component)
      } else {
        _ = try Files.open(
          at: parent.raw, path: component, flags: O_WRONLY | O_CREAT | O_NOFOLLOW, mode: 0o644, resolve: .beneath)
      }
    }
  }
}
