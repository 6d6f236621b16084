import Errors
import Glibc
import Linux

/// A tar stream to be pulled. Dropping it half-way is fine.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
public final class TreeArchive: @unchecked Sendable {
  struct Options {
    /// Do not enter what is mounted on the tree.
    var staysOnMount = false
    /// overlayfs's whiteouts and opaque directories become OCI's.
    var whiteouts = false
    /// Nanoseconds; Docker's own archives have seconds.
    var fractions = false
  }

  private struct Level {
    let directory: Int32
    let names: [EntryName]
    var next = 0
    /// What the archive calls the directory, with a slash at its end unless it is the archive's own root.
    let prefix: [UInt8]
  }

  private let options: Options
  private let mountID: UInt64
  private var levels: [Level] = []
  private var buffer: [UInt8] = []
  private var file: Int32 = -1
  private var fileLeft: Int64 = 0
  private var filePadding = 0
  private var ended = false
  /// First name of every file that has several.
  private var names: [FileIdentity: [UInt8]] = [:]

  /// One entry and, if it is a directory, all below it.
  /// - Parameter path: what the archive calls it; nil: its content only, under its own names.
  init(directory: Int32, name: EntryName, as path: [UInt8]?, options: Options) throws(ApusError) {
    self.options = options
    guard let status = try EntryStatus.find(name, at: directory) else {
      throw ApusError(.notFound, "there is no '\(name.text)'")
    }
    mountID = status.mountID
    if let path {
      try add(name, at: directory, path: path)
    } else {
      let root = try TreeStep.openDirectory(name, at: directory)
      let entries = try TreeStep.list(root.raw)
      levels.append(Level(directory: root.release(), names: entries, prefix: []))
    }
  }

  deinit { close() }

  private func close() {
    for level in levels { _ = Glibc.close(level.directory) }
    levels = []
    closeFile()
  }

  private func closeFile() {
    if file >= 0 { _ = Glibc.close(file) }
    file = -1
  }

  /// Up to `maximum` next bytes; nil at the end.
  public func read(maximum: Int = 256 << 10) throws(ApusError) -> [UInt8]? {
    while buffer.count < maximum {
      if file >= 0 || filePadding > 0 {
        try readFile(maximum)
      } else if let level = levels.last {
        if level.next < level.names.count {
          levels[levels.count - 1].next += 1
          let name = level.names[level.next]
          try add(name, at: level.directory, path: level.prefix + name.bytes)
        } else {
          _ = Glibc.close(level.directory)
          levels.removeLast()
        }
      } else if !ended {
        ended = true
        buffer += TarWriter.end
      } else {
        break
      }
    }
    guard !buffer.isEmpty else { return nil }
    if buffer.count <= maximum {
      defer { buffer = [] }
      return buffer
    }
    defer { buffer.removeFirst(maximum) }
    return Array(buffer.prefix(maximum))
  }

  private func readFile(_ maximum: Int) throws(ApusError) {
    if fileLeft > 0 {
      let count = Int(min(fileLeft, Int64(max(maximum - buffer.count, 4096))))
      let start = buffer.count
      buffer.append(contentsOf: repeatElement(0, count: count))
      let got = buffer.withUnsafeMutableBytes { bytes in
        retrying { Glibc.read(file, bytes.baseAddress.map { $0 + start }, count) }
      }
      try check(got, "cannot read a file for the archive")
      // A file that shrank meanwhile is filled up with zeros: its header has already said how long it is.
      if got > 0 { buffer.removeLast(count - got) }
      fileLeft -= Int64(got > 0 ? got : count)
    }
    if fileLeft == 0 {
      buffer.append(contentsOf: repeatElement(0, count: filePadding))
      filePadding = 0
      closeFile()
    }
  }

  // MARK: Entries

  /// A name that vanished since its directory was listed is no error: containers go on while they are read.
  private func add(_ name: EntryName, at directory: Int32, path: [UInt8]) throws(ApusError) {
    guard let status = try EntryStatus.find(name, at: directory) else { return }
    if options.whiteouts, try addWhiteout(name, status, path) { return }
    var entry = TarEntry()
    entry.path = path
    entry.mode = UInt16(truncatingIfNeeded: status.mode & 0o7777)
    entry.uid = status.uid
    entry.gid = status.gid
    entry.modifiedSeconds = status.modifiedSeconds
    entry.modifiedNanoseconds = options.fractions ? status.modifiedNanoseconds : 0
    let isForeign = options.staysOnMount && status.mountID != mountID
    if status.links > 1, !status.isDirectory, !isForeign {
      if let first = names[status.identity] {
        entry.kind = .hardLink
        entry.linkTarget = first
        buffer += TarWriter.header(entry)
        return
      }
      names[status.identity] = path
    }
    do {
      switch status.mode & UInt32(S_IFMT) {
      case UInt32(S_IFREG):
        try addFile(&entry, name, at: directory, withData: !isForeign)
        return
      case UInt32(S_IFDIR):
        entry.kind = .directory
        if entry.path.last != 0x2f { entry.path.append(0x2f) }
      case UInt32(S_IFLNK):
        entry.kind = .symbolicLink
        entry.mode = 0o777
        entry.linkTarget = try TreeStep.readLink(name, at: directory)
      case UInt32(S_IFCHR), UInt32(S_IFBLK):
        entry.kind = status.has(type: S_IFCHR) ? .characterDevice : .blockDevice
        entry.deviceMajor = status.deviceMajor
        entry.deviceMinor = status.deviceMinor
      case UInt32(S_IFIFO):
        entry.kind = .fifo
      default:
        // A socket means nothing without the process behind it.
        return
      }
      entry.attributes = try TreeStep.attributes(name, at: directory)
      buffer += TarWriter.header(entry)
      if status.isDirectory, !isForeign { try enter(name, at: directory, path: entry.path) }
    } catch  where error.errno == ENOENT || error.errno == ENOTDIR || error.errno == ELOOP {
      return
    }
  }

  private func addFile(
    _ entry: inout TarEntry, _ name: EntryName, at directory: Int32, withData: Bool
  ) throws(ApusError) {
    // O_NONBLOCK: it may have become a FIFO in between.
    let opened = try TreeStep.open(name, at: directory, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
    let status = try EntryStatus.of(opened.raw)
    guard status.isRegular else { return }
    if options.whiteouts { try refusePartial(opened.raw, name) }
    entry.size = withData ? status.size : 0
    entry.attributes = try TreeStep.attributes(of: opened.raw)
    buffer += TarWriter.header(entry)
    guard entry.size > 0 else { return }
    fileLeft = entry.size
    filePadding = TarWriter.padding(of: entry.size)
    file = opened.release()
  }

  private func enter(_ name: EntryName, at directory: Int32, path: [UInt8]) throws(ApusError) {
    guard levels.count < TreeStep.depthLimit else {
      throw ApusError(
        .resourceExhausted, "'\(TarEntry.display(path))' is nested deeper than \(TreeStep.depthLimit) directories")
    }
    let opened = try TreeStep.openDirectory(name, at: directory)
    if options.whiteouts {
      try refusePartial(opened.raw, name)
      if try ExtendedAttributes.get("trusted.overlay.opaque", of: opened.raw) == [UInt8(ascii: "y")] {
        addMarker(path + Array(".wh..wh..opq".utf8))
      }
    }
    let names = try TreeStep.list(opened.raw)
    levels.append(Level(directory: opened.release(), names: names, prefix: path))
  }

  // MARK: Whiteouts

  /// True when the entry was one of overlayfs's marks, or cannot be said in a layer.
  private func addWhiteout(_ name: EntryName, _ status: EntryStatus, _ path: [UInt8]) throws(ApusError) -> Bool {
    let prefix = Array(".wh.".utf8)
    // In a layer, such a name would hide another file.
    if name.bytes.starts(with: prefix) { return true }
    guard status.isWhiteout else { return false }
    addMarker(Array(path.dropLast(name.bytes.count)) + prefix + name.bytes)
    return true
  }

  private func addMarker(_ path: [UInt8]) {
    var entry = TarEntry()
    entry.path = path
    entry.mode = 0o600
    buffer += TarWriter.header(entry)
  }

  /// With these overlayfs keeps a part of the file in the layers below, which an archive of the upper one cannot say.
  private func refusePartial(_ descriptor: Int32, _ name: EntryName) throws(ApusError) {
    for attribute in ["trusted.overlay.redirect", "trusted.overlay.metacopy"] {
      if try ExtendedAttributes.get(attribute, of: descriptor) != nil {
        throw ApusError(
          .unsupported,
          "'\(name.text)' is stored as a reference to a lower layer (\(attribute)): the overlay must be "
            + "mounted with redirect_dir=off and metacopy=off")
      }
    }
  }
}

extension Tree {
  /// `path` as a tar stream with Docker's cp semantics: entry names begin with the last component of `path`, and a link
  /// named by it is archived itself.
  /// - Throws: `notFound`.
  public static func archive(root: Int32, path: String) throws(ApusError) -> TreeArchive {
    let place = try parent(root: root, path: path)
    let name = baseName(path)
    return try TreeArchive(directory: place.directory.raw, name: place.name, as: Array(name.utf8), options: .init())
  }

  /// The upper directory of an overlay as an OCI layer: its whiteouts become `.wh.` entries.
  /// - Throws: `unsupported` when the overlay was mounted so that files refer to lower layers.
  public static func layerTar(upper: Int32) throws(ApusError) -> TreeArchive {
    try TreeArchive(
      directory: upper, name: EntryName(".".utf8), as: nil, options: .init(whiteouts: true, fractions: true))
  }

  /// The whole tree, without what is mounted on it.
  public static func export(root: Int32) throws(ApusError) -> TreeArchive {
    try TreeArchive(directory: root, name: EntryName(".".utf8), as: nil, options: .init(staysOnMount: true))
  }
}
