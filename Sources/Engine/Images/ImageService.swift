import Errors
import FoundationEssentials
import GRDB
import ImageSpec
import Layers
import Logging
import Synchronization

/// The images of one engine: names in the state database, documents and blobs in the content store, layers as EROFS
/// files.
///
/// Every operation that takes long reports progress and can be cancelled; one that fails or is cancelled leaves the
/// store as it found it. Content goes when the last image that has it goes, unless an operation under way holds it
/// (``ContentHolds``).
public final class ImageService: Sendable {
  let database: any DatabaseWriter
  let content: ContentStore
  let layers: any LayerStore
  let blocking: BlockingPool
  let logger: Logger
  let settings: ImageSettings
  let holds = ContentHolds()
  let fetches = SharedFetches()
  let flushing = FlushState()
  private let uses: @Sendable () async -> [ImageUse]
  private let publish: @Sendable (EngineEvent) -> Void

  private struct Cache {
    var images: [String: Image] = [:]
    /// Counts changes: what was read before one must not be kept after it.
    var generation: UInt64 = 0
  }
  private let cache = Mutex(Cache())
  /// Names whose image is kept in memory; more are read again.
  private static let cached = 64

  /// - Parameters:
  ///   - database: the engine's state database; the tables are made here.
  ///   - blocking: threads for everything that touches files.
  ///   - uses: which images and layers the instances need.
  ///   - publish: where the `image` events go.
  ///   - settings: bounds, and what is collected when.
  /// - Throws: when the tables cannot be made. Blocks.
  public init(
    database: any DatabaseWriter, content: ContentStore, layers: any LayerStore, blocking: BlockingPool,
    uses: @escaping @Sendable () async -> [ImageUse] = { [] },
    publish: @escaping @Sendable (EngineEvent) -> Void = { _ in }, settings: ImageSettings = ImageSettings(),
    logger: Logger
  ) throws {
    self.database = database
    self.content = content
    self.layers = layers
    self.blocking = blocking
    self.uses = uses
    self.publish = publish
    self.settings = settings
    self.logger = logger
    var migrator = DatabaseMigrator()
    ImageTable.register(in: &migrator)
    try migrator.migrate(database)
    // Nothing writes yet: what is half-written is a dead daemon's.
    try recover()
  }

  // MARK: Finding

  /// The image that a user's text means: `name`, `name:tag`, `name@digest`, an ID, or an unambiguous start of one.
  /// Names come first.
  /// - Throws: `notFound` in Docker's words (`No such image: x:latest`), `invalidArgument` for no valid reference.
  public func resolve(_ text: String) async throws -> Image {
    let generation = cache.withLock { cache in (cache.images[text], cache.generation) }
    if let image = generation.0 { return image }
    let image = try await blocking.run { [self] in
      try read { database in
        guard let id = try Self.find(text, database) else { throw Self.noSuchImage(text) }
        return try load(id, database)
      }
    }
    guard let image else { throw Self.noSuchImage(text) }
    cache.withLock { cache in
      guard cache.generation == generation.1 else { return }
      if cache.images.count >= Self.cached { cache.images.removeAll(keepingCapacity: true) }
      cache.images[text] = image
    }
    return image
  }

  /// Every image, the newest first.
  public func list() async throws -> [Image] {
    try await blocking.run { [self] in
      try read { database in
        try ImageTable.images(database).compactMap { row in
          // One image whose documents are lost must not hide the others.
          do {
            return try load(row.id, database)
          } catch {
            logger.error("image \(row.id.short) cannot be read: \(error)")
            return nil
          }
        }
      }
    }
  }

  static func noSuchImage(_ text: String) -> ApusError {
    let name = (try? Reference(parsing: text))?.withDefaultTag.familiar ?? text
    return ApusError(.notFound, "No such image: \(name)")
  }

  /// The ID of the image that `text` means, nil if there is none.
  static func find(_ text: String, _ database: Database) throws -> Digest? {
    if let id = Digest(text) { return try ImageTable.image(id, database)?.id }
    let digits = text.hasPrefix("sha256:") ? String(text.dropFirst(7)) : text
    let mayBeID =
      (1...64).contains(digits.utf8.count)
      && digits.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
      }
    do {
      let reference = try Reference(parsing: text)
      if let id = try ImageTable.imageID(named: storedName(reference), database) { return id }
    } catch let error as ApusError {
      guard mayBeID else { throw error }
    }
    guard mayBeID else { return nil }
    let found = try ImageTable.imageIDs(prefix: digits, database)
    guard found.count < 2 else {
      throw ApusError(.notFound, "No such image: \(text): the ID is ambiguous, give more of its digits")
    }
    return found.first
  }

  /// The name under which a reference is kept. A digest says all, whatever tag stands before it.
  static func storedName(_ reference: Reference) -> String {
    if let digest = reference.digest { return reference.with(digest: digest).canonical }
    return reference.withDefaultTag.canonical
  }

  /// An image with its documents; nil if it is gone.
  func load(_ id: Digest, _ database: Database) throws -> Image? {
    guard let row = try ImageTable.image(id, database) else { return nil }
    let names = try ImageTable.names(of: id, database).compactMap { try? Reference(parsing: $0) }
    let sizes = try ImageTable.content(of: id, database)
    let config = try ImageConfiguration(json: content.read(id))
    let layers = config.rootfs.diffIDs
    let layerSizes = layers.map { sizes[.layer($0)] ?? 0 }
    return Image(
      id: id, manifestDigest: row.manifest, references: names.filter { $0.digest == nil }.map(\.familiar).sorted(),
      repoDigests: names.filter { $0.digest != nil }.map(\.familiar).sorted(), config: config,
      manifest: try Manifest(json: content.read(row.manifest)), created: config.created.flatMap(RFC3339.date),
      added: row.added, size: layerSizes.reduce(0, +), layers: layers, layerSizes: layerSizes)
  }

  // MARK: What the operations share

  func read<Result>(_ body: (Database) throws -> Result) throws -> Result {
    do {
      return try database.read(body)
    } catch let error as DatabaseError {
      throw Self.databaseError(error)
    }
  }

  /// One transaction; forgets what is cached.
  func write<Result>(_ body: (Database) throws -> Result) throws -> Result {
    defer {
      cache.withLock { cache in
        cache.generation += 1
        cache.images.removeAll(keepingCapacity: true)
      }
    }
    do {
      return try database.write(body)
    } catch let error as DatabaseError {
      throw Self.databaseError(error)
    }
  }

  private static func databaseError(_ error: DatabaseError) -> ApusError {
    ApusError(
      error.resultCode == .SQLITE_FULL ? .resourceExhausted : .internal,
      "the state database refused: \(error.message ?? "no reason given")", cause: error)
  }

  func instanceUses() async -> [ImageUse] { await uses() }

  func event(_ action: String, _ subject: String, name: String? = nil) {
    publish(
      EngineEvent(
        kind: "image", action: action, subject: subject, attributes: name.map { ["name": $0] } ?? [:], time: Date()))
  }

  /// A progress stream over `body`. Abandoning the stream cancels `body`.
  func progress(
    _ body: @escaping @Sendable (@escaping @Sendable (TransferProgress) -> Void) async throws -> Void
  ) -> ProgressStream {
    let (stream, continuation) = ProgressStream.makeStream()
    let task = Task {
      do {
        try await body { continuation.yield($0) }
        continuation.finish()
      } catch {
        continuation.finish(throwing: error)
      }
    }
    continuation.onTermination = { if case .cancelled = $0 { task.cancel() } }
    return stream
  }
}
