import Errors
import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdCore
import ImageSpec
import Linux
import NIOCore
import NIOPosix

extension RegistryResources {
  /// `/v2/<name>/blobs/<digest>`
  func blob(_ call: Call, _ name: String, _ text: String) async throws -> Response {
    guard let digest = Digest(text) else { throw Problem.invalidDigest }
    switch call.method {
    case .get, .head: return try await getBlob(call, name, digest)
    case .delete:
      guard try await metadata.removeBlob(digest, of: name) else { throw try await unknownBlob(digest, name) }
      return .empty(.accepted)
    default: throw Problem.wrongMethod("GET, HEAD, DELETE")
    }
  }

  private func unknownBlob(_ digest: Digest, _ name: String) async throws -> Problem {
    guard try await metadata.hasRepository(name) else { return .unknownName(name) }
    return Problem(.notFound, .blobUnknown, "the repository has no blob \(digest)")
  }

  private func getBlob(_ call: Call, _ name: String, _ digest: Digest) async throws -> Response {
    guard let size = try await metadata.blob(digest, of: name) else { throw try await unknownBlob(digest, name) }
    var headers: HTTPFields = [
      .contentType: "application/octet-stream", .contentDigest: digest.description, .acceptRanges: "bytes",
      .eTag: "\"\(digest)\"", .cacheControl: "max-age=31536000",
    ]
    if call.headers[.ifNoneMatch] == "\"\(digest)\"" { return Response(status: .notModified, headers: headers) }
    // A range of other content than the client has a part of would be useless: it gets all.
    let condition = call.headers[.ifRange]
    let asked = condition == nil || condition == "\"\(digest)\"" ? call.headers[.range] : nil
    var range = 0..<size
    var status = HTTPResponse.Status.ok
    switch ByteRange(call.method == .get ? asked : nil, size: size) {
    case .whole: break
    case .part(let part):
      range = part
      status = .partialContent
      headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(size)"
    case .unsatisfiable:
      throw Problem(.rangeNotSatisfiable, .sizeInvalid, "the blob has \(size) bytes")
        .with(.contentRange, "bytes */\(size)")
    }
    // Opened before it is promised: a blob that is deleted meanwhile is still sent whole.
    let file = BlobFile(try content.open(digest))
    return Response(
      status: status, headers: headers,
      body: ResponseBody(contentLength: Int(range.upperBound - range.lowerBound)) { [range] writer in
        try await file.send(range, to: &writer)
      })
  }
}

/// A blob that is being sent; its descriptor is closed with the answer.
private final class BlobFile: Sendable {
  private static let pieceSize: Int64 = 256 << 10
  private let descriptor: OwnedDescriptor

  init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }

  /// At the client's pace: a piece is read when the one before it has been taken.
  func send(_ range: Range<Int64>, to writer: inout any ResponseBodyWriter) async throws {
    var position = range.lowerBound
    while position < range.upperBound {
      let (offset, count) = (position, Int(min(Self.pieceSize, range.upperBound - position)))
      let piece = try await NIOThreadPool.singleton.runIfActive { [self] in try read(count, at: offset) }
      guard piece.readableBytes > 0 else { throw ApusError(.internal, "a blob is shorter than its size") }
      position += Int64(piece.readableBytes)
      try await writer.write(piece)
    }
    try await writer.finish(nil)
  }

  private func read(_ count: Int, at offset: Int64) throws -> ByteBuffer {
    var buffer = ByteBufferAllocator().buffer(capacity: count)
    try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
      while true {
        let got = pread(descriptor.raw, room.baseAddress, count, off_t(offset))
        if got >= 0 { return got }
        guard errno == EINTR else {
          throw ApusError(.internal, "cannot read a blob: \(String(cString: strerror(errno)))")
        }
      }
    }
    return buffer
  }
}
