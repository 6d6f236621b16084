import Errors
import Glibc
import ImageSpec
import Linux

/// A blob on its way into the ``ContentStore``: hashed while it is written, named when it is complete.
///
/// `@unchecked Sendable`: a stream with one user; that user may be on another thread from call to call, never on two.
public final class BlobWriter: @unchecked Sendable {
  private let store: ContentStore
  private let temporary: String
  private var file: FileWriter
  /// nil: somebody else hashes.
  private var hasher: ContentHasher?
  /// The blob that a resumable download is to become.
  private let resuming: Descriptor?
  private var done = false
  private static let worthResuming: Int64 = 4096

  /// Bytes of an earlier attempt that are there already; see ``init(store:resuming:)``.
  public let resumed: Int64

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
    resuming = nil
    resumed = 0
  }

  /// A download that can be taken up again: what has arrived is kept under the digest that it is to have, by
  /// ``suspend()`` and when the daemon is killed. It begins with the ``resumed`` bytes of the last attempt; they are not
  /// verified: read them first (``readResumed(_:)``) where somebody else has to see the whole blob.
  /// - Throws: `conflict` while another writer has it.
  public convenience init(store: ContentStore, resuming descriptor: Descriptor) throws(ApusError) {
    try self.init(store: store, resuming: descriptor, hashing: true)
  }

  init(store: ContentStore, resuming descriptor: Descriptor, hashing: Bool) throws(ApusError) {
    self.store = store
    resuming = descriptor
    temporary = store.partialPath(for: descriptor.digest)
    let opened = try Files.open(temporary, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
    let isMine = flock(opened.raw, LOCK_EX | LOCK_NB) == 0
    let status = try Files.status(opened.raw)
    // Without a name, it was removed between opening and locking.
    guard isMine, status.st_nlink > 0 else {
      throw ApusError(.conflict, "content \(descriptor.digest) is being downloaded already")
    }
    var size = Int64(status.st_size)
    if size > descriptor.size || size < Self.worthResuming {
      // Not of this blob, whatever it is; or not worth it.
      try check(ftruncate(opened.raw, 0), "cannot empty \(temporary)")
      size = 0
    }
    resumed = size
    file = FileWriter(opened, name: temporary, position: size)
    hasher = hashing ? ContentHasher(descriptor.digest.algorithm) : nil
    if hashing { try readResumed { (bytes) throws(ApusError) in hasher?.update(bytes) } }
  }

  deinit { suspend() }

  /// Bytes so far, those of an earlier attempt included.
  public var size: Int64 { file.position }

  /// Passes on the bytes that were there at the beginning, in order.
  public func readResumed(_ body: (UnsafeRawBufferPointer) throws(ApusError) -> Void) throws(ApusError) {
    try FileBytes.read(file.descriptor.raw, count: resumed, name: temporary, body)
  }

  /// Begins again, without the bytes of an earlier attempt.
  func restart() throws(ApusError) { try file.restart() }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    hasher?.update(bytes)
    try file.append(bytes)
  }

  /// Verifies digest and size where they are expected, and names the blob.
  /// - Throws: `invalidArgument` when it is not what was expected; nothing stays behind.
  @discardableResult
  public func commit(expected: Digest? = nil, size: Int64? = nil) throws(ApusError) -> (digest: Digest, size: Int64) {
    defer { abort() }
    let expected = expected ?? resuming?.digest
    if let size = size ?? resuming?.size, size != file.position {
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
    try store.marks.name(digest, from: temporary, to: store.path(for: digest))
    done = true
  }

  /// Ends it for now: what has arrived stays for the next attempt, where the blob can be resumed; else it is forgotten.
  /// Also what happens when the writer is dropped.
  public func suspend() {
    guard !done, resuming != nil else { return abort() }
    // What cannot be written now is downloaded again.
    try? file.flush()
    if file.position == 0 { return abort() }
    done = true
  }

  /// Forgets it.
  public func abort() {
    if !done { _ = unlink(temporary) }
    done = true
  }
}
