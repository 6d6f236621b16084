import Errors
import Glibc
import ImageSpec
import Linux

/// Blobs by digest: `<root>/blobs/<algorithm>/<hex>`. A blob gets its name by rename when it is complete and verified;
/// what has a name is whole. Safe for several writers of the same blob.
///
/// Nothing is flushed to disk until ``synchronize()``; what a power cut may have spoilt until then is known and looked
/// at again by ``recover()``.
public struct ContentStore: Sendable {
  public let root: String
  private let blobs: DigestDirectories
  let marks: UnsyncedMarks

  /// - Throws: when the directories cannot be made.
  public init(root: String) throws(ApusError) { try self.init(root: root, boot: nil) }

  init(root: String, boot: String?) throws(ApusError) {
    self.root = root
    blobs = try DigestDirectories(root: "\(root)/blobs")
    try Files.makeDirectories("\(root)/ingest", mode: 0o700)
    try Files.makeDirectories("\(root)/partial", mode: 0o700)
    marks = try UnsyncedMarks(root: root, boot: boot)
  }

  public func path(for digest: Digest) -> String { blobs.path(for: digest) }

  public func contains(_ digest: Digest) -> Bool { size(of: digest) != nil }

  /// Bytes; nil when there is no such blob.
  public func size(of digest: Digest) -> Int64? { blobs.size(of: digest) }

  /// All of a blob of at most `limit` bytes.
  /// - Throws: `notFound`, `resourceExhausted` when larger.
  public func read(_ digest: Digest, limit: Int = 8 << 20) throws(ApusError) -> [UInt8] {
    guard contains(digest) else { throw ApusError(.notFound, "content \(digest) is not in the store") }
    return try Files.read(path(for: digest), limit: limit)
  }

  /// The blob as an open file, to be streamed.
  public func open(_ digest: Digest) throws(ApusError) -> OwnedDescriptor {
    guard contains(digest) else { throw ApusError(.notFound, "content \(digest) is not in the store") }
    return try Files.open(path(for: digest), flags: O_RDONLY | O_NOFOLLOW)
  }

  /// Stores a small document under its SHA-256.
  @discardableResult
  public func write(_ bytes: [UInt8]) throws(ApusError) -> Digest {
    let writer = try BlobWriter(store: self)
    try bytes.withBytes { (buffer) throws(ApusError) in try writer.write(buffer) }
    return try writer.commit().digest
  }

  /// Removing what is not there is fine.
  public func remove(_ digest: Digest) throws(ApusError) {
    try marks.unname(digest) { () throws(ApusError) in
      try FileRemoval.remove(path(for: digest), "cannot remove content \(digest)")
    }
  }

  public func all() throws(ApusError) -> [Digest] { try blobs.all() }

  // MARK: Surviving

  /// Flushes what has got its name since the last time. Blocks for as long as the disk needs: for the background.
  /// - Throws: when the disk refuses; the next call tries again.
  public func synchronize() throws(ApusError) { try marks.synchronize(trees: false) { path(for: $0) } }

  /// Removes what a daemon that died left half-written, and whatever a power cut has spoilt: blobs that were not flushed
  /// before it are hashed. Call it before anything writes. Interrupted downloads stay, see ``partials()``.
  /// - Returns: the blobs that had to go.
  @discardableResult
  public func recover() throws(ApusError) -> [Digest] {
    let directory = try Files.open("\(root)/ingest", flags: O_RDONLY | O_DIRECTORY)
    for entry in try Files.entries(of: directory.raw) { _ = unlinkat(directory.raw, entry.name, 0) }
    var lost: [Digest] = []
    for digest in try marks.review(isWhole: { (digest) throws(ApusError) in try isWhole(digest) }) {
      // A mark can be older than the blob that it never got.
      guard contains(digest) else { continue }
      try remove(digest)
      lost.append(digest)
    }
    return lost
  }

  private func isWhole(_ digest: Digest) throws(ApusError) -> Bool {
    guard contains(digest) else { return false }
    let file = try open(digest)
    var hasher = ContentHasher(digest.algorithm)
    do {
      try FileBytes.read(file.raw, name: "content \(digest)") { (bytes) throws(ApusError) in hasher.update(bytes) }
    } catch  where error.errno == EIO {
      // What the disk cannot give back is lost.
      return false
    }
    return try hasher.finish() == digest
  }

  // MARK: Interrupted downloads

  /// A download that ended before its blob was complete.
  public struct Partial: Sendable, Equatable {
    /// Of the whole blob.
    public var digest: Digest
    /// Bytes that have arrived.
    public var size: Int64
    /// Seconds since 1970: when the last of them did.
    public var modified: Int64
  }

  func partialPath(for digest: Digest) -> String { "\(root)/partial/\(digest.algorithm.rawValue)-\(digest.hex)" }

  /// What interrupted downloads have left; ``BlobWriter/init(store:resuming:)`` takes one up again.
  public func partials() throws(ApusError) -> [Partial] {
    var result: [Partial] = []
    let directory = try Files.open("\(root)/partial", flags: O_RDONLY | O_DIRECTORY)
    for entry in try Files.entries(of: directory.raw) {
      let parts = entry.name.split(separator: "-", maxSplits: 1)
      guard parts.count == 2, let algorithm = Digest.Algorithm(rawValue: String(parts[0])),
        let digest = Digest(algorithm: algorithm, hex: parts[1]),
        let status = try? Files.status(at: directory.raw, entry.name)
      else { continue }
      result.append(
        Partial(digest: digest, size: Int64(status.st_size), modified: Int64(status.st_mtim.tv_sec)))
    }
    return result
  }

  /// Removing what is not there is fine; one that is being downloaded stays.
  public func removePartial(_ digest: Digest) throws(ApusError) {
    let path = partialPath(for: digest)
    let file: OwnedDescriptor
    do {
      file = try Files.open(path, flags: O_RDWR | O_NOFOLLOW)
    } catch  where error.errno == ENOENT {
      return
    }
    guard flock(file.raw, LOCK_EX | LOCK_NB) == 0 else { return }
    if unlink(path) < 0, errno != ENOENT {
      try check(-1 as Int32, "cannot remove the unfinished content \(digest)")
    }
  }
}
