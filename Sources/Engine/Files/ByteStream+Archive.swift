import Layers
import NIOCore

extension AsyncThrowingStream where Element == ByteBuffer, Failure == any Error {
  /// The bytes of an archive, made as they are asked for, on threads that may block.
  ///
  /// - Parameter root: what the archive is made of; kept until the stream is dropped.
  init(_ archive: TreeArchive, of root: any AnyObject & Sendable, on blocking: BlockingPool) {
    self.init(unfolding: {
      try await blocking.run { () throws -> ByteBuffer? in
        try withExtendedLifetime(root) { try archive.read().map { ByteBuffer(bytes: $0) } }
      }
    })
  }
}

extension TreeExtractor {
  /// How much is gathered before a thread is asked to write it.
  private static var batch: Int { 256 << 10 }

  /// Unpacks all of `stream`. The stream's producer waits while a thread writes.
  func unpack(_ stream: ByteStream, on blocking: BlockingPool) async throws {
    var gathered: [ByteBuffer] = []
    var size = 0
    func flush() async throws {
      let pieces = gathered
      gathered.removeAll(keepingCapacity: true)
      size = 0
      try await blocking.run {
        for piece in pieces { try piece.withUnsafeReadableBytes { try self.write($0) } }
      }
    }
    for try await piece in stream where piece.readableBytes > 0 {
      gathered.append(piece)
      size += piece.readableBytes
      if size >= Self.batch { try await flush() }
    }
    // A stream that is cancelled just ends.
    try Task.checkCancellation()
    try await flush()
    try await blocking.run { try self.finish() }
  }
}
