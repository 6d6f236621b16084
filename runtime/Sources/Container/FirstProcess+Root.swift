import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The steps of ``FirstProcess`` that make the container's root and leave the host's.
extension FirstProcess {
  /// The sources of binds as the user who makes the container finds them, by index of the mount: root in a user namespace
  /// may be nobody to the host's directories. What is missing here is looked for again, and missed, later.
  func openSources() -> [Int: Int32] {
    var opened: [Int: Int32] = [:]
    for (index, mount) in plan.mounts.enumerated() where mount.isBind && mappedSources[index] == nil {
      opened[index] = try? Files.open(mount.source, flags: O_PATH).release()
    }
    return opened
  }

  /// Detached copies of the sources of binds, by index of the mount. Closes those that are open.
  func cloneSources(opened: [Int: Int32]) throws(ApusError) -> [Int: Int32] {
    defer { for source in opened.values { close(source) } }
    var sources: [Int: Int32] = [:]
    guard let last = plan.mounts.lastIndex(where: \.isBind) else { return sources }
    for (index, mount) in plan.mounts[...last].enumerated() {
      if let mapped = mappedSources[index] {
        sources[index] = mapped
      } else if mount.isBind {
        sources[index] = try mount.cloneSource(opened: opened[index] ?? -1).release()
      } else if prepared == nil, mount.isNewFilesystem {
        // Not before its turn, but not after that of a later bind either: the kernel lists mounts in the order in which
        // they have been made (Linux 6.8), and that is to be the specification's.
        do throws(ApusError) {
          sources[index] = try mount.makeFilesystem(label: plan.linux.mountLabel).release()
        } catch {
          throw mount.explaining(error)
        }
      }
    }
    return sources
  }

  /// The root, attached where hooks expect it: at its own path, if it has one. An overlay has none, and goes on top of
  /// the host's root: that mount point exists everywhere and is in nobody's way. Among mounts that are not ours it is
  /// attached nowhere: nobody else sees it, and it goes with its last process.
  func makeRoot(mapped: Int32?) throws(ApusError) -> OwnedDescriptor {
    let root: OwnedDescriptor
    if let mapped {
      root = OwnedDescriptor(owning: mapped)
    } else if let layers = plan.configuration.root {
      if let attached = try layers.attachByOptions() { return attached }
      root = try layers.mount()
    } else {
      let path = plan.configuration.spec.root?.path ?? ""
      root = try Mounts.clone(path, recursive: true)
      if !plan.namespaces.makes(.mount) { return root }
      // A mount that is a peer of the host's cannot be the parent of what becomes the root, nor may a root that shadows
      // the host's be found at two places.
      if plan.configuration.pivots, !plan.linux.rootfsPropagation.hasSuffix("shared") {
        try Mounts.attach(root.raw, path)
        return root
      }
    }
    try Mounts.attach(root.raw, "/")
    return root
  }

  func openConsole(
    _ tree: RootTree, size: (rows: UInt16, columns: UInt16)
  ) throws(ApusError) -> Int32 {
    let directory = try tree.open("/dev/pts", flags: O_RDONLY | O_DIRECTORY)
    var console = try Terminal.open(at: directory.raw, ptmx: "ptmx")
    if size.rows > 0, size.columns > 0 {
      try Terminal.resize(console.slave.raw, rows: size.rows, columns: size.columns)
    }
    let copy = try Mounts.clone(at: console.slave.raw, "")
    try tree.attach(copy.raw, at: "/dev/console", directory: false)
    try Channel.send(.terminal, descriptor: console.master.raw, on: channel)
    console.master = OwnedDescriptor(owning: -1)
    return console.slave.release()
  }

  var rootPropagation: (Mounts.Propagation, Bool)? {
    switch plan.linux.rootfsPropagation {
    case "shared", "rshared": (.shared, true)
    case "slave", "rslave": (.slave, true)
    case "private", "rprivate": (.private, true)
    case "unbindable", "runbindable": (.unbindable, true)
    default: nil
    }
  }

  func pivot(into root: Int32, from host: Int32, shared: Bool) throws(ApusError) {
    try check(fchdir(root), "cannot enter the container's root")
    guard plan.namespaces.makes(.mount), plan.configuration.pivots else {
      if plan.namespaces.makes(.mount) { try detachMounts(of: host) }
      // The root lies on top of the host's already, or nowhere: whoever is in it finds nothing else at `/`.
      try check(chroot("."), "cannot make the container's root the root")
      return
    }
    // Old root on top of the new one, both at ".", so that no directory is needed for it.
    try check(clinux_pivot_root(".", "."), "cannot make the container's root the root")
    try check(fchdir(host), "cannot enter the host's root")
    // What is still a peer of the host's would take the host's mounts along when it goes.
    if shared { try Mounts.setAttributes(at: host, "", propagation: .slave, recursive: true) }
    try check(umount2(".", Int32(MNT_DETACH)), "cannot leave the host's tree")
    try check(chdir("/"), "cannot enter the container's root")
  }
  /// Where the host's root cannot be left it stays below the container's, for whoever gets out of a chroot(2). At least
  /// nothing is mounted in it any more, above all no /proc and no /sys that nobody covers.
  func detachMounts(of host: Int32) throws(ApusError) {
    let fields = String(decoding: try Files.read("/proc/self/fdinfo/\(host)"), as: UTF8.self).split(separator: "\n")
    guard let line = fields.first(where: { $0.hasPrefix("mnt_id:") }),
      let id = Int(line.dropFirst(7).filter { $0 != "\t" && $0 != " " })
    else { throw ApusError(.internal, "the kernel does not tell which mount the host's root is") }
    for mount in try Mounts.list() where mount.parent == id && mount.mountPoint != "/" {
      // In a user namespace the host's mounts are all locked together.
      if umount2(mount.mountPoint, Int32(MNT_DETACH) | 8) < 0, errno != EINVAL, errno != ENOENT {
        try check(-1 as Int32, "cannot leave the host's \(mount.mountPoint)")
      }
    }
  }
}
