import AsyncHTTPClient
import Errors
import ImageSpec
import NIOCore
import NIOHTTP1

/// One blob on its way to a registry (distribution-spec, "Pushing Blobs").
struct BlobUpload {
  let descriptor: Descriptor
  let reference: Reference
  let place: RegistryClient.Place
  let source: BlobSource
  let configuration: RegistryConfiguration
  let progress: @Sendable (Int64) -> Void
  /// Where the next request goes; nil: no upload is open.
  var location: URLParts?
  /// Bytes that the registry has.
  private var offset: Int64 = 0
  /// Bytes that a chunk must have at least, as the registry says.
  private var least: Int64 = 0

  init(
    descriptor: Descriptor, reference: Reference, place: RegistryClient.Place, source: BlobSource,
    configuration: RegistryConfiguration, progress: @escaping @Sendable (Int64) -> Void, location: URLParts?
  ) {
    self.descriptor = descriptor
    self.reference = reference
    self.place = place
    self.source = source
    self.configuration = configuration
    self.progress = progress
    self.location = location
  }

  private var host: String { place.transport.host }
  private var subject: Subject { .upload(descriptor.digest, reference) }
  private var size: Int64 { descriptor.size }

  /// Uploads all of it. What may pass is tried again, from where the registry says that it is.
  mutating func run() async throws {
    var failures = 0
    while true {
      let before = offset
      do {
        if location == nil { try await open() }
        if size <= configuration.monolithicLimit, offset == 0 {
          try await finish(sending: true)
        } else {
          while offset < size { try await sendChunk() }
          try await finish(sending: false)
        }
        progress(size)
        return
      } catch {
        if Task.isCancelled {
          // What is cancelled can send no more: somebody else lets go of the upload.
          await Task.detached { [upload = self] in await upload.cancel() }.value
          throw CancellationError()
        }
        failures = offset > before ? 1 : failures + 1
        guard let failure = Passing(error), failures <= configuration.retries else {
          await cancel()
          throw (error as? RefusedRequest)?.error ?? subject.failure(error, at: host)
        }
        try? await Task.sleep(for: Transport.pause(configuration.retryDelay, attempt: failures - 1))
        // The next request notices.
        if Task.isCancelled { continue }
        if failure == .lost { location = nil } else { await resume() }
        if location == nil { offset = 0 }
      }
    }
  }

  /// What a failure leaves of the upload.
  private enum Passing: Equatable {
    /// The connection broke, or the registry could not just now: it may still have what was sent.
    case broken
    /// The registry does not know the upload any more, or is elsewhere in it.
    case lost

    /// nil: it would only happen again.
    init?(_ error: any Error) {
      switch error {
      case let refused as RefusedRequest:
        guard refused.status == 404 || refused.status == 416 else { return nil }
        self = .lost
      case let error as ApusError:
        guard error.code == .unavailable || error.code == .resourceExhausted else { return nil }
        self = .broken
      default:
        guard Transport.isTransient(error) else { return nil }
        self = .broken
      }
    }
  }

  private mutating func open() async throws {
    var request = RegistryRequest(
      method: .POST, path: "\(place.repository)/blobs/uploads/", scope: place.pushScope, subject: subject)
    request.headers = [("content-length", "0")]
    let response = try await place.transport.answer(request)
    try await take(response, to: request)
    offset = 0
    if let text = response.headers.first(name: "oci-chunk-min-length"), let bytes = Int64(text), bytes > 0 {
      least = bytes
    }
  }

  private mutating func sendChunk() async throws {
    let count = min(max(configuration.uploadChunk, least), size - offset)
    guard var request = request(.PATCH) else { return }
    request.headers = [
      ("content-type", "application/octet-stream"), ("content-range", "\(offset)-\(offset + count - 1)"),
    ]
    request.body = body(count)
    request.repeats = false
    let response = try await place.transport.answer(request)
    try await take(response, to: request)
    // A registry may have taken less than it was given; one that says nothing has taken all.
    offset = Self.received(response).map { min($0, offset + count) } ?? offset + count
  }

  /// The last request, which names the digest; it carries the blob where nothing has been sent yet.
  private mutating func finish(sending: Bool) async throws {
    guard var request = request(.PUT) else { return }
    guard case .url(var url) = request.target else { return }
    url.rest += (url.rest.contains("?") ? "&" : "?") + "digest=" + PercentEncoding.encode(descriptor.digest.description)
    request.target = .url(url)
    request.headers = [("content-type", "application/octet-stream")]
    request.repeats = false
    request.body = sending && size > 0 ? body(size) : { .bytes(ByteBuffer()) }
    let response = try await place.transport.answer(request)
    _ = await Transport.complaint(response)
  }

  /// Asks where the upload is. Without an answer it begins again.
  private mutating func resume() async {
    guard let request = request(.GET), let response = try? await place.transport.answer(request) else {
      location = nil
      return
    }
    let received = Self.received(response) ?? 0
    guard (try? await take(response, to: request)) != nil, received <= size else {
      location = nil
      return
    }
    offset = received
    progress(offset)
  }

  /// Lets go of an upload that will not be finished, so that the registry need not keep it.
  private func cancel() async {
    guard var request = request(.DELETE) else { return }
    request.repeats = false
    if let response = try? await place.transport.answer(request) { _ = await Transport.complaint(response) }
  }

  private func request(_ method: HTTPMethod) -> RegistryRequest? {
    location.map { RegistryRequest(method: method, url: $0, scope: place.pushScope, subject: subject) }
  }

  private mutating func take(_ response: HTTPClientResponse, to request: RegistryRequest) async throws {
    _ = await Transport.complaint(response)
    // An answer about an upload that is under way need not repeat where it is.
    guard location == nil || response.headers.contains(name: "location") else { return }
    location = try place.transport.location(of: response, to: request)
  }

  /// Bytes that a `Range: 0-<last>` header confirms. `0-0` is how registries say that there are none; for the one blob
  /// of which that may be wrong, its first byte is sent twice and refused once.
  private static func received(_ response: HTTPClientResponse) -> Int64? {
    guard let text = response.headers.first(name: "range") else { return nil }
    let parts = text.split(separator: "=").last?.split(separator: "-") ?? []
    guard parts.count == 2, parts[0] == "0", let last = Int64(parts[1]), last >= 0, last < .max else { return nil }
    return last == 0 ? 0 : last + 1
  }

  /// `count` bytes from the offset on, as a body that can be made again.
  private func body(_ count: Int64) -> @Sendable () async throws -> HTTPClientRequest.Body {
    let (source, offset, progress, subject) = (source, offset, progress, subject)
    return {
      func body(_ bytes: some AsyncSequence<ByteBuffer, any Error> & Sendable) -> HTTPClientRequest.Body {
        .stream(
          CountedBytes(base: bytes, offset: offset, count: count, subject: subject, progress: progress),
          length: .known(count))
      }
      return body(try await source.open(offset))
    }
  }
}

/// Exactly as many bytes as a request has announced, counted as they are handed over.
private struct CountedBytes<Base: AsyncSequence & Sendable>: AsyncSequence, Sendable where Base.Element == ByteBuffer {
  typealias Element = ByteBuffer
  let base: Base
  let offset: Int64
  let count: Int64
  let subject: Subject
  let progress: @Sendable (Int64) -> Void

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(bytes: self, base: base.makeAsyncIterator()) }

  struct AsyncIterator: AsyncIteratorProtocol {
    let bytes: CountedBytes
    var base: Base.AsyncIterator
    var sent: Int64 = 0

    mutating func next() async throws -> ByteBuffer? {
      bytes.progress(bytes.offset + sent)
      guard sent < bytes.count else { return nil }
      guard var piece = try await base.next() else {
        throw ApusError(
          .invalidArgument, "\(bytes.subject.text) has fewer bytes than its descriptor says: it is not pushed")
      }
      let left = bytes.count - sent
      if Int64(piece.readableBytes) > left { piece.moveWriterIndex(to: piece.readerIndex + Int(left)) }
      sent += Int64(piece.readableBytes)
      return piece
    }
  }
}
