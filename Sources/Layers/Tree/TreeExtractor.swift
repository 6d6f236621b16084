import Errors
import Glibc
import Linux

extension Tree {
  /// Unpacks a tar stream into the existing directory `path`, as Docker's cp does: names stay below `path` lexically,
  /// links on their way are followed inside the root, missing directories are made.
  /// - Throws: `notFound`, or `invalidArgument` when `path` is no directory.
  public static func extract(
    root: Int32, path: String, options: ExtractOptions = ExtractOptions()
  ) throws(ApusError) -> TreeExtractor {
    guard !path.utf8.contains(0), path.utf8.count < Int(PATH_MAX) else {
      throw ApusError(.invalidArgument, "the path '\(path.prefix(200))' is too long or contains a NUL")
    }
    let clean = "/" + components(path).joined(separator: "/")
    let directory: OwnedDescriptor
    do {
      directory = try Files.open(at: root, path: clean, flags: O_RDONLY | O_DIRECTORY)
    } catch  where error.errno == ENOTDIR {
      throw ApusError(.invalidArgument, "extraction point is not a directory", cause: error)
    }
    let ownRoot = try TreeStep.reopen(directory: root)
    // Links in entries' paths are resolved from the container's root, hence by text from there.
    let base = try resolve(root: root, path: clean)
    return TreeExtractor(root: ownRoot, directory: directory, base: base, options: options)
  }
}

/// A tar stream being unpacked.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
public final class TreeExtractor: @unchecked Sendable {
  private var reader: TarReader
  private let sink: ExtractSink
  private var size: Int64 = 0
  private let limit: Int64

  init(
    root: consuming OwnedDescriptor, directory: consuming OwnedDescriptor, base: [String], options: Tree.ExtractOptions
  ) {
    reader = TarReader(entryLimit: options.limits.entries)
    limit = options.limits.totalSize
    sink = ExtractSink(root: root, directory: directory, base: base, options: options)
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    size += Int64(bytes.count)
    guard size <= limit else { throw ApusError(.resourceExhausted, "the archive is larger than \(limit) bytes") }
    try reader.consume(bytes, into: sink)
  }

  /// - Throws: when the stream ended too early. Call it once.
  public func finish() throws(ApusError) {
    try reader.finish()
    try sink.finish()
  }
}

private final class ExtractSink: TarSink {
  private let root: OwnedDescriptor
  private let directory: OwnedDescriptor
  private let base: [String]
  private let options: Tree.ExtractOptions
  /// The directory of the last entry.
  private var parent: OwnedDescriptorBox?
  private var parentPath: [ArraySlice<UInt8>] = []
  private var file: OwnedDescriptorBox?
  private var position: Int64 = 0
  private var entry = TarEntry()
  private var name = EntryName([])
  /// Their times are set at the end: every file made in them would change them again.
  private var directories: [(path: [ArraySlice<UInt8>], modified: timespec)] = []

  init(
    root: consuming OwnedDescriptor, directory: consuming OwnedDescriptor, base: [String], options: Tree.ExtractOptions
  ) {
    self.root = root
    self.directory = directory
    self.base = base
    self.options = options
  }

  // MARK: Finding

  private func open(_ components: ArraySlice<ArraySlice<UInt8>>) throws(ApusError) -> OwnedDescriptor {
    let flags = O_RDONLY | O_DIRECTORY
    var names: [String] = []
    for component in components {
      guard let text = String(validating: component, as: UTF8.self) else { return try openBytes(components) }
      names.append(text)
    }
    return try Files.open(at: root.raw, path: "/" + (base + names).joined(separator: "/"), flags: flags)
  }

  /// Names that are not UTF-8: one by one, and without following links.
  private func openBytes(_ components: ArraySlice<ArraySlice<UInt8>>) throws(ApusError) -> OwnedDescriptor {
    var current = try TreeStep.reopen(directory: directory.raw)
    for component in components { current = try TreeStep.openDirectory(EntryName(component), at: current.raw) }
    return current
  }

  /// The open directory of these components, made if it is missing.
  private func openMaking(_ components: ArraySlice<ArraySlice<UInt8>>) throws(ApusError) -> OwnedDescriptor {
    do {
      return try open(components)
    } catch  where error.errno == ENOENT && !components.isEmpty {
      let above = try openMaking(components.dropLast())
      let name = EntryName(components[components.endIndex - 1])
      if mkdirat(above.raw, name.terminated, 0o755) == 0 {
        let owner = options.owner ?? Tree.Owner(uid: 0, gid: 0)
        try TreeWrite.describe(
          name, at: above.raw, mode: 0o755, uid: owner.uid, gid: owner.gid, attributes: [], isLink: false)
      } else if errno != EEXIST {
        try check(-1 as Int32, "cannot make the directory '\(name.text)'")
      }
      // Somebody else's directory is as good; a link to nowhere fails again.
      return try open(components)
    }
  }

  private func parentDirectory(_ components: [ArraySlice<UInt8>]) throws(ApusError) -> OwnedDescriptorBox {
    let path = Array(components.dropLast())
    if let parent, path == parentPath { return parent }
    let opened = OwnedDescriptorBox(try openMaking(path[...]))
    parent = opened
    parentPath = path
    return opened
  }

  // MARK: Entries

  func begin(_ entry: TarEntry) throws(ApusError) {
    self.entry = entry
    file = nil
    let components = try LayerPath.components(entry.path)
    guard let last = components.last else {
      // The directory itself is there and stays as it is.
      name = EntryName([])
      return
    }
    name = EntryName(last)
    let parent = try parentDirectory(components)
    if try replace(parent.raw) { try make(parent.raw, components) }
    if entry.kind == .directory {
      directories.append(
        (components, timespec(tv_sec: Int(entry.modifiedSeconds), tv_nsec: Int(entry.modifiedNanoseconds))))
    }
  }

  /// Clears the way. False when the directory that the entry is exists already: it only gets the description.
  private func replace(_ parent: Int32) throws(ApusError) -> Bool {
    guard let existing = try EntryStatus.find(name, at: parent) else { return true }
    if existing.isDirectory, entry.kind == .directory {
      try describe(parent)
      return false
    }
    if options.noOverwriteDirNonDir {
      if existing.isDirectory {
        throw ApusError(.invalidArgument, "cannot overwrite directory \"\(entry.displayPath)\" with non-directory")
      }
      if entry.kind == .directory {
        throw ApusError(.invalidArgument, "cannot overwrite non-directory \"\(entry.displayPath)\" with directory")
      }
    }
    try Tree.removeAll(parent: parent, name)
    return true
  }

  private func make(_ parent: Int32, _ components: [ArraySlice<UInt8>]) throws(ApusError) {
    switch entry.kind {
    case .regular:
      let flags = O_WRONLY | O_CREAT | O_EXCL
      file = OwnedDescriptorBox(try TreeStep.open(name, at: parent, flags: flags, mode: 0o600))
      position = 0
      return
    case .hardLink:
      return try link(parent)
    case .directory:
      try check(mkdirat(parent, name.terminated, 0o700), "cannot make the directory '\(entry.displayPath)'")
    case .symbolicLink:
      guard !entry.linkTarget.isEmpty, !entry.linkTarget.contains(0) else {
        throw ApusError(.invalidArgument, "the symbolic link '\(entry.displayPath)' has no target")
      }
      try check(
        symlinkat(EntryName(entry.linkTarget).terminated, parent, name.terminated),
        "cannot make the link '\(entry.displayPath)'")
    case .characterDevice, .blockDevice, .fifo:
      let type = entry.kind == .fifo ? S_IFIFO : entry.kind == .blockDevice ? S_IFBLK : S_IFCHR
      try TreeWrite.makeNode(
        name, at: parent, type: UInt32(type), major: entry.deviceMajor, minor: entry.deviceMinor)
    }
    try describe(parent)
  }

  private func link(_ parent: Int32) throws(ApusError) {
    let components = try LayerPath.components(entry.linkTarget)
    guard let last = components.last else {
      throw ApusError(.invalidArgument, "the hard link '\(entry.displayPath)' points to a directory")
    }
    let directory = try open(components.dropLast())
    try check(
      linkat(directory.raw, EntryName(last).terminated, parent, name.terminated, 0),
      "cannot link '\(entry.displayPath)' to '\(TarEntry.display(entry.linkTarget))'")
  }

  private func describe(_ parent: Int32) throws(ApusError) {
    let isLink = entry.kind == .symbolicLink
    try TreeWrite.describe(
      name, at: parent, mode: UInt32(entry.mode), uid: options.owner?.uid ?? entry.uid,
      gid: options.owner?.gid ?? entry.gid, attributes: entry.attributes, isLink: isLink)
    if entry.kind != .directory { try setTimes(parent) }
  }

  private func setTimes(_ parent: Int32) throws(ApusError) {
    let time = timespec(tv_sec: Int(entry.modifiedSeconds), tv_nsec: Int(entry.modifiedNanoseconds))
    try TreeWrite.setTimes(name, at: parent, access: time, modification: time)
  }

  func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    guard let file else { return }
    try FileWriter.write(bytes, to: file.raw, at: position, name: "'\(entry.displayPath)'")
    position += Int64(bytes.count)
  }

  func hole(_ count: Int64) throws(ApusError) { position += count }

  func end() throws(ApusError) {
    guard let file, let parent else { return }
    // A hole at the end has written nothing.
    if entry.isSparse { try check(ftruncate(file.raw, off_t(position)), "cannot extend '\(entry.displayPath)'") }
    self.file = nil
    try describe(parent.raw)
  }

  func finish() throws(ApusError) {
    parent = nil
    for (path, modified) in directories.reversed() {
      guard let last = path.last else { continue }
      do {
        let above = try open(path.dropLast())
        try TreeWrite.setTimes(EntryName(last), at: above.raw, access: modified, modification: modified)
      } catch  where error.errno == ENOENT || error.errno == ENOTDIR {
        // A later entry has replaced it.
        continue
      }
    }
  }
}
