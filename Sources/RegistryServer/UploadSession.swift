import Errors
import Glibc
import ImageSpec
import Layers
import NIOCore
import NIOPosix

/// One blob that is being pushed: bytes are appended as they arrive, by one request at a time.
actor UploadSession {
  nonisolated let identifier: String
  nonisolated let repository: String
  private let content: ContentStore
  private var writer: BlobWriter
  private var algorithm: Digest.Algorithm
  private var isBusy = false
  private var isClosed = false
  /// Seconds of the monotonic clock: when it was used last.
  private var used = UploadSession.now

  /// Bytes that are collected before they are written: one hand-over to the file threads is dearer than a copy.
  private static let pieceSize = 512 << 10

  init(
    identifier: String, repository: String, content: ContentStore, algorithm: Digest.Algorithm
  ) throws(ApusError) {
    self.identifier = identifier
    self.repository = repository
    self.content = content
    self.algorithm = algorithm
    writer = try BlobWriter(store: content, algorithm: algorithm)
  }

  /// Bytes so far.
  var size: Int64 { writer.size }

  /// Has nobody used it for that long?
  func isOlder(than seconds: Int64) -> Bool { !isBusy && Self.now - used > seconds }

  static var now: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec)
  }

  /// Appends a request's body. What arrives before a connection breaks is kept.
  ///
  /// - Parameter range: what the body is, as the request says.
  /// - Throws: ``Problem``: 416 when it does not begin where the upload is, or another request is under way.
  func append(_ body: some AsyncSequence<ByteBuffer, any Error> & Sendable, range: ChunkRange?) async throws {
    guard !isBusy, !isClosed else { throw outOfOrder("another request of the upload is under way") }
    if let range, range.start != size { throw outOfOrder("the upload is at byte \(size)") }
    isBusy = true
    defer {
      isBusy = false
      used = Self.now
    }
    let start = size
    var pending = ByteBuffer()
    do {
      for try await piece in body {
        var piece = piece
        used = Self.now
        if let range, size - start + Int64(pending.readableBytes + piece.readableBytes) > range.count {
          throw Problem(.badRequest, .sizeInvalid, "the chunk is longer than its Content-Range")
        }
        pending.writeBuffer(&piece)
        if pending.readableBytes >= Self.pieceSize {
          try await write(pending)
          pending.clear()
        }
      }
    } catch {
      try await write(pending)
      throw error
    }
    try await write(pending)
  }

  /// Completes it and gives it to its repository. It is closed, whatever comes of it.
  ///
  /// - Throws: ``Problem``: `DIGEST_INVALID` when the content is not what `digest` says.
  func finish(as digest: Digest, in metadata: Metadata) async throws {
    guard !isBusy, !isClosed else { throw outOfOrder("another request of the upload is under way") }
    isClosed = true
    do {
      guard digest.algorithm != algorithm else { return try await metadata.add(writer, as: digest, to: repository) }
      let (copy, other) = try await rehashed(with: digest.algorithm)
      // Under its other name it is kept only where somebody else has it.
      defer { metadata.discardLater(other) }
      try await metadata.add(copy, as: digest, to: repository)
    } catch let error as ApusError where error.code == .invalidArgument {
      throw Problem(.badRequest, .digestInvalid, "the content is not that of \(digest)")
    }
  }

  /// Before the first byte: hashes with what the blob will be named by.
  func use(_ algorithm: Digest.Algorithm) throws {
    guard size == 0, !isBusy, algorithm != self.algorithm else { return }
    writer = try BlobWriter(store: content, algorithm: algorithm)
    self.algorithm = algorithm
  }

  func close() {
    isClosed = true
    writer.abort()
  }

  private func write(_ bytes: ByteBuffer) async throws {
    guard bytes.readableBytes > 0 else { return }
    let writer = writer
    try await NIOThreadPool.singleton.runIfActive { try bytes.withUnsafeReadableBytes { try writer.write($0) } }
  }

  /// The same bytes under another hash. A client that says only at its end which one it wants pays for it with a copy.
  private func rehashed(with algorithm: Digest.Algorithm) async throws -> (writer: BlobWriter, other: Digest) {
    let (content, writer) = (content, writer)
    return try await NIOThreadPool.singleton.runIfActive {
      let copy = try BlobWriter(store: content, algorithm: algorithm)
      let digest = try writer.commit().digest
      let file = try content.open(digest)
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
      defer { buffer.deallocate() }
      while true {
        let count = read(file.raw, buffer.baseAddress, buffer.count)
        guard count >= 0 else { throw ApusError(.internal, "cannot read content \(digest) again") }
        guard count > 0 else { return (copy, digest) }
        try copy.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
    }
  }

  private func outOfOrder(_ why: String) -> Problem {
    Problem(.rangeNotSatisfiable, .blobUploadInvalid, "the chunk is out of order: \(why)")
  }
}
