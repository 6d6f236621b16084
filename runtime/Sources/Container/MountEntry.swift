import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// One entry of `mounts`, parsed before anything is done so that a mistake costs nothing.
struct PlannedMount: Sendable, Equatable {
  var destination: String
  var type: String
  var source: String
  var options: MountOptions
  /// Of an id-mapped mount.
  var users: [LinuxIDMapping] = []
  var groups: [LinuxIDMapping] = []

  /// - Parameters:
  ///   - linux: of the same configuration, whose mappings are those of a mount without its own.
  ///   - bundle: what a relative source of a bind is relative to.
  init(_ mount: MountSpec, linux: LinuxSection = LinuxSection(), bundle: String = "") throws(ApusError) {
    guard !mount.destination.isEmpty, mount.destination.utf8.count < Int(PATH_MAX) else {
      throw ApusError(.invalidArgument, "the mount destination \"\(mount.destination)\" is not a path")
    }
    // Relative ones are from the root, for the sake of old configurations.
    destination = mount.destination.hasPrefix("/") ? mount.destination : "/" + mount.destination
    source = mount.source
    options = MountOptions(mount.options)
    if mount.type == "bind" { options.bind = true }
    type = options.bind ? "bind" : mount.type
    if options.remounts {
      try checkRemount()
    } else if type == "bind" {
      if !source.hasPrefix("/"), !source.isEmpty, bundle.hasPrefix("/") { source = "\(bundle)/\(source)" }
      guard source.hasPrefix("/") else {
        throw ApusError(
          .invalidArgument,
          "the bind source \"\(mount.source)\" of the mount at \(mount.destination) is not an absolute path")
      }
    } else if type.isEmpty {
      throw ApusError(.invalidArgument, "the mount at \(mount.destination) has no type")
    }
    guard !options.copiesUp || type == "tmpfs" else {
      throw ApusError(
        .invalidArgument, "the mount at \(mount.destination) is a \(type), and tmpcopyup is for a tmpfs")
    }
    try readMappings(of: mount, linux: linux)
  }

  private func checkRemount() throws(ApusError) {
    guard options.data.isEmpty else {
      throw ApusError(
        .unsupported,
        "cannot change \(options.data.joined(separator: ",")) of what is mounted at \(destination): a remount can change "
          + "the attributes of a mount only")
    }
  }

  private mutating func readMappings(of mount: MountSpec, linux: LinuxSection) throws(ApusError) {
    if !mount.uidMappings.isEmpty || !mount.gidMappings.isEmpty { options.idMapped = true }
    guard options.idMapped else { return }
    func refuse(_ reason: String) -> ApusError {
      ApusError(.invalidArgument, "the mount at \(mount.destination) cannot be id-mapped: \(reason)")
    }
    guard type == "bind", !options.remounts else { throw refuse("it is not a bind mount") }
    if mount.uidMappings.isEmpty, mount.gidMappings.isEmpty {
      guard linux.namespaces.contains(where: { $0.type == "user" }), !linux.uidMappings.isEmpty,
        !linux.gidMappings.isEmpty
      else { throw refuse("it has no mappings, nor has the container") }
      (users, groups) = (linux.uidMappings, linux.gidMappings)
    } else {
      guard !mount.uidMappings.isEmpty, !mount.gidMappings.isEmpty else {
        throw refuse("uidMappings and gidMappings are both needed")
      }
      (users, groups) = (mount.uidMappings, mount.gidMappings)
    }
  }

  /// Whether a copy of a source is what is mounted.
  var isBind: Bool { type == "bind" && !options.remounts }

  /// Whether a file system is made for it.
  var isNewFilesystem: Bool { type != "bind" && !options.remounts && type != "cgroup" && type != "cgroup2" }

  func explaining(_ error: ApusError) -> ApusError {
    ApusError(
      error.code, "cannot mount \(type == "bind" ? source : type) at \(destination): \(error)", cause: error.cause)
  }

  /// A detached copy of a bind's source. Made before the root exists, while the host's tree is still in place.
  /// - Parameters:
  ///   - opened: the source, where it has been opened already; or -1.
  ///   - userNamespace: of an id-mapped mount.
  func cloneSource(opened: Int32 = -1, userNamespace: Int32? = nil) throws(ApusError) -> OwnedDescriptor {
    do {
      let copy =
        if opened >= 0 {
          try Mounts.clone(at: opened, "", recursive: options.recursiveBind)
        } else {
          try Mounts.clone(source, recursive: options.recursiveBind)
        }
      if let userNamespace { try map(copy.raw, by: userNamespace) }
      return copy
    } catch  where error.errno == ENOENT {
      throw ApusError(.invalidArgument, "bind source path does not exist: \(source)", cause: error.cause)
    }
  }

  private func map(_ copy: Int32, by userNamespace: Int32) throws(ApusError) {
    do {
      try Mounts.setAttributes(
        at: copy, "", set: .idMapped, userNamespace: userNamespace, recursive: options.recursivelyMapped)
    } catch  where error.errno == EINVAL {
      throw ApusError(
        .unsupported, "cannot map the users of \(source): its file system cannot do that on this kernel",
        cause: error.cause)
    }
  }

  /// A new file system of the entry's type, detached.
  /// - Parameter label: the SELinux context of its files; empty for none.
  func makeFilesystem(label: String = "") throws(ApusError) -> OwnedDescriptor {
    let context = try FilesystemContext(type)
    // Those that know no contexts of their own have one by the host's policy.
    if !label.isEmpty, !["proc", "sysfs"].contains(type) { try context.set("context", label) }
    if !source.isEmpty { try context.set("source", source) }
    for option in options.data {
      if let equals = option.firstIndex(of: "=") {
        try context.set(String(option[..<equals]), String(option[option.index(after: equals)...]))
      } else {
        try context.set(option)
      }
    }
    return try context.create(attributes: options.set)
  }

  /// Attributes and propagation that can only be set on an existing mount.
  func finish(_ mount: Int32) throws(ApusError) {
    if isBind, !options.set.isEmpty || !options.clear.isEmpty {
      try Mounts.setAttributes(at: mount, "", set: options.set, clear: options.clear)
    }
    if !options.recursiveSet.isEmpty || !options.recursiveClear.isEmpty {
      try Mounts.setAttributes(
        at: mount, "", set: options.recursiveSet, clear: options.recursiveClear, recursive: true)
    }
  }

  func setPropagation(_ mount: Int32) throws(ApusError) {
    guard let propagation = options.propagation else { return }
    // Shared means: peers with the source. A copy of a shared mount is one already; a private one becomes a new group.
    try Mounts.setAttributes(
      at: mount, "", propagation: propagation, recursive: options.recursivePropagation)
  }
}

extension RootTree {
  /// Makes an entry's mount and attaches it; `source` is the copy of a bind's source, and closed.
  func attach(_ mount: PlannedMount, source: Int32?, label: String = "") throws(ApusError) {
    do throws(ApusError) {
      if mount.options.remounts { return try change(mount) }
      let made: OwnedDescriptor
      if let source { made = OwnedDescriptor(owning: source) } else { made = try mount.makeFilesystem(label: label) }
      if mount.options.copiesUp, let existing = try openIfPresent(mount.destination) {
        let keepsMode = !mount.options.data.contains { $0.hasPrefix("mode=") }
        try TreeCopy.copy(from: existing.raw, to: made.raw, keepsMode: keepsMode)
      }
      try mount.finish(made.raw)
      try attach(made.raw, for: mount)
      try mount.setPropagation(made.raw)
    } catch {
      throw mount.explaining(error)
    }
  }

  /// Changes the mount that is at an entry's destination already.
  private func change(_ mount: PlannedMount) throws(ApusError) {
    let target = try open(mount.destination)
    let options = mount.options
    if !options.set.isEmpty || !options.clear.isEmpty {
      try Mounts.setAttributes(at: target.raw, "", set: options.set, clear: options.clear)
    }
    try mount.finish(target.raw)
    try mount.setPropagation(target.raw)
  }

  /// Attaches the detached mount of an entry.
  func attach(_ made: Int32, for mount: PlannedMount) throws(ApusError) {
    var isDirectory = true
    if mount.type == "bind" { isDirectory = try Files.status(made).st_mode & S_IFMT == S_IFDIR }
    // A link at /proc or /sys could lead the checks of what is mounted there astray (CVE-2019-19921); one at /dev, the
    // making of devices (CVE-2026-41579).
    let links = mount.type != "proc" && mount.type != "sysfs" && Self.components(mount.destination) != ["dev"]
    try attach(made, at: mount.destination, directory: isDirectory, links: links)
  }

  /// Attaches a detached mount at a path in the root, which is made where missing.
  func attach(_ mount: Int32, at path: String, directory: Bool, links: Bool = true) throws(ApusError) {
    let target = try openOrMake(path, directory: directory, links: links)
    try Mounts.attach(mount, at: target.raw, "")
  }

  /// Puts a copy of the container's own cgroups at the destination: for v1 one directory per hierarchy.
  func attachCgroups(_ mount: PlannedMount, path: String, version: Int) throws(ApusError) {
    if version == 0 {
      // No group of its own to be shown: all of the host's, none to be changed.
      let all = try Mounts.clone(Cgroups.root, recursive: true)
      try Mounts.setAttributes(
        at: all.raw, "", set: mount.options.set.union(.readOnly), recursive: true)
      try attach(all.raw, at: mount.destination, directory: true)
      return
    }
    if version == 2 {
      let group = try Mounts.clone("\(Cgroups.root)/\(path)")
      try Mounts.setAttributes(at: group.raw, "", set: mount.options.set)
      try attach(group.raw, at: mount.destination, directory: true)
      return
    }
    let top = try FilesystemContext("tmpfs")
    try top.set("mode", "755")
    try top.set("size", "64k")
    let tmpfs = try top.create(attributes: mount.options.set.subtracting(.readOnly))
    var groups: [(name: String, mount: Int32)] = []
    defer { for group in groups { close(group.mount) } }
    for hierarchy in ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd"] {
      let group = clinux_open_tree(
        AT_FDCWD, "\(Cgroups.root)/\(hierarchy)/\(path)", 1 | UInt32(bitPattern: O_CLOEXEC))
      if group < 0, errno == ENOENT { continue }
      groups.append((hierarchy, try check(group, "cannot clone the control group \(path)")))
      if !mount.options.set.isEmpty { try Mounts.setAttributes(at: group, "", set: mount.options.set) }
      try Files.makeDirectory(at: tmpfs.raw, hierarchy)
    }
    // Before it is attached: below a tree that is itself detached, attributes cannot be changed any more.
    if mount.options.set.contains(.readOnly) { try Mounts.setAttributes(at: tmpfs.raw, "", set: .readOnly) }
    try attach(tmpfs.raw, at: mount.destination, directory: true)
    for group in groups { try Mounts.attach(group.mount, at: tmpfs.raw, group.name) }
  }
}
