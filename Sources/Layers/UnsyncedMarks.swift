import Errors
import Glibc
import ImageSpec
import Linux
import Synchronization

/// Which things of a store have got their names but may not be on disk yet.
///
/// Flushing costs a user's pull more than writing, so it comes later. Until then an empty file says that a power cut
/// may have left less behind a name than it promises: `<root>/unsynced/<boot>/<algorithm>-<hex>`, made before the name
/// (file systems keep the order of such changes), removed after the flush. A stop of the daemon alone loses nothing, the
/// kernel still has it: only marks of an earlier boot call for a second look.
struct UnsyncedMarks: Sendable {
  /// Making a mark and giving the name are one step, as are taking away the name and the mark: between them, neither
  /// says the truth. One lock for all stores: it is held for two system calls.
  private static let naming = Mutex<Void>(())
  /// From so many files on, flushing the file system once is cheaper than flushing each.
  private static let manyFiles = 16

  private let root: String
  private let boot: String
  private var directory: String { "\(root)/\(boot)" }

  /// - Parameter boot: tells this run of the kernel from others.
  init(root: String, boot: String? = nil) throws(ApusError) {
    self.root = "\(root)/unsynced"
    self.boot = boot ?? Self.currentBoot
    try Files.makeDirectories(directory, mode: 0o700)
  }

  private static let currentBoot: String = {
    let identity = try? Files.read("/proc/sys/kernel/random/boot_id", limit: 128)
    let text = String(decoding: identity ?? [], as: UTF8.self).filter { $0.isHexDigit || $0 == "-" }
    // Without one, every start counts as a boot.
    return text.isEmpty ? "\(getpid())-\(time(nil))" : text
  }()

  private func mark(of digest: Digest) -> String { "\(directory)/\(digest.algorithm.rawValue)-\(digest.hex)" }

  // MARK: Names

  /// Renames what is complete to the name that `digest` has in the store.
  func name(_ digest: Digest, from temporary: String, to path: String) throws(ApusError) {
    try Self.naming.withLock { (_) throws(ApusError) in
      _ = try Files.open(mark(of: digest), flags: O_WRONLY | O_CREAT | O_NOFOLLOW, mode: 0o600)
      try check(rename(temporary, path), "cannot store \(digest)")
    }
  }

  /// Takes a name away by `remove`.
  func unname(_ digest: Digest, _ remove: () throws(ApusError) -> Void) throws(ApusError) {
    try Self.naming.withLock { (_) throws(ApusError) in
      try remove()
      _ = unlink(mark(of: digest))
    }
  }

  // MARK: Flushing

  /// Makes everything marked durable, then removes its marks. Blocks for as long as the disk needs.
  /// - Parameters:
  ///   - trees: names stand for directories full of files.
  ///   - path: where a digest's name is.
  /// - Throws: when the disk refuses; the marks stay.
  func synchronize(trees: Bool, path: (Digest) -> String) throws(ApusError) {
    let marked = try digests(in: directory)
    guard !marked.isEmpty else { return }
    let found = marked.map { Identity(path: path($0)) }
    if trees || found.count > Self.manyFiles {
      let store = try Files.open(root, flags: O_RDONLY | O_DIRECTORY)
      try check(syncfs(store.raw), "cannot flush the file system of \(root)")
    } else {
      var parents: Set<String> = []
      for (digest, identity) in zip(marked, found) where identity != nil {
        let name = path(digest)
        try Self.flush(name, flags: O_RDONLY | O_NOFOLLOW)
        if let slash = name.lastIndex(of: "/") { parents.insert(String(name[..<slash])) }
      }
      for parent in parents { try Self.flush(parent, flags: O_RDONLY | O_DIRECTORY) }
    }
    Self.naming.withLock { _ in
      for (digest, identity) in zip(marked, found) where identity == Identity(path: path(digest)) {
        _ = unlink(mark(of: digest))
      }
    }
  }

  private static func flush(_ path: String, flags: Int32) throws(ApusError) {
    let file: OwnedDescriptor
    do {
      file = try Files.open(path, flags: flags)
    } catch  where error.errno == ENOENT {
      // Removed meanwhile.
      return
    }
    try check(fsync(file.raw), "cannot flush \(path)")
  }

  /// The same file as before, and not another that got its name since.
  private struct Identity: Equatable {
    let inode: UInt64
    let changedSeconds: Int
    let changedNanoseconds: Int

    init?(path: String) {
      var status = stat()
      guard lstat(path, &status) == 0 else { return nil }
      inode = UInt64(status.st_ino)
      changedSeconds = status.st_ctim.tv_sec
      changedNanoseconds = status.st_ctim.tv_nsec
    }
  }

  // MARK: After a power cut

  /// Asks about everything that an earlier boot has left marked: what `isWhole` stays, with a mark of this boot.
  /// - Returns: what it was told is not whole; the caller has removed it.
  func review(isWhole: (Digest) throws(ApusError) -> Bool) throws(ApusError) -> [Digest] {
    var lost: [Digest] = []
    let boots = try Files.open(root, flags: O_RDONLY | O_DIRECTORY)
    for old in try Files.entries(of: boots.raw) where old.name != boot && old.type == UInt8(DT_DIR) {
      for digest in try digests(in: "\(root)/\(old.name)") {
        if try isWhole(digest) {
          _ = try Files.open(mark(of: digest), flags: O_WRONLY | O_CREAT | O_NOFOLLOW, mode: 0o600)
        } else {
          lost.append(digest)
        }
        _ = unlink("\(root)/\(old.name)/\(digest.algorithm.rawValue)-\(digest.hex)")
      }
      _ = rmdir("\(root)/\(old.name)")
    }
    return lost
  }

  private func digests(in directory: String) throws(ApusError) -> [Digest] {
    let opened = try Files.open(directory, flags: O_RDONLY | O_DIRECTORY)
    return try Files.entries(of: opened.raw).compactMap { entry in
      let parts = entry.name.split(separator: "-", maxSplits: 1)
      guard parts.count == 2, let algorithm = Digest.Algorithm(rawValue: String(parts[0])) else { return nil }
      return Digest(algorithm: algorithm, hex: parts[1])
    }
  }
}
