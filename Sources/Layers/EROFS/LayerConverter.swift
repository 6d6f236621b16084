import Errors
import Glibc
import Linux

/// Builds a layer's EROFS image from the entries of its archive.
final class LayerConverter: TarSink {
  private var builder = LayerTreeBuilder()
  private let writer: EROFSWriter
  /// The file whose data comes now.
  private var current: LayerTree.InodeIndex?
  private var mode = DataMode.none
  private enum DataMode { case none, inline, plain, sparse }
  private var small: [UInt8] = []
  private var inlineUsed = 0

  /// - Parameter descriptor: an empty file, open for writing.
  init(_ descriptor: consuming OwnedDescriptor, name: String) throws(ApusError) {
    writer = try EROFSWriter(descriptor, name: name)
  }

  /// Bytes so far, without holes.
  var written: Int64 { writer.written }

  /// - Returns: bytes of the image.
  func finish(uuid: [UInt8]) throws(ApusError) -> Int64 {
    try builder.finish()
    return try writer.finish(builder.tree, uuid: uuid)
  }

  func begin(_ entry: TarEntry) throws(ApusError) {
    current = nil
    mode = .none
    if let index = try builder.add(entry) { try beginData(index, entry) }
  }

  private func beginData(_ index: LayerTree.InodeIndex, _ entry: TarEntry) throws(ApusError) {
    current = index
    if entry.isSparse {
      mode = .sparse
      var inode = builder.tree.inodes[Int(index)]
      try writer.beginSparse(&inode, tree: &builder.tree)
      builder.tree.inodes[Int(index)] = inode
    } else if entry.size == 0 {
      mode = .none
    } else if entry.size <= EROFSWriter.inlineLimit, inlineUsed < EROFSWriter.inlineBudget {
      mode = .inline
      small.removeAll(keepingCapacity: true)
      inlineUsed += Int(entry.size)
    } else {
      mode = .plain
      builder.tree.inodes[Int(index)].address = try writer.beginFile()
    }
  }

  func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    switch mode {
    case .plain: try writer.append(bytes)
    case .inline: small.append(contentsOf: bytes)
    case .sparse: try writer.appendSparse(bytes, tree: &builder.tree)
    case .none: break
    }
  }

  func hole(_ count: Int64) throws(ApusError) {
    if mode == .sparse { try writer.skipSparse(count) }
  }

  func end() throws(ApusError) {
    if mode == .inline, let current {
      builder.tree.inodes[Int(current)].layout = .inline
      builder.tree.inodes[Int(current)].address = try small.withBytes { (bytes) throws(ApusError) in
        try builder.tree.addInline(bytes)
      }
    }
    current = nil
    mode = .none
  }
}
