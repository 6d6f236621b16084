import Errors
import FoundationEssentials
import GRDB
import Glibc
import ImageSpec
import Layers
import Linux
import Synchronization

/// Whether something waits to be flushed, and whether somebody is at it.
final class FlushState: Sendable {
  private let state = Mutex((isDirty: false, isRunning: false))

  /// - Returns: whether the caller has to begin flushing.
  func note() -> Bool {
    state.withLock { state in
      defer { state = (true, true) }
      return !state.isRunning
    }
  }

  /// - Returns: whether there is something to flush; if not, nobody is at it any more.
  func take() -> Bool {
    state.withLock { state in
      defer { state = (false, state.isDirty) }
      return state.isDirty
    }
  }
}

/// What has to survive a power cut, and what has not.
///
/// A pull ends when its image is in the page cache. The disk gets it a little later, in the background and for several
/// operations at once; until then the content store's marks say what a power cut may have spoilt. The names are in the
/// state database, whose log is flushed last: a name that survived has its content, or finds out here that it has not.
extension ImageService {
  /// How long the first of several changes waits for the others.
  private static let gathering = Duration.seconds(2)
  private static let retry = Duration.seconds(60)

  /// To be called when content has come into the store: it is flushed soon.
  func changed() {
    guard flushing.note() else { return }
    Task.detached(priority: .background) { [weak self] in
      var pause = Self.gathering
      while true {
        try? await Task.sleep(for: pause)
        guard let self, flushing.take() else { return }
        do {
          try await blocking.run { [self] in try synchronize() }
          pause = Self.gathering
        } catch let error as ApusError {
          logger.warning("images could not be flushed to the disk: \(error); it is tried again")
          _ = flushing.note()
          pause = Self.retry
        } catch {
          // The daemon stops; the marks stay.
          return
        }
      }
    }
  }

  /// Flushes what images have put into the store. Blocks for as long as the disk needs.
  /// - Throws: when the disk refuses.
  public func synchronize() throws(ApusError) {
    try layers.synchronize()
    try content.synchronize()
    // The log alone: to open the database itself once more would give up SQLite's locks on it when it is closed.
    let log = database.path + "-wal"
    guard Files.exists(log) else { return }
    let file = try Files.open(log, flags: O_RDONLY)
    try check(fsync(file.raw), "cannot flush \(log)")
  }

  /// At start, before anything is written: forgets what an earlier daemon left half-done, and the images of which a part
  /// did not reach the disk before a power cut. Blocks.
  func recover() throws {
    for digest in try content.recover() {
      logger.warning("content \(digest) was damaged when the machine stopped, and is dropped")
    }
    let (damaged, unnamed) = try write { database in
      let damaged = try ImageTable.images(database).compactMap { row -> (names: [String], id: Digest, why: String)? in
        guard let why = try damage(to: row, database) else { return nil }
        let names = try ImageTable.names(of: row.id, database).compactMap { try? Reference(parsing: $0).familiar }
        try ImageTable.removeImage(row.id, database)
        return (names, row.id, why)
      }
      return (damaged, try ImageTable.dropUnnamedIndexes(database))
    }
    for image in damaged {
      logger.warning(
        "image \(image.names.first ?? image.id.short) is forgotten, pull it again: \(image.why)")
    }
    if !damaged.isEmpty || !unnamed.isEmpty { logger.debug("\(unnamed.count) blobs of indexes have no name any more") }
  }

  /// Why an image is of no use; nil for one that is whole, or that can be made whole from what is here.
  private func damage(to row: ImageRow, _ database: Database) throws -> String? {
    let isWhole = try ImageTable.content(of: row.id, database).allSatisfy { item, size in
      switch item {
      case .blob(let digest): content.size(of: digest) == size
      case .layer(let diffID): layers.contains(diffID)
      }
    }
    // Nothing is read at an ordinary start.
    if isWhole { return nil }
    guard let bytes = try? content.read(row.id), let config = try? ImageConfiguration(json: bytes) else {
      return "its configuration \(row.id.short) is not in the store"
    }
    guard let bytes = try? content.read(row.manifest), let manifest = try? Manifest(json: bytes) else {
      return "its manifest \(row.manifest.short) is not in the store"
    }
    for (blob, diffID) in zip(manifest.layers, config.rootfs.diffIDs)
    where !layers.contains(diffID) && content.size(of: blob.digest) != blob.size {
      return "its layer \(diffID.short) is not in the store"
    }
    return nil
  }

  /// At start: makes the layers again that did not reach the disk before a power cut. Those that cannot be made stay
  /// missing, which whoever needs them is told.
  public func restoreLost(_ diffIDs: [Digest]) async {
    for diffID in diffIDs {
      do {
        try await restoreLayers([diffID])
      } catch {
        logger.warning("layer \(diffID.short) did not reach the disk before the machine stopped, and is gone: \(error)")
      }
    }
  }

  /// Makes layer files that are gone (a power cut, another kind of layer store) again of the blobs that are here.
  ///
  /// - Parameter diffIDs: of an image's or an instance's layers.
  /// - Throws: `notFound` naming a layer whose blob is not here either.
  public func restoreLayers(_ diffIDs: [Digest]) async throws {
    let missing = try await blocking.run { [self] in Set(diffIDs.filter { !layers.contains($0) }) }
    guard !missing.isEmpty else { return }
    let blobs = try await blocking.run { [self] in
      try read { database in
        try missing.map { diffID in
          guard let blob = try blob(of: diffID, database) else {
            throw ApusError(.notFound, "layer \(diffID) is not in the store; pull its image again")
          }
          return (diffID, blob)
        }
      }
    }
    let hold = ContentHold(blobs.flatMap { [$0.0, $0.1.digest] }, owner: self)
    defer { hold.release() }
    _ = try await inParallel(blobs) { [self] diffID, blob in
      guard try await storedLayer(blob, diffID: diffID) != nil else {
        throw ApusError(.notFound, "layer \(diffID) is not in the store; pull its image again")
      }
      logger.info("layer \(diffID.short) was made again from its blob")
    }
    changed()
  }

  /// A blob of the store from which a layer can be made.
  private func blob(of diffID: Digest, _ database: Database) throws -> Descriptor? {
    for id in try ImageTable.images(having: diffID, database) {
      guard let image = try? load(id, database) else { continue }
      for (layer, blob) in zip(image.layers, image.manifest.layers)
      where layer == diffID && content.size(of: blob.digest) == blob.size {
        return blob
      }
    }
    return nil
  }
}
