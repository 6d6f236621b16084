import Errors
import Glibc
import NIOCore
import NIOPosix

/// The bytes of a blob that is to be uploaded, opened anew for every attempt and from where the last one ended.
public struct BlobSource: Sendable {
  /// Bytes in the order of the blob, in pieces of any size.
  public typealias Bytes = any AsyncSequence<ByteBuffer, any Error> & Sendable

  let open: @Sendable (_ offset: Int64) async throws -> Bytes

  /// - Parameter open: gives the blob's bytes from `offset` on; called once for each attempt.
  public init(_ open: @escaping @Sendable (_ offset: Int64) async throws -> Bytes) { self.open = open }

  /// A file that does not change while it is uploaded.
  public static func file(_ path: String) -> BlobSource {
    BlobSource { offset in
      let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
      guard descriptor >= 0 else {
        throw ApusError(.notFound, "cannot open \(path) for the upload: \(String(cString: strerror(errno)))")
      }
      return FileBytes(file: OpenFile(descriptor), path: path, offset: offset)
    }
  }

  /// A small document.
  public static func bytes(_ bytes: [UInt8]) -> BlobSource {
    BlobSource { offset in
      let rest = ByteBuffer(bytes: bytes.dropFirst(Int(offset)))
      return AsyncThrowingStream { continuation in
        if rest.readableBytes > 0 { continuation.yield(rest) }
        continuation.finish()
      }
    }
  }
}

/// A descriptor that is closed with its last user.
private final class OpenFile: Sendable {
  let raw: Int32
  init(_ raw: Int32) { self.raw = raw }
  deinit { close(raw) }
}

/// A file in pieces, read off the cooperative pool.
private struct FileBytes: AsyncSequence, Sendable {
  typealias Element = ByteBuffer
  private static let pieceSize = 256 << 10

  let file: OpenFile
  let path: String
  let offset: Int64

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(bytes: self, position: offset) }

  struct AsyncIterator: AsyncIteratorProtocol {
    let bytes: FileBytes
    var position: Int64

    mutating func next() async throws -> ByteBuffer? {
      let (file, position, path) = (bytes.file, position, bytes.path)
      let piece = try await NIOThreadPool.singleton.runIfActive { () throws -> ByteBuffer in
        var buffer = ByteBufferAllocator().buffer(capacity: FileBytes.pieceSize)
        try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: FileBytes.pieceSize) { room in
          while true {
            let count = pread(file.raw, room.baseAddress, FileBytes.pieceSize, off_t(position))
            if count >= 0 { return count }
            guard errno == EINTR else {
              throw ApusError(.internal, "cannot read \(path) for the upload: \(String(cString: strerror(errno)))")
            }
          }
        }
        return buffer
      }
      guard piece.readableBytes > 0 else { return nil }
      self.position += Int64(piece.readableBytes)
      return piece
    }
  }
}
