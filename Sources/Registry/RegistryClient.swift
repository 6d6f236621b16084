import AsyncHTTPClient
import Errors
import ImageSpec
import Logging
import NIOCore

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

/// A client of one registry for one operation (OCI distribution-spec 1.1, "Pull").
///
/// Make one, use it, `shutdown()` it: connections and TLS state live only as long, so that an idle daemon holds none.
public final class RegistryClient: Sendable {
  private let transport: Transport
  private let configuration: RegistryConfiguration
  private let domain: String

  public init(
    domain: String, credentials: RegistryCredentials? = nil,
    configuration: RegistryConfiguration = .fromEnvironment, logger: Logger
  ) {
    self.domain = domain
    self.configuration = configuration
    transport = Transport(
      endpoint: Endpoint(domain: domain, configuration: configuration), configuration: configuration,
      credentials: credentials, logger: logger)
  }

  public func shutdown() async { await transport.shutdown() }

  /// Do the credentials open this registry? (`docker login`'s question.)
  /// - Throws: `permissionDenied` if not.
  public func checkCredentials() async throws {
    let response = try await transport.send(
      RegistryRequest(path: "", scope: "", subject: .service(domain)))
    _ = try? await response.body.collect(upTo: 64 << 10)
  }

  // MARK: Manifests

  /// The manifest that a reference names; `docker.io/x` without tag and digest means `latest`.
  /// - Throws: `notFound`, `permissionDenied`, `unavailable`, `resourceExhausted` (rate limit), `invalidArgument` for
  ///   a document that is none or does not match its digest.
  public func manifest(_ reference: Reference) async throws -> FetchedManifest {
    let reference = reference.withDefaultTag
    let name = reference.digest?.description ?? reference.tag ?? Reference.defaultTag
    let request = RegistryRequest(
      path: "\(reference.path)/manifests/\(name)",
      headers: [("accept", MediaType.manifestsAndIndexes.joined(separator: ", "))],
      scope: Self.scope(reference), subject: .manifest(reference))
    let response = try await transport.send(request)
    let bytes = try await body(response, limit: configuration.manifestLimit, subject: request.subject)
    let digest = ContentHash.digest(of: bytes, algorithm: reference.digest?.algorithm ?? .sha256)
    if let wanted = reference.digest, wanted != digest {
      throw ApusError(
        .invalidArgument, "\(domain) sent a manifest for \(reference.familiar) that does not match that digest")
    }
    let said = response.headers.first(name: "content-type").map {
      $0.prefix { $0 != ";" }.filter { $0 != " " }.lowercased()
    }
    let (type, content) = try ManifestReader.read(bytes, contentType: said, of: reference)
    return FetchedManifest(
      descriptor: Descriptor(mediaType: type, digest: digest, size: Int64(bytes.count)), bytes: bytes, content: content)
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
  /// that goes on where it stopped. Exactly the descriptor's size is delivered, or an error; the digest is the
  /// consumer's to verify, who passes over the bytes anyway.
  public func stream(_ descriptor: Descriptor, of reference: Reference, from offset: Int64 = 0) -> BlobStream {
    BlobStream(
      transport: transport, descriptor: descriptor, reference: reference, scope: Self.scope(reference), offset: offset)
  }

  private func body(_ response: HTTPClientResponse, limit: Int, subject: Subject) async throws -> [UInt8] {
    do {
      return Array(try await response.body.collect(upTo: limit).readableBytesView)
    } catch is NIOTooManyBytesError {
      throw ApusError(.invalidArgument, "\(domain) sent more than \(limit) bytes for \(subject.text)")
    } catch {
      throw subject.failure(error)
    }
  }

  private static func scope(_ reference: Reference) -> String { "repository:\(reference.path):pull" }
}
