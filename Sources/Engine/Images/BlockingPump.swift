import ImageSpec
import Layers
import NIOCore

/// Carries a stream's bytes to something that may block (a layer's ingest, an archive's reader) on a thread for that:
/// while one piece is decompressed, hashed and written there, the next one arrives. At most two pieces are in memory.
///
/// Used by one task.
struct BlockingPump: ~Copyable {
  private let blocking: BlockingPool
  private let consume: @Sendable (UnsafeRawBufferPointer) throws -> Void
  private var gathered: [ByteBuffer] = []
  private var size = 0
  private var running: Task<Void, any Error>?
  /// Bytes taken so far.
  private(set) var position: Int64 = 0

  private static let piece = 1 << 20

  init(on blocking: BlockingPool, consume: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void) {
    self.blocking = blocking
    self.consume = consume
  }

  mutating func write(_ buffer: ByteBuffer) async throws {
    gathered.append(buffer)
    size += buffer.readableBytes
    position += Int64(buffer.readableBytes)
    if size >= Self.piece { try await flush() }
  }

  /// Returns when everything was consumed.
  consuming func finish() async throws {
    try await flush()
    try await running?.value
    running = nil
  }

  /// Returns when nothing is being consumed any more.
  consuming func stop() async {
    _ = await running?.result
    running = nil
  }

  private mutating func flush() async throws {
    try await running?.value
    running = nil
    guard !gathered.isEmpty else { return }
    let pieces = gathered
    gathered.removeAll(keepingCapacity: true)
    size = 0
    let consume = consume
    let blocking = blocking
    running = Task {
      try await blocking.run {
        for piece in pieces { try piece.withUnsafeReadableBytes { try consume($0) } }
      }
    }
  }
}

extension ImageService {
  /// Hands all of `bytes` to `consume`, on a thread that may block. When it throws, `consume` is not running any more.
  func pump<Source: AsyncSequence>(
    _ bytes: Source, report: (Int64) -> Void = { _ in },
    into consume: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void
  ) async throws where Source.Element == ByteBuffer {
    var pump = BlockingPump(on: blocking, consume: consume)
    do {
      for try await buffer in bytes {
        try await pump.write(buffer)
        report(pump.position)
      }
      try Task.checkCancellation()
    } catch {
      await pump.stop()
      throw error
    }
    try await pump.finish()
  }

  /// Ingests all of `bytes` as one layer. On any error, cancellation included, nothing stays behind.
  func ingest<Source: AsyncSequence>(
    _ bytes: Source, with ingest: LayerIngest, report: (Int64) -> Void = { _ in }
  ) async throws -> IngestedLayer where Source.Element == ByteBuffer {
    do {
      try await pump(bytes, report: report) { try ingest.write($0) }
      return try await blocking.run { try ingest.finish() }
    } catch {
      try? await blocking.run { ingest.abort() }
      throw error
    }
  }

  /// Runs `body` for all of `items`, at most `limit` at a time; the results are in the order of the items.
  func inParallel<Item: Sendable, Result: Sendable>(
    _ items: [Item], limit: Int = ImageService.parallelLayers,
    _ body: @escaping @Sendable (Item) async throws -> Result
  ) async throws -> [Result] {
    try await withThrowingTaskGroup(of: (Int, Result).self) { group in
      var results: [Int: Result] = [:]
      var next = 0
      func start() {
        guard next < items.count else { return }
        let (index, item) = (next, items[next])
        next += 1
        group.addTask { (index, try await body(item)) }
      }
      for _ in 0..<limit { start() }
      while let (index, result) = try await group.next() {
        results[index] = result
        start()
      }
      return items.indices.compactMap { results[$0] }
    }
  }
}
