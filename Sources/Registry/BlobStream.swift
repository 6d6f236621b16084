import Errors
import ImageSpec
import NIOCore

/// A blob's bytes as they arrive; see ``RegistryClient/stream(_:of:from:)``.
public struct BlobStream: AsyncSequence, Sendable {
  public typealias Element = ByteBuffer
  let client: RegistryClient
  let descriptor: Descriptor
  let reference: Reference
  let offset: Int64

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    private enum State {
      case new
      case one(RangeReader)
      case several(ParallelRanges)
    }

    private let stream: BlobStream
    private var state = State.new

    init(stream: BlobStream) { self.stream = stream }

    public mutating func next() async throws -> ByteBuffer? {
      switch state {
      case .new:
        state = try await begin()
        return try await next()
      case .one(var reader):
        // The enumeration keeps no second copy of the reader while it is changed.
        state = .new
        defer { state = .one(reader) }
        return try await reader.next()
      case .several(let ranges):
        return try await ranges.next()
      }
    }

    /// One range at first. Where it is given, others are asked for beside it; where all of the blob comes instead, that
    /// is taken as it is.
    private func begin() async throws -> State {
      let (descriptor, configuration) = (stream.descriptor, stream.client.configuration)
      let places = try stream.client.places(for: stream.reference)
      let parallel =
        descriptor.size - stream.offset >= configuration.parallelThreshold && configuration.parallelRanges > 1
      let end = parallel ? stream.offset + configuration.rangeSize : descriptor.size
      var reader = RangeReader(
        client: stream.client, descriptor: descriptor, reference: stream.reference, places: places[...],
        range: stream.offset..<end)
      guard parallel else { return .one(reader) }
      if try await reader.begin() { return .several(ParallelRanges(stream: stream, first: reader)) }
      reader.widen()
      return .one(reader)
    }
  }
}
