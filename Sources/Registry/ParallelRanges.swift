import Errors
import ImageSpec
import NIOCore

/// A blob in several ranges that are under way at once, delivered in order.
///
/// One long-distance connection is slower than the line. The memory is bounded: no more than
/// ``RegistryConfiguration/parallelRanges`` ranges are begun before the first of them has been consumed.
final class ParallelRanges {
  /// One range as far as it has come.
  private struct Segment {
    var bytes: AsyncThrowingStream<ByteBuffer, any Error>.AsyncIterator
    var task: Task<Void, Never>
  }

  private let stream: BlobStream
  private let places: ArraySlice<RegistryClient.Place>
  /// The range that found out that ranges are given; read at the consumer's pace while the others arrive.
  private var first: RangeReader?
  private var segments: [Segment] = []
  /// Where the first range begins that has not been asked for.
  private var asked: Int64

  init(stream: BlobStream, first: RangeReader) {
    self.stream = stream
    places = first.places
    asked = first.end
    self.first = first
    fill()
  }

  /// Dropped by a consumer that has enough: what is under way ends.
  deinit { for segment in segments { segment.task.cancel() } }

  func next() async throws -> ByteBuffer? {
    if var reader = first {
      let chunk = try await reader.next()
      first = chunk == nil ? nil : reader
      if let chunk { return chunk }
      fill()
    }
    while !segments.isEmpty {
      var bytes = segments[0].bytes
      let chunk = try await bytes.next()
      segments[0].bytes = bytes
      if let chunk { return chunk }
      // A cancelled consumer's stream ends as well.
      try Task.checkCancellation()
      segments.removeFirst()
      fill()
    }
    return nil
  }

  private func fill() {
    let configuration = stream.client.configuration
    while segments.count + (first == nil ? 0 : 1) < configuration.parallelRanges, asked < stream.descriptor.size {
      let end = min(asked + configuration.rangeSize, stream.descriptor.size)
      segments.append(start(asked..<end))
      asked = end
    }
  }

  private func start(_ range: Range<Int64>) -> Segment {
    let (bytes, continuation) = AsyncThrowingStream.makeStream(of: ByteBuffer.self)
    let task = Task { [stream, places] in
      var reader = RangeReader(
        client: stream.client, descriptor: stream.descriptor, reference: stream.reference, places: places, range: range)
      do {
        while let chunk = try await reader.next() { continuation.yield(chunk) }
        continuation.finish()
      } catch {
        continuation.finish(throwing: error)
      }
    }
    return Segment(bytes: bytes.makeAsyncIterator(), task: task)
  }
}
