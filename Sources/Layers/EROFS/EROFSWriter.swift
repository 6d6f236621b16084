import Errors
import Glibc
import Linux

/// Writes one EROFS image: block 0 is the superblock, then file data in the order it arrives, then directories, then
/// inodes. The metadata comes last because only the end of an archive tells all of it; the superblock says where.
final class EROFSWriter {
  /// Files up to this size lie behind their inode instead of taking a block.
  static let inlineLimit: Int64 = 1024
  /// Memory for such files; when it is used up, later ones take a block.
  static let inlineBudget = 32 << 20

  private var output: FileWriter
  private var hasChunks = false
  /// The sparse file being written.
  private var chunkStart = 0
  private var chunkSize: Int64 = 0
  private var chunkIsOpen = false
  private var filePosition: Int64 = 0

  /// - Parameter descriptor: an empty file, open for writing.
  init(_ descriptor: consuming OwnedDescriptor, name: String) throws(ApusError) {
    output = FileWriter(descriptor, name: name)
    try output.pad(toOffset: EROFSFormat.blockSize)
  }

  /// Bytes so far, without holes.
  var written: Int64 { output.position - output.holes }

  /// The next block. EROFS counts them in 32 bits.
  private func nextBlock() throws(ApusError) -> UInt32 {
    guard let block = UInt32(exactly: output.position >> 12), block < EROFSFormat.nullBlock else {
      throw ApusError(.resourceExhausted, "the layer is larger than the 16 TiB an EROFS image can have")
    }
    return block
  }

  // MARK: File data

  /// Starts a file; its first block.
  func beginFile() throws(ApusError) -> UInt32 {
    try output.pad(to: EROFSFormat.blockSize)
    return try nextBlock()
  }

  @inline(__always)
  func append(_ bytes: UnsafeRawBufferPointer) throws(ApusError) { try output.append(bytes) }

  /// Starts a file with holes.
  func beginSparse(_ inode: inout LayerTree.Inode, tree: inout LayerTree) throws(ApusError) {
    var bits: UInt8 = 4
    while inode.size >> (12 + Int64(bits)) >= 4096, bits < 31 { bits += 1 }
    chunkSize = 1 << (12 + Int64(bits))
    inode.chunkBits = bits
    inode.layout = .chunks
    inode.address = try tree.addChunks(Int((inode.size + chunkSize - 1) / chunkSize))
    chunkStart = Int(inode.address)
    chunkIsOpen = false
    filePosition = 0
    hasChunks = true
  }

  func appendSparse(_ bytes: UnsafeRawBufferPointer, tree: inout LayerTree) throws(ApusError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let offset = filePosition % chunkSize
      if !chunkIsOpen {
        tree.chunks[chunkStart + Int(filePosition / chunkSize)] = try beginFile()
        try output.zeros(offset)
        chunkIsOpen = true
      }
      let count = Int(min(Int64(rest.count), chunkSize - offset))
      try output.append(UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
      rest = rest.dropFirst(count)
      advance(Int64(count))
    }
  }

  func skipSparse(_ count: Int64) throws(ApusError) {
    var left = count
    if chunkIsOpen {
      let inside = min(left, chunkSize - filePosition % chunkSize)
      try output.zeros(inside)
      advance(inside)
      left -= inside
    }
    filePosition += left
  }

  private func advance(_ count: Int64) {
    filePosition += count
    if filePosition % chunkSize == 0 { chunkIsOpen = false }
  }

  // MARK: Metadata

  /// Writes directories, inodes and the superblock.
  /// - Returns: bytes of the image.
  func finish(_ tree: LayerTree, uuid: [UInt8]) throws(ApusError) -> Int64 {
    var layout = EROFSLayout(tree)
    try output.pad(to: EROFSFormat.blockSize)
    try layout.place(firstBlock: nextBlock())
    for index in layout.directories.indices { try writeWholeBlocks(layout, directory: index) }
    for link in layout.longLinks {
      try output.append(inline(tree, link))
      try output.pad(to: EROFSFormat.blockSize)
    }
    let metadataBlock = try nextBlock()
    let metadataStart = output.position
    for inode in layout.order {
      try output.pad(toOffset: Int(metadataStart) + layout.offsets[Int(inode)])
      try write(inode, tree, layout)
    }
    try output.pad(to: EROFSFormat.blockSize)
    let blocks = try nextBlock()
    let superblock = EROFSFormat.Superblock(
      rootNode: UInt16(layout.offsets[0] / EROFSFormat.slotSize), inodes: UInt64(layout.order.count), blocks: blocks,
      metadataBlock: metadataBlock, uuid: uuid, hasChunks: hasChunks)
    try output.flush()
    try output.overwrite(superblock.encoded(), at: 0)
    return output.position
  }

  private func inline(_ tree: LayerTree, _ inode: LayerTree.InodeIndex) -> [UInt8] {
    let value = tree.inodes[Int(inode)]
    return Array(tree.inlineBytes[Int(value.address)..<Int(value.address) + Int(value.size)])
  }

  private func write(
    _ index: LayerTree.InodeIndex, _ tree: LayerTree, _ layout: EROFSLayout
  ) throws(ApusError) {
    let inode = tree.inodes[Int(index)]
    let placement = layout.placements[Int(index)]
    let attributeSize = layout.attributeSize(of: inode)
    var head: [UInt8] = []
    head.reserveCapacity(EROFSFormat.inodeSize + attributeSize)
    func put(_ value: some FixedWidthInteger) {
      withUnsafeBytes(of: value.littleEndian) { head.append(contentsOf: $0) }
    }
    put(UInt16(1) | placement.layout.rawValue << 1)
    put(UInt16(attributeSize == 0 ? 0 : (attributeSize - EROFSFormat.attributeHeaderSize) / 4 + 1))
    put(inode.mode)
    put(UInt16(0))
    put(UInt64(placement.size))
    put(placement.address)
    put(UInt32(truncatingIfNeeded: layout.offsets[Int(index)] / EROFSFormat.slotSize))
    put(inode.uid)
    put(inode.gid)
    put(inode.modifiedSeconds)
    put(inode.modifiedNanoseconds)
    put(layout.links[Int(index)])
    put(UInt64(0))
    put(UInt64(0))
    if attributeSize > 0 {
      // No name filter, no shared attributes.
      head.append(contentsOf: repeatElement(0, count: EROFSFormat.attributeHeaderSize))
      let start = Int(inode.attributesStart)
      head.append(contentsOf: tree.attributes[start..<start + Int(inode.attributesLength)])
      if inode.isOpaque { head.append(contentsOf: EROFSFormat.opaqueAttribute) }
    }
    try output.append(head)
    switch placement.layout {
    case .plain: break
    case .chunks:
      let count = layout.chunkCount(of: inode)
      for chunk in tree.chunks[Int(inode.address)..<Int(inode.address) + count] { try output.append(integer: chunk) }
    case .inline:
      if inode.isDirectory {
        try writeDirectory(layout, layout.directories[Int(placement.directory)], tail: true)
      } else {
        try output.append(inline(tree, index))
      }
    }
  }

  private func writeWholeBlocks(_ layout: EROFSLayout, directory index: Int) throws(ApusError) {
    let directory = layout.directories[index]
    let count = directory.tailIsInline ? directory.blockEnds.count - 1 : directory.blockEnds.count
    if count > 0 { try writeDirectory(layout, directory, tail: false) }
  }

  /// The blocks of a directory: its last one when `tail`, else those that have blocks of their own.
  private func writeDirectory(_ layout: EROFSLayout, _ directory: EROFSLayout.Directory, tail: Bool) throws(ApusError) {
    let last = directory.blockEnds.count - 1
    let range = tail ? last...last : 0...(directory.tailIsInline ? last - 1 : last)
    for block in range {
      let entries = (block == 0 ? 0 : directory.blockEnds[block - 1])..<directory.blockEnds[block]
      try output.append(layout.encode(directory, entries))
      if !tail { try output.pad(to: EROFSFormat.blockSize) }
    }
  }
}
