import Errors
import Glibc

/// The tree of one layer while its archive arrives: names and inodes, no file data. A few dozen bytes per entry, in
/// flat arrays; an index found once stays valid.
struct LayerTree {
  typealias NodeIndex = Int32
  typealias InodeIndex = Int32

  /// A name in a directory.
  struct Node {
    var parent: NodeIndex
    var inode: InodeIndex
    var nameStart: UInt32
    var nameLength: UInt8
    /// Replaced by a later entry; what is below it is unreachable with it.
    var isDead = false
  }

  struct Inode {
    /// Type and permission bits.
    var mode: UInt16
    var isOpaque = false
    var layout = EROFSFormat.DataLayout.plain
    /// Base-2 logarithm of blocks per chunk.
    var chunkBits: UInt8 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    var modifiedNanoseconds: UInt32 = 0
    var modifiedSeconds: Int64 = 0
    var size: Int64 = 0
    /// First block of data, device number, or the start in ``inlineBytes`` or ``chunks``.
    var address: UInt32 = 0
    var attributesStart: UInt32 = 0
    var attributesLength: UInt32 = 0

    func has(type: mode_t) -> Bool { UInt32(mode) & UInt32(S_IFMT) == UInt32(type) }
    var isDirectory: Bool { has(type: S_IFDIR) }
    /// overlayfs's mark for "not there": a character device 0:0.
    var isWhiteout: Bool { has(type: S_IFCHR) && address == 0 }
  }

  static let root: NodeIndex = 0
  /// A hard link whose target has not come yet.
  static let pendingInode: InodeIndex = -1

  private(set) var nodes: ContiguousArray<Node> = []
  var inodes: ContiguousArray<Inode> = []
  private var names: ContiguousArray<UInt8> = []
  /// Encoded extended attributes.
  private(set) var attributes: ContiguousArray<UInt8> = []
  /// Targets of symbolic links, content of very small files.
  private(set) var inlineBytes: ContiguousArray<UInt8> = []
  /// Block addresses of sparse files.
  var chunks: ContiguousArray<UInt32> = []
  /// Counts replaced nodes: what was remembered of the tree before is stale.
  private(set) var generation = 0
  /// Open addressing; node index + 1, 0 is free, -1 was one.
  private var table: ContiguousArray<Int32>
  private var used = 0
  private let memoryLimit: Int

  /// - Parameter memoryLimit: bytes that names, attributes, small files and chunk tables may take together.
  init(memoryLimit: Int = 1 << 30) {
    self.memoryLimit = memoryLimit
    table = ContiguousArray(repeating: 0, count: 1 << 10)
    inodes.append(Inode(mode: UInt16(S_IFDIR) | 0o755))
    nodes.append(Node(parent: Self.root, inode: 0, nameStart: 0, nameLength: 0))
  }

  private func reserve(_ count: Int) throws(ApusError) {
    let used = names.count + attributes.count + inlineBytes.count + chunks.count * 4 + nodes.count * 100
    guard used + count <= memoryLimit else {
      throw ApusError(
        .resourceExhausted, "the layer's names and attributes take more than \(memoryLimit) bytes of memory")
    }
  }

  func name(of node: NodeIndex) -> ArraySlice<UInt8> {
    let node = nodes[Int(node)]
    return ArraySlice(names[Int(node.nameStart)..<Int(node.nameStart) + Int(node.nameLength)])
  }

  /// Calls `body` with the bytes of the names, which ``Node`` refers to.
  func withNames<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    names.withUnsafeBufferPointer(body)
  }

  func inode(of node: NodeIndex) -> Inode? {
    let index = nodes[Int(node)].inode
    return index >= 0 ? inodes[Int(index)] : nil
  }

  // MARK: Lookup

  /// Seeded per process: the names are chosen by somebody else.
  private static func hash(_ parent: NodeIndex, _ name: UnsafeRawBufferPointer) -> Int {
    var hasher = Hasher()
    hasher.combine(parent)
    hasher.combine(bytes: name)
    return hasher.finalize()
  }

  /// The slot of a name, or the free slot where it would go.
  private func slot(_ parent: NodeIndex, _ name: UnsafeRawBufferPointer) -> (slot: Int, node: NodeIndex?) {
    let mask = table.count - 1
    var slot = Self.hash(parent, name) & mask
    var free: Int?
    while true {
      let entry = table[slot]
      if entry == 0 { return (free ?? slot, nil) }
      if entry == -1 {
        if free == nil { free = slot }
      } else {
        let node = nodes[Int(entry - 1)]
        if node.parent == parent, Int(node.nameLength) == name.count {
          let same = names.withUnsafeBytes { all in
            guard let stored = all.baseAddress, let wanted = name.baseAddress else { return false }
            return memcmp(stored + Int(node.nameStart), wanted, name.count) == 0
          }
          if same { return (slot, entry - 1) }
        }
      }
      slot = (slot + 1) & mask
    }
  }

  func child(of parent: NodeIndex, named name: UnsafeRawBufferPointer) -> NodeIndex? { slot(parent, name).node }

  // MARK: Changing

  mutating func addInode(_ inode: Inode) throws(ApusError) -> InodeIndex {
    try reserve(0)
    inodes.append(inode)
    return InodeIndex(inodes.count - 1)
  }

  /// Gives `inode` a name. The name must be free: see ``remove(_:)``.
  /// - Throws: when the name is longer than 255 bytes.
  @discardableResult
  mutating func add(
    name: UnsafeRawBufferPointer, to parent: NodeIndex, inode: InodeIndex
  ) throws(ApusError) -> NodeIndex {
    guard let length = UInt8(exactly: name.count), length > 0 else {
      throw ApusError(
        .invalidArgument, "the name '\(TarEntry.display(Array(name)))…' is longer than the 255 bytes that Linux allows")
    }
    try reserve(name.count)
    if used * 4 >= table.count * 3 { grow() }
    let slot = slot(parent, name).slot
    let node = Node(parent: parent, inode: inode, nameStart: UInt32(names.count), nameLength: length)
    names.append(contentsOf: name)
    nodes.append(node)
    if table[slot] == 0 { used += 1 }
    table[slot] = Int32(nodes.count)
    return NodeIndex(nodes.count - 1)
  }

  /// Takes the name away, and with it everything below.
  mutating func remove(_ node: NodeIndex) {
    let value = nodes[Int(node)]
    let name = Array(name(of: node))
    let found = name.withUnsafeBytes { slot(value.parent, $0) }
    if found.node == node { table[found.slot] = -1 }
    nodes[Int(node)].isDead = true
    generation += 1
  }

  mutating func setInode(of node: NodeIndex, to inode: InodeIndex) { nodes[Int(node)].inode = inode }

  private mutating func grow() {
    table = ContiguousArray(repeating: 0, count: table.count * 2)
    used = 0
    for index in nodes.indices.dropFirst() where !nodes[index].isDead {
      let node = nodes[index]
      let slot = names.withUnsafeBytes { all in
        self.slot(
          node.parent,
          UnsafeRawBufferPointer(rebasing: all[Int(node.nameStart)..<Int(node.nameStart) + Int(node.nameLength)])
        ).slot
      }
      table[slot] = Int32(index + 1)
      used += 1
    }
  }

  mutating func addInline(_ bytes: UnsafeRawBufferPointer) throws(ApusError) -> UInt32 {
    try reserve(bytes.count)
    let start = UInt32(inlineBytes.count)
    inlineBytes.append(contentsOf: bytes)
    return start
  }

  mutating func addAttributes(_ encoded: [UInt8]) throws(ApusError) -> UInt32 {
    try reserve(encoded.count)
    let start = UInt32(attributes.count)
    attributes.append(contentsOf: encoded)
    return start
  }

  mutating func addChunks(_ count: Int) throws(ApusError) -> UInt32 {
    try reserve(count * 4)
    let start = UInt32(chunks.count)
    chunks.append(contentsOf: repeatElement(EROFSFormat.nullBlock, count: count))
    return start
  }
}

extension LayerTree {
  /// What lies in each directory, by counting: one pass over the nodes instead of a list per directory.
  struct Children {
    private var starts: [Int32]
    private var nodes: [NodeIndex]

    init(of tree: LayerTree) {
      let all = tree.nodes
      starts = [Int32](repeating: 0, count: all.count + 1)
      for index in all.indices.dropFirst() where !all[index].isDead { starts[Int(all[index].parent) + 1] += 1 }
      for index in 1..<starts.count { starts[index] += starts[index - 1] }
      nodes = [NodeIndex](repeating: 0, count: Int(starts[all.count]))
      var next = starts
      for index in all.indices.dropFirst() where !all[index].isDead {
        let parent = Int(all[index].parent)
        nodes[Int(next[parent])] = NodeIndex(index)
        next[parent] += 1
      }
    }

    subscript(_ node: NodeIndex) -> ArraySlice<NodeIndex> {
      nodes[Int(starts[Int(node)])..<Int(starts[Int(node) + 1])]
    }
  }
}
