import Errors
import Glibc
import ImageSpec
import Linux
import Synchronization

/// Layers as directories, for hosts that cannot mount EROFS files (no root, old kernels):
/// `<root>/trees/<algorithm>/<hex of the diff ID>/fs`, with overlayfs's marks in them.
///
/// The paths of a lease are links in `<runDirectory>/l`: short, because overlayfs gets up to 128 of them in one string on
/// older kernels.
public final class DirectoryLayerStore: LayerStore {
  public let content: ContentStore
  public let root: String
  /// Whose attributes overlayfs obeys here.
  let marking: OverlayMarking
  private let directories: DigestDirectories
  let marks: UnsyncedMarks
  private let linkDirectory: String
  private let leased = Mutex<[Digest: Int]>([:])

  /// - Throws: when the directories cannot be made.
  public convenience init(root: String, runDirectory: String, content: ContentStore) throws(ApusError) {
    try self.init(root: root, runDirectory: runDirectory, content: content, marking: nil, boot: nil)
  }

  init(
    root: String, runDirectory: String, content: ContentStore, marking: OverlayMarking?, boot: String?
  ) throws(ApusError) {
    self.content = content
    self.root = "\(root)/trees"
    linkDirectory = "\(runDirectory)/l"
    directories = try DigestDirectories(root: self.root)
    try Files.makeDirectories("\(self.root)/ingest", mode: 0o700)
    try Files.makeDirectories(linkDirectory, mode: 0o700)
    marks = try UnsyncedMarks(root: self.root, boot: boot)
    if let marking {
      self.marking = marking
    } else {
      self.marking = try OverlayMarking.probe(in: "\(self.root)/ingest")
    }
  }

  var ingestDirectory: String { "\(root)/ingest" }

  public var overlayOptions: [String] { marking == .user ? ["userxattr"] : [] }

  public func path(for diffID: Digest) -> String { directories.path(for: diffID) }

  public func size(of diffID: Digest) -> Int64? {
    guard let text = try? Files.read("\(path(for: diffID))/size", limit: 32) else { return nil }
    return Int64(String(decoding: text, as: UTF8.self))
  }

  public func all() throws(ApusError) -> [Digest] { try directories.all() }

  public func remove(_ diffID: Digest) throws(ApusError) {
    let grave = TemporaryName.next(in: ingestDirectory)
    try leased.withLock { (leased) throws(ApusError) in
      if let count = leased[diffID], count > 0 {
        throw ApusError(.conflict, "layer \(diffID) is in use by \(count) instances")
      }
      try marks.unname(diffID) { () throws(ApusError) in
        if rename(path(for: diffID), grave) < 0, errno != ENOENT {
          try check(-1 as Int32, "cannot remove layer \(diffID)")
        }
      }
      removeLink(to: diffID)
    }
    // Gone for everyone; that its files take long to delete is nobody's business any more.
    try discard(grave)
  }

  /// Deletes a tree below the store's root.
  func discard(_ path: String) throws(ApusError) {
    guard let slash = path.lastIndex(of: "/") else { return }
    let parent = try Files.open(String(path[..<slash]), flags: O_RDONLY | O_DIRECTORY)
    try Tree.removeAll(parent: parent.raw, name: String(path[path.index(after: slash)...]))
  }

  // MARK: Leases

  public func acquire(_ diffIDs: [Digest]) throws(ApusError) -> LayerLease {
    var paths: [String] = []
    try leased.withLock { (leased) throws(ApusError) in
      for diffID in diffIDs {
        guard contains(diffID) else {
          throw ApusError(.notFound, "layer \(diffID) is not in the store; pull its image again")
        }
        let path = try link(to: diffID)
        let mark = try ExtendedAttributes.get(marking.opaque, ofPath: "\(self.path(for: diffID))/fs")
        if mark == [UInt8(ascii: "y")] { paths = [] }
        paths.append(path)
      }
      for diffID in diffIDs { leased[diffID, default: 0] += 1 }
    }
    return LayerLease(paths: paths.reversed()) { [self] in
      leased.withLock { leased in
        for diffID in diffIDs {
          let count = (leased[diffID] ?? 1) - 1
          leased[diffID] = count > 0 ? count : nil
        }
      }
    }
  }

  /// The short name of a layer's tree.
  private func link(to diffID: Digest) throws(ApusError) -> String {
    let target = "\(path(for: diffID))/fs"
    // More digits only where the first ones are those of another layer.
    for length in 12...diffID.hex.utf8.count {
      let path = "\(linkDirectory)/\(diffID.hex.prefix(length))"
      if symlink(target, path) == 0 { return path }
      guard errno == EEXIST else { try check(-1 as Int32, "cannot make \(path)"); break }
      if try Files.readLink(path) == target { return path }
    }
    throw ApusError(.internal, "layer \(diffID) finds no name in \(linkDirectory)")
  }

  private func removeLink(to diffID: Digest) {
    let target = "\(path(for: diffID))/fs"
    for length in 12...diffID.hex.utf8.count {
      let path = "\(linkDirectory)/\(diffID.hex.prefix(length))"
      guard let found = try? Files.readLink(path) else { return }
      if found == target { _ = unlink(path) }
    }
  }

  /// A directory is there whether somebody uses it or not.
  public func unmountIdle(grace: Duration) {}

  // MARK: Surviving

  public func makeWriter() throws(ApusError) -> LayerWriter { LayerWriter(try DirectoryLayerWriter(self)) }

  public func synchronize() throws(ApusError) { try marks.synchronize(trees: true) { path(for: $0) } }

  /// Removes layers that are half-written or may be.
  @discardableResult
  public func recover() throws(ApusError) -> [Digest] {
    let ingest = try Files.open(ingestDirectory, flags: O_RDONLY | O_DIRECTORY)
    for entry in try Files.entries(of: ingest.raw) { try Tree.removeAll(parent: ingest.raw, name: entry.name) }
    let lost = try marks.review { _ in false }.filter { Files.exists(path(for: $0)) }
    for diffID in lost { try remove(diffID) }
    // Running overlays have long looked through the links.
    let links = try Files.open(linkDirectory, flags: O_RDONLY | O_DIRECTORY)
    for entry in try Files.entries(of: links.raw) where entry.type == UInt8(DT_LNK) {
      _ = unlinkat(links.raw, entry.name, 0)
    }
    return lost
  }
}

/// Which attributes overlayfs takes for its own: `trusted.` ones, or, mounted without privileges, `user.` ones
/// (Documentation/filesystems/overlayfs.rst, "userxattr").
enum OverlayMarking: String, Sendable {
  case trusted, user

  var prefix: String { "\(rawValue).overlay." }
  var opaque: String { "\(rawValue).overlay.opaque" }

  /// - Throws: `unsupported` when the file system takes neither.
  static func probe(in directory: String) throws(ApusError) -> OverlayMarking {
    let path = TemporaryName.next(in: directory)
    try Files.makeDirectory(path, mode: 0o700)
    defer { _ = rmdir(path) }
    let opened = try Files.open(path, flags: O_RDONLY | O_DIRECTORY)
    for marking in [OverlayMarking.trusted, .user] {
      if (try? ExtendedAttributes.set(marking.opaque, to: [UInt8(ascii: "y")], of: opened.raw)) != nil {
        return marking
      }
    }
    throw ApusError(
      .unsupported,
      "layers cannot be stored in \(directory): its file system takes no extended attributes, use another directory")
  }
}
