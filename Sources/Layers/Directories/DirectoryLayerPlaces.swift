import Errors
import Glibc
import Linux

/// Makes the directories and files of a layer's tree where no path can lead astray, from the top. Any depth takes two
/// descriptors: the way back up is `..`, which nobody else can move.
struct DirectoryLayerPlaces {
  private let tree: LayerTree
  private let children: LayerTree.Children
  /// Where the files' data lies, by inode.
  private let data: Int32
  private let marking: OverlayMarking
  /// Names of each inode that is no directory.
  private var links: [Int32]
  /// Inodes with several names lie with the data until they have all of them.
  private var shared: Set<LayerTree.InodeIndex> = []
  /// Whiteouts have to be files: overlayfs looks for such only where the directory says so.
  private var whiteoutsAreFiles = false

  private struct Level {
    let inode: LayerTree.InodeIndex
    var rest: ArraySlice<LayerTree.NodeIndex>
    var hasWhiteouts = false
  }

  init(_ tree: LayerTree, data: Int32, marking: OverlayMarking) {
    self.tree = tree
    children = LayerTree.Children(of: tree)
    self.data = data
    self.marking = marking
    links = Array(repeating: 0, count: tree.inodes.count)
  }

  /// Counts names first: only reachable ones, as only those are made.
  private mutating func count() {
    var queue = [LayerTree.root]
    while let node = queue.popLast() {
      for child in children[node] {
        let inode = tree.nodes[Int(child)].inode
        links[Int(inode)] += 1
        if tree.inodes[Int(inode)].isDirectory { queue.append(child) }
      }
    }
  }

  mutating func make(in root: consuming OwnedDescriptor) throws(ApusError) {
    count()
    var current = root
    var levels = [Level(inode: tree.nodes[0].inode, rest: children[LayerTree.root])]
    while let level = levels.last {
      guard let node = level.rest.first else {
        levels.removeLast()
        guard !levels.isEmpty else { return try describeDirectory(level, current.raw) }
        // Before its mode may forbid looking around in it.
        let above = try TreeStep.open(EntryName("..".utf8), at: current.raw, flags: Self.directory)
        try describeDirectory(level, current.raw)
        current = above
        continue
      }
      levels[levels.count - 1].rest = level.rest.dropFirst()
      let inode = tree.nodes[Int(node)].inode
      let name = EntryName(tree.name(of: node))
      if tree.inodes[Int(inode)].isDirectory {
        try check(mkdirat(current.raw, name.terminated, 0o700), "cannot make the directory '\(name.text)'")
        current = try TreeStep.open(name, at: current.raw, flags: Self.directory)
        levels.append(Level(inode: inode, rest: children[node]))
      } else {
        try place(inode, name, in: current.raw)
        if tree.inodes[Int(inode)].isWhiteout { levels[levels.count - 1].hasWhiteouts = true }
      }
    }
  }

  private static let directory = O_RDONLY | O_DIRECTORY

  // MARK: Files

  private mutating func place(
    _ index: LayerTree.InodeIndex, _ name: EntryName, in directory: Int32
  ) throws(ApusError) {
    let inode = tree.inodes[Int(index)]
    let number = EntryName(String(index).utf8)
    if links[Int(index)] == 1 {
      if inode.has(type: S_IFREG) {
        try check(
          renameat(data, number.terminated, directory, name.terminated), "cannot place the file '\(name.text)'")
      } else if try !makeSpecial(inode, name, in: directory) {
        return
      }
      return try describe(inode, name, at: directory)
    }
    if shared.insert(index).inserted {
      if !inode.has(type: S_IFREG), try !makeSpecial(inode, number, in: data) { return }
      try describe(inode, number, at: data)
    }
    let result = linkat(data, number.terminated, directory, name.terminated, 0)
    // A device that may not exist here has no names either.
    if result < 0, errno == ENOENT, inode.has(type: S_IFCHR) || inode.has(type: S_IFBLK) { return }
    try check(result, "cannot make the hard link '\(name.text)'")
  }

  /// False where this user may not make devices: they are left out, as rootless engines do.
  private mutating func makeSpecial(
    _ inode: LayerTree.Inode, _ name: EntryName, in directory: Int32
  ) throws(ApusError) -> Bool {
    if inode.has(type: S_IFLNK) {
      let target = tree.inlineBytes[Int(inode.address)..<Int(inode.address) + Int(inode.size)]
      try check(
        symlinkat(EntryName(target).terminated, directory, name.terminated), "cannot make the link '\(name.text)'")
      return true
    }
    let type = UInt32(inode.mode) & UInt32(S_IFMT)
    let (major, minor) = EROFSFormat.deviceNumbers(inode.has(type: S_IFIFO) ? 0 : inode.address)
    do {
      try TreeWrite.makeNode(name, at: directory, type: type, major: major, minor: minor)
    } catch  where error.errno == EPERM && !inode.has(type: S_IFIFO) {
      guard inode.isWhiteout else { return false }
      try makeWhiteoutFile(name, in: directory)
    }
    return true
  }

  private mutating func makeWhiteoutFile(_ name: EntryName, in directory: Int32) throws(ApusError) {
    let file = try TreeStep.open(name, at: directory, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0)
    try ExtendedAttributes.set("\(marking.prefix)whiteout", to: [UInt8(ascii: "y")], of: file.raw)
    whiteoutsAreFiles = true
  }

  // MARK: Descriptions

  private func describe(_ inode: LayerTree.Inode, _ name: EntryName, at directory: Int32) throws(ApusError) {
    let file = try TreeStep.open(name, at: directory, flags: O_PATH)
    try own(inode, file.raw, name.text)
    // Changing the owner clears set-id bits and capabilities: those come after it.
    try setAttributes(inode, of: file.raw)
    if !inode.has(type: S_IFLNK) {
      try check(chmod(file.path, mode_t(inode.mode) & 0o7777), "cannot change the mode of '\(name.text)'")
    }
    try TreeWrite.setTimes(name, at: directory, access: time(inode), modification: time(inode))
  }

  /// When nothing is made in it any more: that would change its time.
  private func describeDirectory(_ level: Level, _ directory: Int32) throws(ApusError) {
    let inode = tree.inodes[Int(level.inode)]
    try own(inode, directory, "a directory")
    try setAttributes(inode, of: directory)
    if inode.isOpaque {
      try ExtendedAttributes.set(marking.opaque, to: [UInt8(ascii: "y")], of: directory)
    } else if level.hasWhiteouts, whiteoutsAreFiles {
      try ExtendedAttributes.set(marking.opaque, to: [UInt8(ascii: "x")], of: directory)
    }
    try check(fchmod(directory, mode_t(inode.mode) & 0o7777), "cannot change the mode of a directory")
    try check(futimens(directory, [time(inode), time(inode)]), "cannot set the times of a directory")
  }

  private func own(_ inode: LayerTree.Inode, _ file: Int32, _ name: String) throws(ApusError) {
    if fchownat(file, "", inode.uid, inode.gid, AT_EMPTY_PATH) == 0 { return }
    // A user without others' numbers owns everything.
    if errno == EPERM, geteuid() != 0 { return }
    guard errno == EINVAL else { throw ApusError(errno: errno, "cannot change the owner of '\(name)'") }
    throw ApusError(
      .unsupported,
      "the owner \(inode.uid):\(inode.gid) of '\(name)' has no number here: give this user more subordinate ids")
  }

  private func setAttributes(_ inode: LayerTree.Inode, of file: Int32) throws(ApusError) {
    guard inode.attributesLength > 0 else { return }
    let start = Int(inode.attributesStart)
    let encoded = tree.attributes[start..<start + Int(inode.attributesLength)]
    for (name, value) in EROFSFormat.attributes(ArraySlice(encoded)) {
      var text = String(decoding: name, as: UTF8.self)
      // An image must not speak to overlayfs in its own voice; of `trusted.` the tree has seen to it.
      if marking == .user, text.hasPrefix(marking.prefix) {
        text = marking.prefix + text.dropFirst("user.".count)
      }
      do {
        try ExtendedAttributes.set(text, to: value, of: file)
      } catch  where error.errno == EOPNOTSUPP || error.errno == EPERM || error.errno == EINVAL {
        // What the file system or the user cannot have is lost, as with every other tool.
        continue
      }
    }
  }

  private func time(_ inode: LayerTree.Inode) -> timespec {
    timespec(tv_sec: Int(inode.modifiedSeconds), tv_nsec: Int(inode.modifiedNanoseconds))
  }
}
