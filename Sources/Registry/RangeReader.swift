import AsyncHTTPClient
import Errors
import ImageSpec
import NIOCore
import NIOHTTP1

/// Reads `position ..< end` of a blob over one connection at a time. A connection that breaks is replaced by one that
/// goes on where it stopped; when a place has failed for good, the next one goes on.
struct RangeReader {
  let descriptor: Descriptor
  let reference: Reference
  private(set) var places: ArraySlice<RegistryClient.Place>
  private let client: RegistryClient
  private(set) var position: Int64
  private(set) var end: Int64
  private var body: HTTPClientResponse.Body.AsyncIterator?
  /// Bytes of a chunk that overlapped what was known already.
  private var rest: ByteBuffer?
  /// A range was asked for, and all of the blob came.
  private var sendsAll = false
  /// Connections lost without a byte in between.
  private var failures = 0

  init(
    client: RegistryClient, descriptor: Descriptor, reference: Reference, places: ArraySlice<RegistryClient.Place>,
    range: Range<Int64>
  ) {
    self.client = client
    self.descriptor = descriptor
    self.reference = reference
    self.places = places
    position = range.lowerBound
    end = range.upperBound
  }

  private var subject: Subject { .blob(descriptor.digest, reference) }
  private var isWhole: Bool { end == descriptor.size }

  /// The next bytes, nil at the end of the range.
  mutating func next() async throws -> ByteBuffer? {
    while true {
      try Task.checkCancellation()
      if body == nil {
        guard position < end || descriptor.size == 0 && failures == 0 else { return nil }
        try await open()
      }
      let lost: any Error
      do {
        if var chunk = try await read() {
          guard chunk.readableBytes > 0 else { continue }
          position += Int64(chunk.readableBytes)
          failures = 0
          if position > end, sendsAll, !isWhole {
            chunk.moveWriterIndex(to: chunk.writerIndex - Int(position - end))
            position = end
            body = nil
          }
          guard position <= end else {
            throw ApusError(
              .invalidArgument, "\(host) sent more bytes for \(subject.text) than its descriptor says")
          }
          return chunk
        }
        if position == end { return nil }
        lost = ApusError(
          .unavailable, "\(host) sent only \(position) of \(descriptor.size) bytes of \(subject.text)")
      } catch let error as ApusError {
        throw error
      } catch {
        lost = subject.failure(error, at: host)
        if lost is CancellationError { throw lost }
      }
      body = nil
      failures += 1
      if failures > client.configuration.retries || descriptor.size == 0 { try giveUp(lost) }
      try await Task.sleep(for: Transport.pause(client.configuration.retryDelay, attempt: failures - 1))
    }
  }

  /// Takes over the whole blob after all: the other side knows no ranges. Before the first byte.
  mutating func widen() { end = descriptor.size }

  /// Makes the first connection.
  /// - Returns: whether the other side gave the range that it was asked for.
  mutating func begin() async throws -> Bool {
    try await open() == .partialContent
  }

  private var host: String { places.first?.transport.host ?? reference.domain }

  private mutating func read() async throws -> ByteBuffer? {
    if let rest {
      self.rest = nil
      return rest
    }
    var iterator = body
    let chunk = try await iterator?.next()
    body = iterator
    return chunk
  }

  /// Leaves a place that has failed for good.
  /// - Throws: `error` where there is no other.
  private mutating func giveUp(_ error: any Error) throws {
    guard let place = places.first, places.count > 1, !(error is CancellationError) else { throw error }
    client.note(error, of: place, reference)
    places.removeFirst()
    failures = 0
  }

  @discardableResult
  private mutating func open() async throws -> HTTPResponseStatus {
    while true {
      guard let place = places.first else {
        throw ApusError(.internal, "\(reference.familiarName) has no registry")
      }
      do {
        return try await open(at: place)
      } catch {
        try Task.checkCancellation()
        try giveUp(error)
      }
    }
  }

  private mutating func open(at place: RegistryClient.Place) async throws -> HTTPResponseStatus {
    var request = RegistryRequest(
      path: "\(place.repository)/blobs/\(descriptor.digest)", scope: place.pullScope, subject: subject)
    if !isWhole {
      request.headers.append(("range", "bytes=\(position)-\(end - 1)"))
    } else if position > 0 {
      request.headers.append(("range", "bytes=\(position)-"))
    }
    let response = try await place.transport.send(request)
    var iterator = response.body.makeAsyncIterator()
    defer { body = iterator }
    sendsAll = response.status != .partialContent
    if response.status == .partialContent {
      guard response.headers.first(name: "content-range")?.hasPrefix("bytes \(position)-") ?? true else {
        throw ApusError(.unavailable, "\(place.transport.host) resumed \(subject.text) at the wrong place")
      }
      return response.status
    }
    // No ranges here: what is known already is read again and dropped.
    var skip = position
    while skip > 0 {
      let chunk: ByteBuffer?
      do {
        chunk = try await iterator.next()
      } catch {
        throw subject.failure(error, at: place.transport.host)
      }
      guard var chunk else {
        throw ApusError(.unavailable, "\(place.transport.host) cannot resume \(subject.text)")
      }
      let known = Int(min(skip, Int64(chunk.readableBytes)))
      chunk.moveReaderIndex(forwardBy: known)
      skip -= Int64(known)
      if chunk.readableBytes > 0 { rest = chunk }
    }
    return response.status
  }
}
