import AsyncHTTPClient
import Errors
import ImageSpec
import NIOCore
import NIOHTTP1

/// A blob's bytes as they arrive; see ``RegistryClient/stream(_:of:from:)``.
public struct BlobStream: AsyncSequence, Sendable {
  public typealias Element = ByteBuffer
  let transport: Transport
  let descriptor: Descriptor
  let reference: Reference
  let scope: String
  let offset: Int64

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    private let stream: BlobStream
    private var position: Int64
    private var body: HTTPClientResponse.Body.AsyncIterator?
    /// Bytes of a chunk that overlapped what was known already.
    private var rest: ByteBuffer?
    /// Connections lost without a byte in between.
    private var failures = 0

    init(stream: BlobStream) {
      self.stream = stream
      position = stream.offset
    }

    public mutating func next() async throws -> ByteBuffer? {
      let subject = Subject.blob(stream.descriptor.digest, stream.reference)
      while true {
        try Task.checkCancellation()
        if body == nil {
          guard position < stream.descriptor.size || stream.descriptor.size == 0 && failures == 0 else { return nil }
          body = try await open()
        }
        let lost: any Error
        do {
          var chunk = rest
          rest = nil
          if chunk == nil {
            var iterator = body
            chunk = try await iterator?.next()
            body = iterator
          }
          if let chunk {
            guard chunk.readableBytes > 0 else { continue }
            position += Int64(chunk.readableBytes)
            failures = 0
            guard position <= stream.descriptor.size else {
              throw ApusError(
                .invalidArgument,
                "\(stream.reference.domain) sent more bytes for \(subject.text) than its descriptor says")
            }
            return chunk
          }
          if position == stream.descriptor.size { return nil }
          lost = ApusError(
            .unavailable,
            "\(stream.reference.domain) sent only \(position) of \(stream.descriptor.size) bytes of "
              + subject.text)
        } catch let error as ApusError {
          throw error
        } catch {
          lost = subject.failure(error)
          if lost is CancellationError { throw lost }
        }
        body = nil
        failures += 1
        guard failures <= stream.transport.configuration.retries, stream.descriptor.size > 0 else { throw lost }
        try await Task.sleep(for: .milliseconds(stream.transport.configuration.retryDelay << Int64(failures - 1)))
      }
    }

    private mutating func open() async throws -> HTTPClientResponse.Body.AsyncIterator {
      var request = RegistryRequest(
        path: "\(stream.reference.path)/blobs/\(stream.descriptor.digest)", scope: stream.scope,
        subject: .blob(stream.descriptor.digest, stream.reference))
      if position > 0 { request.headers.append(("range", "bytes=\(position)-")) }
      let response = try await stream.transport.send(request)
      var iterator = response.body.makeAsyncIterator()
      guard position > 0 else { return iterator }
      if response.status == .partialContent {
        guard response.headers.first(name: "content-range")?.hasPrefix("bytes \(position)-") ?? true else {
          throw ApusError(.unavailable, "\(stream.reference.domain) resumed \(request.subject.text) at the wrong place")
        }
        return iterator
      }
      // No ranges here: what is known already is read again and dropped.
      var skip = position
      while skip > 0 {
        guard var chunk = try await iterator.next() else {
          throw ApusError(.unavailable, "\(stream.reference.domain) cannot resume \(request.subject.text)")
        }
        let known = Int(Swift.min(skip, Int64(chunk.readableBytes)))
        chunk.moveReaderIndex(forwardBy: known)
        skip -= Int64(known)
        if chunk.readableBytes > 0 { rest = chunk }
      }
      return iterator
    }
  }
}
