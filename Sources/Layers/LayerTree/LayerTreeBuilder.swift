import Errors
import Glibc
import Linux

/// Builds a layer's tree from the entries of its archive: OCI's rules for layers (image-spec, "Image Layer Filesystem
/// Changeset") over ``LayerTree``. What becomes of the files' data is for the owner to say.
struct LayerTreeBuilder {
  private static let whiteoutPrefix = Array(".wh.".utf8)
  private static let metadataPrefix = Array(".wh..wh.".utf8)
  private static let opaqueName = Array(".wh..wh..opq".utf8)
  private static let overlayPrefix = Array("trusted.overlay.".utf8)

  var tree = LayerTree()
  private var paths = LayerPath()
  private var pendingLinks: [(node: LayerTree.NodeIndex, target: [UInt8])] = []

  // MARK: Entries

  /// Places an entry.
  /// - Returns: the inode of a file, whose data comes next.
  mutating func add(_ entry: TarEntry) throws(ApusError) -> LayerTree.InodeIndex? {
    guard let place = try paths.locate(entry.path, in: &tree) else {
      if entry.kind == .directory { try describe(Int(tree.nodes[Int(LayerTree.root)].inode), entry) }
      return nil
    }
    let name = Array(place.name)
    if name.first == 0x2e, name.starts(with: Self.whiteoutPrefix) {
      try whiteout(name, in: place.directory)
      return nil
    }
    let existing = name.withUnsafeBytes { tree.child(of: place.directory, named: $0) }
    if entry.kind == .hardLink {
      try hardLink(entry, name, in: place.directory, replacing: existing)
      return nil
    }
    var hidesLower = false
    if let existing {
      let old = tree.inode(of: existing)
      if entry.kind == .directory, old?.isDirectory == true {
        try describe(Int(tree.nodes[Int(existing)].inode), entry)
        return nil
      }
      hidesLower = old?.isWhiteout ?? false
      tree.remove(existing)
    }
    let index = try tree.addInode(try inode(entry))
    if entry.kind == .directory, hidesLower { tree.inodes[Int(index)].isOpaque = true }
    try attach(entry.attributes, to: Int(index))
    try add(name, to: place.directory, index)
    guard entry.kind == .regular else { return nil }
    tree.inodes[Int(index)].size = entry.size
    return index
  }

  /// Call it when all entries have come.
  mutating func finish() throws(ApusError) { try resolvePendingLinks() }

  @discardableResult
  private mutating func add(
    _ name: [UInt8], to directory: LayerTree.NodeIndex, _ inode: LayerTree.InodeIndex
  ) throws(ApusError) -> LayerTree.NodeIndex {
    try name.withBytes { (name) throws(ApusError) in try tree.add(name: name, to: directory, inode: inode) }
  }

  private mutating func inode(_ entry: TarEntry) throws(ApusError) -> LayerTree.Inode {
    let type: mode_t =
      switch entry.kind {
      case .regular, .hardLink: S_IFREG
      case .symbolicLink: S_IFLNK
      case .characterDevice: S_IFCHR
      case .blockDevice: S_IFBLK
      case .directory: S_IFDIR
      case .fifo: S_IFIFO
      }
    var inode = LayerTree.Inode(mode: UInt16(type) | entry.mode)
    inode.uid = entry.uid
    inode.gid = entry.gid
    inode.modifiedSeconds = entry.modifiedSeconds
    inode.modifiedNanoseconds = entry.modifiedNanoseconds
    switch entry.kind {
    case .symbolicLink:
      guard (1..<EROFSFormat.blockSize).contains(entry.linkTarget.count), !entry.linkTarget.contains(0) else {
        throw ApusError(.invalidArgument, "the symbolic link '\(entry.displayPath)' has an empty or too long target")
      }
      inode.mode = UInt16(S_IFLNK) | 0o777
      inode.size = Int64(entry.linkTarget.count)
      inode.layout = .inline
      inode.address = try entry.linkTarget.withBytes { (bytes) throws(ApusError) in try tree.addInline(bytes) }
    case .characterDevice, .blockDevice:
      guard entry.deviceMajor < 1 << 12, entry.deviceMinor < 1 << 20 else {
        throw ApusError(.invalidArgument, "the device '\(entry.displayPath)' has a number that Linux does not have")
      }
      inode.address = EROFSFormat.device(major: entry.deviceMajor, minor: entry.deviceMinor)
    default: break
    }
    return inode
  }

  /// A directory that is there already gets what this entry says of it.
  private mutating func describe(_ index: Int, _ entry: TarEntry) throws(ApusError) {
    tree.inodes[index].mode = UInt16(S_IFDIR) | entry.mode
    tree.inodes[index].uid = entry.uid
    tree.inodes[index].gid = entry.gid
    tree.inodes[index].modifiedSeconds = entry.modifiedSeconds
    tree.inodes[index].modifiedNanoseconds = entry.modifiedNanoseconds
    try attach(entry.attributes, to: index)
  }

  private mutating func attach(_ attributes: [(name: [UInt8], value: [UInt8])], to index: Int) throws(ApusError) {
    tree.inodes[index].attributesLength = 0
    guard !attributes.isEmpty else { return }
    var encoded: [UInt8] = []
    for (name, value) in attributes {
      // An image must not speak to overlayfs in its own voice. Escaped, the attribute shows under its name all the same.
      let name = name.starts(with: Self.overlayPrefix) ? Self.overlayPrefix + name.dropFirst(8) : name
      if let attribute = EROFSFormat.attribute(name: name, value: value) { encoded += attribute }
    }
    tree.inodes[index].attributesStart = try tree.addAttributes(encoded)
    tree.inodes[index].attributesLength = UInt32(encoded.count)
  }

  // MARK: Whiteouts

  private mutating func whiteout(_ name: [UInt8], in directory: LayerTree.NodeIndex) throws(ApusError) {
    if name == Self.opaqueName {
      let index = tree.nodes[Int(directory)].inode
      if index >= 0 { tree.inodes[Int(index)].isOpaque = true }
      return
    }
    // What AUFS kept for itself.
    if name.starts(with: Self.metadataPrefix) { return }
    let hidden = Array(name.dropFirst(Self.whiteoutPrefix.count))
    guard !hidden.isEmpty, hidden != [0x2e], hidden != [0x2e, 0x2e] else {
      throw ApusError(.invalidArgument, "the archive has the whiteout '\(TarEntry.display(name))', which hides no name")
    }
    if let existing = hidden.withUnsafeBytes({ tree.child(of: directory, named: $0) }) {
      // A whiteout hides lower layers only: this layer's own entry stays, alone.
      let index = tree.nodes[Int(existing)].inode
      if index >= 0, tree.inodes[Int(index)].isDirectory { tree.inodes[Int(index)].isOpaque = true }
      return
    }
    let index = try tree.addInode(LayerTree.Inode(mode: UInt16(S_IFCHR)))
    try add(hidden, to: directory, index)
  }

  // MARK: Hard links

  private mutating func hardLink(
    _ entry: TarEntry, _ name: [UInt8], in directory: LayerTree.NodeIndex, replacing existing: LayerTree.NodeIndex?
  ) throws(ApusError) {
    let target = try paths.find(entry.linkTarget, in: tree)
    if let target, target == existing { return }
    if let existing { tree.remove(existing) }
    if let target, !tree.nodes[Int(target)].isDead, let inode = tree.inode(of: target) {
      guard !inode.isDirectory else { throw Self.linksToDirectory(entry.displayPath, entry.linkTarget) }
      try add(name, to: directory, tree.nodes[Int(target)].inode)
      return
    }
    let node = try add(name, to: directory, LayerTree.pendingInode)
    pendingLinks.append((node, entry.linkTarget))
  }

  private static func linksToDirectory(_ path: String, _ target: [UInt8]) -> ApusError {
    ApusError(.invalidArgument, "the hard link '\(path)' points to '\(TarEntry.display(target))', which is a directory")
  }

  /// Links that came before their targets; some may wait for others of them.
  private mutating func resolvePendingLinks() throws(ApusError) {
    var waiting = pendingLinks.filter { !isUnreachable($0.node) }
    // A chain of links that wait for each other costs a round per link: nothing sane has more than one.
    var rounds = 0
    while !waiting.isEmpty {
      rounds += 1
      var left: [(node: LayerTree.NodeIndex, target: [UInt8])] = []
      for link in waiting {
        guard let target = try paths.find(link.target, in: tree), let inode = tree.inode(of: target) else {
          left.append(link)
          continue
        }
        let name = TarEntry.display(Array(tree.name(of: link.node)))
        guard !inode.isDirectory else { throw Self.linksToDirectory(name, link.target) }
        tree.setInode(of: link.node, to: tree.nodes[Int(target)].inode)
      }
      guard left.count < waiting.count, rounds < 64 else {
        let name = TarEntry.display(Array(tree.name(of: left[0].node)))
        throw ApusError(
          .invalidArgument,
          "the hard link '\(name)' points to '\(TarEntry.display(left[0].target))', which the archive does not have")
      }
      waiting = left
    }
  }

  private func isUnreachable(_ node: LayerTree.NodeIndex) -> Bool {
    var node = node
    while node != LayerTree.root {
      if tree.nodes[Int(node)].isDead { return true }
      node = tree.nodes[Int(node)].parent
    }
    return false
  }
}
