import Errors
import Glibc

/// Decides where in an image every inode and directory lies. Sizes alone decide it, so that node numbers are known
/// before the first directory is written.
struct EROFSLayout {
  /// One name of a directory being written.
  struct Entry {
    var nameStart: UInt32
    var nameLength: UInt8
    /// 1: `.`, 2: `..`, 0: a name of the tree.
    var dots: UInt8
    var inode: LayerTree.InodeIndex
  }

  struct Directory {
    var inode: LayerTree.InodeIndex
    var entries: ArraySlice<Entry>
    /// For each block, the index (from the directory's first entry) behind its last entry.
    var blockEnds: [Int] = []
    var size = 0
    var tailIsInline = false
    var firstBlock: UInt32 = 0
  }

  struct Placement {
    var layout = EROFSFormat.DataLayout.plain
    var size: Int64 = 0
    var address: UInt32 = 0
    var directory: Int32 = -1
  }

  private let tree: LayerTree
  /// Inodes in the order in which they are written: a directory's children follow one another.
  private(set) var order: [LayerTree.InodeIndex] = []
  private(set) var directories: [Directory] = []
  /// Per inode, from the start of the metadata.
  private(set) var offsets: [Int]
  private(set) var placements: [Placement]
  /// Symbolic links whose attributes leave no room for the target behind the inode.
  private(set) var longLinks: [LayerTree.InodeIndex] = []
  /// Per inode: its names; of directories, also `.` and each subdirectory's `..`.
  private(set) var links: [UInt32]

  init(_ tree: LayerTree) {
    self.tree = tree
    offsets = Array(repeating: -1, count: tree.inodes.count)
    placements = Array(repeating: Placement(), count: tree.inodes.count)
    links = Array(repeating: 0, count: tree.inodes.count)
    gather()
  }

  // MARK: Reading the tree

  /// Lists every reachable directory's entries, sorted by name as lookups need them, and the order of the inodes.
  private mutating func gather() {
    let nodes = tree.nodes
    let children = LayerTree.Children(of: tree)
    var queue: [(node: LayerTree.NodeIndex, parent: LayerTree.InodeIndex)] = [(LayerTree.root, 0)]
    var head = 0
    order.append(0)
    offsets[0] = 0
    links[0] = 2
    while head < queue.count {
      let (node, parent) = queue[head]
      head += 1
      let inode = nodes[Int(node)].inode
      var entries: [Entry] = [
        Entry(nameStart: 0, nameLength: 1, dots: 1, inode: inode),
        Entry(nameStart: 0, nameLength: 2, dots: 2, inode: parent),
      ]
      for child in children[node] {
        let value = nodes[Int(child)]
        entries.append(Entry(nameStart: value.nameStart, nameLength: value.nameLength, dots: 0, inode: value.inode))
        if offsets[Int(value.inode)] < 0 {
          offsets[Int(value.inode)] = 0
          order.append(value.inode)
        }
        links[Int(value.inode)] += 1
        if tree.inodes[Int(value.inode)].isDirectory {
          links[Int(value.inode)] += 1
          links[Int(inode)] += 1
          queue.append((child, inode))
        }
      }
      sort(&entries)
      placements[Int(inode)].directory = Int32(directories.count)
      directories.append(Directory(inode: inode, entries: entries[...]))
    }
  }

  private func sort(_ entries: inout [Entry]) {
    tree.withNames { names in
      entries.sort { left, right in
        Self.withName(left, names) { a in
          Self.withName(right, names) { b in
            guard let first = a.baseAddress, let second = b.baseAddress else { return false }
            let order = memcmp(first, second, min(a.count, b.count))
            return order != 0 ? order < 0 : a.count < b.count
          }
        }
      }
    }
  }

  private static func withName<Result>(
    _ entry: Entry, _ names: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Result
  ) -> Result {
    if entry.dots == 0 {
      return body(
        UnsafeBufferPointer(rebasing: names[Int(entry.nameStart)..<Int(entry.nameStart) + Int(entry.nameLength)]))
    }
    return withUnsafePointer(to: (UInt8(ascii: "."), UInt8(ascii: "."))) { dots in
      dots.withMemoryRebound(to: UInt8.self, capacity: 2) {
        body(UnsafeBufferPointer(start: $0, count: Int(entry.dots)))
      }
    }
  }

  // MARK: Placing

  func attributeSize(of inode: LayerTree.Inode) -> Int {
    let size = Int(inode.attributesLength) + (inode.isOpaque ? EROFSFormat.opaqueAttribute.count : 0)
    return size == 0 ? 0 : size + EROFSFormat.attributeHeaderSize
  }

  func chunkCount(of inode: LayerTree.Inode) -> Int {
    let size: Int64 = 1 << (12 + Int64(inode.chunkBits))
    return Int((inode.size + size - 1) / size)
  }

  /// - Parameter firstBlock: where directories may begin; the inodes follow them.
  mutating func place(firstBlock: UInt32) throws(ApusError) {
    var block = UInt64(firstBlock)
    // Node number 0 would be inode number 0, which readdir(3) takes for a deleted file.
    var offset = EROFSFormat.inodeSize
    for index in order {
      let inode = tree.inodes[Int(index)]
      let head = EROFSFormat.inodeSize + attributeSize(of: inode)
      guard attributeSize(of: inode) <= 1 << 17 else {
        throw ApusError(.resourceExhausted, "a file of the layer has more than 128 KiB of extended attributes")
      }
      var placement = Placement(layout: inode.layout, size: inode.size, address: inode.address)
      placement.directory = placements[Int(index)].directory
      var behind = 0
      if inode.isDirectory {
        let number = Int(placement.directory)
        split(&directories[number])
        let tail = directories[number].size % EROFSFormat.blockSize
        let isInline = tail > 0 && head + tail <= EROFSFormat.blockSize
        directories[number].tailIsInline = isInline
        directories[number].firstBlock = UInt32(truncatingIfNeeded: block)
        placement.layout = isInline ? .inline : .plain
        placement.size = Int64(directories[number].size)
        let ownBlocks = directories[number].blockEnds.count - (isInline ? 1 : 0)
        placement.address = ownBlocks > 0 ? UInt32(truncatingIfNeeded: block) : 0
        block += UInt64(ownBlocks)
        behind = isInline ? tail : 0
      } else if inode.layout == .inline {
        if head + Int(inode.size) <= EROFSFormat.blockSize {
          behind = Int(inode.size)
          placement.address = 0
        } else {
          placement.layout = .plain
          longLinks.append(index)
        }
      } else if inode.layout == .chunks {
        placement.address = UInt32(inode.chunkBits)
      }
      // What lies behind an inode may not cross a block's end; the inode itself had better not.
      let unit = head + behind
      let room = EROFSFormat.blockSize - offset % EROFSFormat.blockSize
      if unit > room, room < EROFSFormat.blockSize { offset += room }
      offsets[Int(index)] = offset
      placements[Int(index)] = placement
      if placement.layout == .chunks { behind = chunkCount(of: inode) * 4 }
      offset += head + behind
      offset = (offset + EROFSFormat.inodeSize - 1) & ~(EROFSFormat.inodeSize - 1)
    }
    for link in longLinks {
      placements[Int(link)].address = UInt32(truncatingIfNeeded: block)
      block += 1
    }
    guard block < UInt64(EROFSFormat.nullBlock) else {
      throw ApusError(.resourceExhausted, "the layer is larger than the 16 TiB an EROFS image can have")
    }
  }

  /// Packs a directory's entries into blocks: each has its table of entries, then their names.
  private func split(_ directory: inout Directory) {
    var filled = 0
    var blocks = 0
    for (index, entry) in directory.entries.enumerated() {
      let needed = EROFSFormat.directoryEntrySize + Int(entry.nameLength)
      if filled + needed > EROFSFormat.blockSize {
        directory.blockEnds.append(index)
        blocks += 1
        filled = 0
      }
      filled += needed
    }
    directory.blockEnds.append(directory.entries.count)
    directory.size = blocks * EROFSFormat.blockSize + filled
  }

  /// One block of a directory, without its padding.
  func encode(_ directory: Directory, _ range: Range<Int>) -> [UInt8] {
    var table: [UInt8] = []
    var text: [UInt8] = []
    var nameOffset = range.count * EROFSFormat.directoryEntrySize
    tree.withNames { names in
      for entry in directory.entries[range] {
        let node = UInt64(offsets[Int(entry.inode)] / EROFSFormat.slotSize)
        withUnsafeBytes(of: node.littleEndian) { table.append(contentsOf: $0) }
        withUnsafeBytes(of: UInt16(nameOffset).littleEndian) { table.append(contentsOf: $0) }
        table.append(EROFSFormat.fileType(mode: tree.inodes[Int(entry.inode)].mode))
        table.append(0)
        Self.withName(entry, names) { text.append(contentsOf: $0) }
        nameOffset += Int(entry.nameLength)
      }
    }
    return table + text
  }
}
