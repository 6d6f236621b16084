import AsyncHTTPClient
import Errors
import ImageSpec
import NIOCore
import NIOHTTP1

/// A manifest or an index as it came, with the bytes that its digest names.
public struct FetchedManifest: Sendable {
  public enum Content: Sendable {
    case manifest(Manifest)
    case index(Index)
  }
  public var descriptor: Descriptor
  public var bytes: [UInt8]
  public var content: Content
}

/// What a reference came to on one platform.
public struct FetchedImage: Sendable {
  /// What the reference named directly: an index, or the manifest itself. Its digest is what pins the reference.
  public var named: Descriptor
  public var manifest: Manifest
  public var descriptor: Descriptor
  public var bytes: [UInt8]
}

extension RegistryClient {
  // MARK: Manifests

  /// The manifest that a reference names; `docker.io/x` without tag and digest means `latest`.
  /// - Throws: `notFound`, `permissionDenied`, `unavailable`, `resourceExhausted` (rate limit), `invalidArgument` for
  ///   a document that is none or does not match its digest.
  public func manifest(_ reference: Reference) async throws -> FetchedManifest {
    let reference = reference.withDefaultTag
    return try await fromFirst(reference) { place in
      let request = Self.manifestRequest(.GET, reference, at: place)
      let response = try await place.transport.send(request)
      let host = place.transport.host
      let bytes = try await body(response, limit: configuration.manifestLimit, subject: request.subject, at: host)
      let digest = ContentHash.digest(of: bytes, algorithm: reference.digest?.algorithm ?? .sha256)
      if let wanted = reference.digest, wanted != digest {
        throw ApusError(
          .invalidArgument, "\(host) sent a manifest for \(reference.familiar) that does not match that digest")
      }
      let (type, content) = try ManifestReader.read(bytes, contentType: Self.mediaType(response), of: reference)
      return FetchedManifest(
        descriptor: Descriptor(mediaType: type, digest: digest, size: Int64(bytes.count)), bytes: bytes,
        content: content)
    }
  }

  /// What a reference names, without getting it: type, digest and size as the registry says; nil when it has none.
  ///
  /// Nothing of it is verified: use it to see whether something is there, or has changed.
  public func head(_ reference: Reference) async throws -> Descriptor? {
    let reference = reference.withDefaultTag
    return try await fromFirst(reference) { place in
      let response: HTTPClientResponse
      do {
        response = try await place.transport.answer(Self.manifestRequest(.HEAD, reference, at: place))
      } catch let refused as RefusedRequest {
        // A mirror's ignorance is no answer.
        guard refused.status == 404, !place.isMirror else { throw refused.error }
        return nil
      }
      _ = await Transport.complaint(response)
      let said = response.headers.first(name: "docker-content-digest").flatMap { Digest($0) }
      guard let digest = said ?? reference.digest,
        let size = response.headers.first(name: "content-length").flatMap({ Int64($0) }), size >= 0
      else { return try await manifest(reference).descriptor }
      return Descriptor(mediaType: Self.mediaType(response) ?? "", digest: digest, size: size)
    }
  }

  /// The one manifest that a reference means on `platform`: an index is followed, at most two deep.
  /// - Throws: as ``manifest(_:)``; `notFound` when nothing is offered for the platform.
  public func image(_ reference: Reference, platform: Platform) async throws -> FetchedImage {
    let first = try await manifest(reference)
    var current = first
    for _ in 0..<3 {
      switch current.content {
      case .manifest(let manifest):
        return FetchedImage(
          named: first.descriptor, manifest: manifest, descriptor: current.descriptor, bytes: current.bytes)
      case .index(let index):
        guard let chosen = index.manifest(for: platform) else {
          let offered = Set(index.manifests.compactMap(\.platform).filter { $0.os != "unknown" }.map(\.description))
          throw ApusError(
            .notFound,
            "no matching manifest for \(platform) in the manifest list entries: \(reference.familiar) is offered for "
              + (offered.isEmpty ? "no platform" : offered.sorted().prefix(20).joined(separator: ", ")))
        }
        current = try await manifest(reference.with(digest: chosen.digest))
      }
    }
    throw ApusError(.invalidArgument, "the index of \(reference.familiar) is nested too deeply")
  }

  private static func manifestRequest(_ method: HTTPMethod, _ reference: Reference, at place: Place) -> RegistryRequest
  {
    let name = reference.digest?.description ?? reference.tag ?? Reference.defaultTag
    var request = RegistryRequest(
      method: method, path: "\(place.repository)/manifests/\(name)", scope: place.pullScope,
      subject: .manifest(reference))
    request.headers = [("accept", MediaType.manifestsAndIndexes.joined(separator: ", "))]
    return request
  }

  private static func mediaType(_ response: HTTPClientResponse) -> String? {
    response.headers.first(name: "content-type").map { $0.prefix { $0 != ";" }.filter { $0 != " " }.lowercased() }
  }

  // MARK: Blobs

  /// A small blob, whole and verified.
  public func blob(_ descriptor: Descriptor, of reference: Reference, limit: Int? = nil) async throws -> [UInt8] {
    let limit = limit ?? configuration.configurationLimit
    guard descriptor.size <= limit else {
      throw ApusError(
        .invalidArgument,
        "blob \(descriptor.digest.short) of \(reference.familiar) has \(descriptor.size) bytes, more than the "
          + "\(limit) that are accepted")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(descriptor.size))
    for try await chunk in stream(descriptor, of: reference) { bytes += chunk.readableBytesView }
    guard ContentHash.digest(of: bytes, algorithm: descriptor.digest.algorithm) == descriptor.digest else {
      throw ApusError(
        .invalidArgument,
        "\(domain) sent a blob of \(reference.familiar) that does not match its digest "
          + descriptor.digest.short)
    }
    return bytes
  }

  /// The bytes of a blob from `offset` on, read at the consumer's pace. A connection that breaks is replaced by one
  /// that goes on where it stopped, a mirror that fails by the next. Large blobs come in several ranges at once. Exactly
  /// the descriptor's size is delivered, or an error; the digest is the consumer's to verify, who passes over the bytes
  /// anyway.
  public func stream(_ descriptor: Descriptor, of reference: Reference, from offset: Int64 = 0) -> BlobStream {
    BlobStream(client: self, descriptor: descriptor, reference: reference, offset: offset)
  }
}
