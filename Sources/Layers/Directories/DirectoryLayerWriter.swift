import Errors
import Glibc
import ImageSpec
import Linux

/// A directory layer on its way into its store.
///
/// The tree is built in memory by the same rules as an EROFS layer, and only files' data goes to disk at once, under
/// numbers. When all entries are known, directories are made from the top and the files moved to their places. So no
/// name of the archive is ever walked as a path: each is one component, used once, in a directory that nobody else can
/// reach.
final class DirectoryLayerWriter: LayerSink {
  private let store: DirectoryLayerStore
  private let temporary: String
  private let data: OwnedDescriptor
  private var builder = LayerTreeBuilder()
  private var file: OwnedDescriptorBox?
  private var position: Int64 = 0
  private var isSparse = false
  private(set) var written: Int64 = 0

  init(_ store: DirectoryLayerStore) throws(ApusError) {
    self.store = store
    temporary = TemporaryName.next(in: store.ingestDirectory)
    try Files.makeDirectory(temporary, mode: 0o700)
    try Files.makeDirectory("\(temporary)/data", mode: 0o700)
    data = try Files.open("\(temporary)/data", flags: O_RDONLY | O_DIRECTORY)
  }

  func begin(_ entry: TarEntry) throws(ApusError) {
    file = nil
    guard let inode = try builder.add(entry) else { return }
    let name = EntryName(String(inode).utf8)
    file = OwnedDescriptorBox(
      try TreeStep.open(name, at: data.raw, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600))
    position = 0
    isSparse = entry.isSparse
  }

  func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    guard let file else { return }
    try FileWriter.write(bytes, to: file.raw, at: position, name: "a layer")
    position += Int64(bytes.count)
    written += Int64(bytes.count)
  }

  func hole(_ count: Int64) throws(ApusError) { position += count }

  func end() throws(ApusError) {
    // A hole at the end has written nothing.
    if let file, isSparse { try check(ftruncate(file.raw, off_t(position)), "cannot extend a file of a layer") }
    file = nil
  }

  func finish(_ diffID: Digest) throws(ApusError) -> Int64 {
    file = nil
    try builder.finish()
    try Files.makeDirectory("\(temporary)/fs", mode: 0o700)
    var places = DirectoryLayerPlaces(builder.tree, data: data.raw, marking: store.marking)
    try places.make(in: Files.open("\(temporary)/fs", flags: O_RDONLY | O_DIRECTORY))
    try store.discard("\(temporary)/data")
    let tree = try Files.open("\(temporary)/fs", flags: O_RDONLY | O_DIRECTORY)
    let size = try Tree.diskUsage(tree.raw).allocated
    let note = try Files.open("\(temporary)/size", flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
    try Files.write(Array(String(size).utf8), to: note.raw)
    // Somebody else may have been faster; a layer that may be in use already is not exchanged.
    if store.contains(diffID) {
      abort()
    } else {
      try store.marks.name(diffID, from: temporary, to: store.path(for: diffID))
    }
    return size
  }

  func abort() { try? store.discard(temporary) }
}
