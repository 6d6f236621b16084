import Errors
import Glibc

/// Finds the place of an archive's entry in the tree. Names are cleaned as containerd and Docker do: `.` and empty
/// components vanish, `..` goes up but never above the root, and symbolic links on the way are followed inside the tree.
struct LayerPath {
  static let lengthLimit = 1 << 14
  private static let linkLimit = 40

  /// The directory of the last entry: most entries share it with the one before.
  private var cachedDirectory: [UInt8] = []
  private var cachedNode: LayerTree.NodeIndex = LayerTree.root
  private var cachedGeneration = -1

  /// Splits a path into clean components, lexically.
  static func components(_ path: [UInt8]) throws(ApusError) -> [ArraySlice<UInt8>] {
    guard path.count <= lengthLimit, !path.contains(0) else {
      throw ApusError(
        .invalidArgument, "the archive has a name that is too long or contains a NUL: '\(TarEntry.display(path))'")
    }
    var result: [ArraySlice<UInt8>] = []
    for component in path.split(separator: 0x2f) {
      if component.elementsEqual([0x2e]) { continue }
      if component.elementsEqual([0x2e, 0x2e]) {
        _ = result.popLast()
      } else {
        result.append(component)
      }
    }
    return result
  }

  /// The directory that `path` lies in, made if it is missing, and the last component; nil for the root itself.
  mutating func locate(
    _ path: [UInt8], in tree: inout LayerTree
  ) throws(ApusError) -> (directory: LayerTree.NodeIndex, name: ArraySlice<UInt8>)? {
    if let found = cached(path, tree) { return found }
    let components = try Self.components(path)
    guard let name = components.last else { return nil }
    let directory = try resolve(components.dropLast(), in: &tree)
    remember(path, directory, tree)
    return (directory, name)
  }

  /// The node that `path` names, links on the way followed, the last component not.
  mutating func find(_ path: [UInt8], in tree: LayerTree) throws(ApusError) -> LayerTree.NodeIndex? {
    let components = try Self.components(path)
    guard let name = components.last else { return LayerTree.root }
    guard let directory = try lookUp(components.dropLast(), in: tree) else { return nil }
    return name.withUnsafeBytes { tree.child(of: directory, named: $0) }
  }

  // MARK: Cache

  /// Only paths that need no cleaning: the same directory text, a slash, one plain name, perhaps a slash.
  private func cached(_ path: [UInt8], _ tree: LayerTree) -> (directory: LayerTree.NodeIndex, name: ArraySlice<UInt8>)?
  {
    let length = cachedDirectory.count
    guard cachedGeneration == tree.generation, length > 0, path.count > length + 1, path[length] == 0x2f,
      path.count <= Self.lengthLimit
    else { return nil }
    let same = path.withUnsafeBytes { a in
      cachedDirectory.withUnsafeBytes { b in
        guard let a = a.baseAddress, let b = b.baseAddress else { return false }
        return memcmp(a, b, length) == 0
      }
    }
    guard same else { return nil }
    var name = path[(length + 1)...]
    if name.last == 0x2f { name = name.dropLast() }
    guard let first = name.first, first != 0x2e || name.count > 2, !name.contains(0x2f), !name.contains(0) else {
      return nil
    }
    return (cachedNode, name)
  }

  private mutating func remember(_ path: [UInt8], _ directory: LayerTree.NodeIndex, _ tree: LayerTree) {
    let trimmed = path.last == 0x2f ? path.dropLast() : path[...]
    guard let slash = trimmed.lastIndex(of: 0x2f), slash > 0 else { return }
    let last = trimmed[(slash + 1)...]
    // With `..` or `.` at the end, the text before it is not the directory.
    guard !last.isEmpty, !last.elementsEqual([0x2e]), !last.elementsEqual([0x2e, 0x2e]) else { return }
    cachedDirectory.removeAll(keepingCapacity: true)
    cachedDirectory.append(contentsOf: trimmed[..<slash])
    cachedNode = directory
    cachedGeneration = tree.generation
  }

  // MARK: Walking

  private func lookUp(_ components: ArraySlice<ArraySlice<UInt8>>, in tree: LayerTree) throws(ApusError) -> LayerTree
    .NodeIndex?
  {
    var copy = tree
    return try walk(components, in: &copy, make: false)
  }

  private func resolve(_ components: ArraySlice<ArraySlice<UInt8>>, in tree: inout LayerTree) throws(ApusError)
    -> LayerTree.NodeIndex
  {
    guard let node = try walk(components, in: &tree, make: true) else {
      throw ApusError(.internal, "a directory of the layer was not made")
    }
    return node
  }

  private func walk(
    _ components: ArraySlice<ArraySlice<UInt8>>, in tree: inout LayerTree, make: Bool
  ) throws(ApusError) -> LayerTree.NodeIndex? {
    var node = LayerTree.root
    // Reversed: links put their target's components in front.
    var rest = Array(components.reversed())
    var linksFollowed = 0
    while let name = rest.popLast() {
      if name.elementsEqual([0x2e]) { continue }
      if name.elementsEqual([0x2e, 0x2e]) {
        node = tree.nodes[Int(node)].parent
        continue
      }
      guard let child = name.withUnsafeBytes({ tree.child(of: node, named: $0) }) else {
        guard make else { return nil }
        node = try makeDirectory(name, in: node, of: &tree)
        continue
      }
      let inode = tree.inode(of: child)
      if let inode, inode.isDirectory {
        node = child
      } else if let inode, inode.has(type: S_IFLNK) {
        linksFollowed += 1
        guard linksFollowed <= Self.linkLimit, rest.count < Self.lengthLimit else {
          throw ApusError(
            .invalidArgument,
            "the archive has an entry below a loop of symbolic links at '\(TarEntry.display(Array(name)))'")
        }
        let target = tree.inlineBytes[Int(inode.address)..<Int(inode.address) + Int(inode.size)]
        if target.first == 0x2f { node = LayerTree.root }
        for part in target.split(separator: 0x2f).reversed() { rest.append(ArraySlice(part)) }
      } else {
        // The entry says that this is a directory by lying in it; as with duplicates, the later one is right.
        guard make else { return nil }
        tree.remove(child)
        node = try makeDirectory(name, in: node, of: &tree, opaque: inode?.isWhiteout ?? false)
      }
    }
    return node
  }

  /// A directory that the archive has only implied.
  private func makeDirectory(
    _ name: ArraySlice<UInt8>, in parent: LayerTree.NodeIndex, of tree: inout LayerTree, opaque: Bool = false
  ) throws(ApusError) -> LayerTree.NodeIndex {
    var inode = LayerTree.Inode(mode: UInt16(S_IFDIR) | 0o755)
    inode.isOpaque = opaque
    let index = try tree.addInode(inode)
    return try Array(name).withBytes { (name) throws(ApusError) in try tree.add(name: name, to: parent, inode: index) }
  }
}
