import ImageSpec
import Layers
import NIOCore

/// Carries a stream's bytes to a layer's ingest on a thread that may block: while one piece is decompressed, hashed and
/// written there, the next one arrives. At most two pieces are in memory.
///
/// Used by one task.
struct IngestPump: ~Copyable {
  private let ingest: LayerIngest
  private let blocking: BlockingPool
  private var gathered: [ByteBuffer] = []
  private var size = 0
  private var running: Task<Void, any Error>?
  /// Bytes taken so far.
  private(set) var position: Int64 = 0

  private static let piece = 1 << 20

  init(_ ingest: LayerIngest, on blocking: BlockingPool) {
    self.ingest = ingest
    self.blocking = blocking
  }

  mutating func write(_ buffer: ByteBuffer) async throws {
    gathered.append(buffer)
    size += buffer.readableBytes
    position += Int64(buffer.readableBytes)
    if size >= Self.piece { try await flush() }
  }

  /// Everything written and verified; see `LayerIngest.finish()`.
  consuming func finish() async throws -> IngestedLayer {
    try await flush()
    try await running?.value
    running = nil
    let ingest = ingest
    return try await blocking.run { try ingest.finish() }
  }

  /// Nothing stays behind.
  consuming func abort() async {
    _ = await running?.result
    running = nil
    let ingest = ingest
    try? await blocking.run { ingest.abort() }
  }

  private mutating func flush() async throws {
    try await running?.value
    running = nil
    guard !gathered.isEmpty else { return }
    let pieces = gathered
    gathered.removeAll(keepingCapacity: true)
    size = 0
    let ingest = ingest
    let blocking = blocking
    running = Task {
      try await blocking.run {
        for piece in pieces { try piece.withUnsafeReadableBytes { try ingest.write($0) } }
      }
    }
  }
}

extension ImageService {
  /// Ingests all of `bytes` as one layer. On any error, cancellation included, nothing stays behind.
  func ingest<Source: AsyncSequence>(
    _ bytes: Source, with ingest: LayerIngest, report: (Int64) -> Void = { _ in }
  ) async throws -> IngestedLayer where Source.Element == ByteBuffer {
    var pump = IngestPump(ingest, on: blocking)
    do {
      for try await buffer in bytes {
        try await pump.write(buffer)
        report(pump.position)
      }
      try Task.checkCancellation()
    } catch {
      await pump.abort()
      throw error
    }
    return try await pump.finish()
  }
}
