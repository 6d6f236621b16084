import Errors
import Glibc
import ImageSpec
import Linux

/// Blobs by digest: `<root>/blobs/<algorithm>/<hex>`. A blob gets its name by rename when it is complete and verified;
/// what has a name is whole. Safe for several writers of the same blob.
public struct ContentStore: Sendable {
  public let root: String

  /// - Throws: when the directories cannot be made.
  public init(root: String) throws(ApusError) {
    self.root = root
    for algorithm in Digest.Algorithm.allCases {
      try Files.makeDirectories("\(root)/blobs/\(algorithm.rawValue)", mode: 0o700)
    }
    try Files.makeDirectories("\(root)/ingest", mode: 0o700)
  }

  public func path(for digest: Digest) -> String { "\(root)/blobs/\(digest.algorithm.rawValue)/\(digest.hex)" }

  public func contains(_ digest: Digest) -> Bool { size(of: digest) != nil }

  /// Bytes; nil when there is no such blob.
  public func size(of digest: Digest) -> Int64? {
    var status = stat()
    return lstat(path(for: digest), &status) == 0 ? Int64(status.st_size) : nil
  }

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
    if unlink(path(for: digest)) < 0, errno != ENOENT { try check(-1 as Int32, "cannot remove content \(digest)") }
  }

  public func all() throws(ApusError) -> [Digest] {
    var result: [Digest] = []
    for algorithm in Digest.Algorithm.allCases {
      let directory = try Files.open("\(root)/blobs/\(algorithm.rawValue)", flags: O_RDONLY | O_DIRECTORY)
      for entry in try Files.entries(of: directory.raw) {
        if let digest = Digest(algorithm: algorithm, hex: entry.name) { result.append(digest) }
      }
    }
    return result
  }

  /// Removes what a daemon that died left half-written. Call it before anything writes.
  public func recover() throws(ApusError) {
    let directory = try Files.open("\(root)/ingest", flags: O_RDONLY | O_DIRECTORY)
    for entry in try Files.entries(of: directory.raw) { _ = unlinkat(directory.raw, entry.name, 0) }
  }
}

/// A blob on its way into the ``ContentStore``: hashed while it is written, named when it is complete.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
public final class BlobWriter: @unchecked Sendable {
  private let store: ContentStore
  private let temporary: String
  private var file: FileWriter
  /// nil: somebody else hashes.
  private var hasher: ContentHasher?
  private var done = false

  /// - Parameter algorithm: of the digest that names the blob.
  public convenience init(store: ContentStore, algorithm: Digest.Algorithm = .sha256) throws(ApusError) {
    try self.init(store: store, hashing: algorithm)
  }

  init(store: ContentStore, hashing algorithm: Digest.Algorithm?) throws(ApusError) {
    self.store = store
    temporary = TemporaryName.next(in: "\(store.root)/ingest")
    file = FileWriter(
      try Files.open(temporary, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600), name: temporary)
    hasher = algorithm.map { ContentHasher($0) }
  }

  deinit { abort() }

  /// Bytes so far.
  public var size: Int64 { file.position }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    hasher?.update(bytes)
    try file.append(bytes)
  }

  /// Verifies digest and size where they are expected, and names the blob.
  /// - Throws: `invalidArgument` when it is not what was expected; nothing stays behind.
  @discardableResult
  public func commit(expected: Digest? = nil, size: Int64? = nil) throws(ApusError) -> (digest: Digest, size: Int64) {
    defer { abort() }
    if let size, size != file.position {
      throw ApusError(
        .invalidArgument, "content \(expected?.description ?? "") has \(file.position) bytes, expected \(size)")
    }
    guard let digest = try hasher?.finish() else { throw ApusError(.internal, "content without a hash") }
    if let expected, digest != expected {
      throw ApusError(.invalidArgument, "content has digest \(digest), expected \(expected)")
    }
    try commit(as: digest)
    return (digest, file.position)
  }

  /// Names content whose digest somebody else has verified.
  func commit(as digest: Digest) throws(ApusError) {
    try file.flush()
    try check(rename(temporary, store.path(for: digest)), "cannot store content \(digest)")
    done = true
  }

  /// Forgets it. Also what happens when the writer is dropped.
  public func abort() {
    if !done { _ = unlink(temporary) }
    done = true
  }
}
