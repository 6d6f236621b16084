import Errors
import ImageSpec
import NIOCore
import NIOHTTP1

extension RegistryClient {
  // MARK: Blobs

  /// Does the registry have a blob already, in this repository?
  /// - Throws: as pulls do; a blob of another size is `invalidArgument`, for one of the two is not what its digest says.
  public func exists(_ descriptor: Descriptor, of reference: Reference) async throws -> Bool {
    let place = try registry(of: reference)
    do {
      let response = try await place.transport.answer(
        RegistryRequest(
          method: .HEAD, path: "\(place.repository)/blobs/\(descriptor.digest)", scope: place.pushScope,
          subject: .upload(descriptor.digest, reference)))
      _ = await Transport.complaint(response)
      if let text = response.headers.first(name: "content-length"), let size = Int64(text), size != descriptor.size {
        throw ApusError(
          .invalidArgument,
          "\(place.transport.host) has blob \(descriptor.digest.short) with \(size) bytes, not with the "
            + "\(descriptor.size) of its descriptor")
      }
      return true
    } catch let refused as RefusedRequest {
      guard refused.status == 404 else { throw refused.error }
      return false
    }
  }

  /// Asks the registry to take a blob over from another of its repositories (distribution-spec, "Mounting a blob").
  ///
  /// - Returns: false when it has not: upload it then. An upload that the registry opened instead is used for that.
  public func mount(_ descriptor: Descriptor, from source: Reference, to target: Reference) async throws -> Bool {
    let place = try registry(of: target)
    let origin = try registry(of: source)
    guard origin.transport === place.transport, origin.repository != place.repository else { return false }
    let request = RegistryRequest(
      method: .POST,
      path: "\(place.repository)/blobs/uploads/?mount=\(PercentEncoding.encode(descriptor.digest.description))"
        + "&from=\(PercentEncoding.encode(origin.repository))",
      scope: "\(place.pushScope) \(origin.pullScope)", subject: .upload(descriptor.digest, target))
    do {
      let response = try await place.transport.answer(request)
      _ = await Transport.complaint(response)
      if response.status == .created { return true }
      if response.status == .accepted, let url = try? place.transport.location(of: response, to: request) {
        let key = Self.key(place, descriptor)
        openedUploads.withLock { $0[key] = url }
      }
      return false
    } catch let refused as RefusedRequest {
      // It may not read there, or has never heard of mounts: the upload will say what is really wrong.
      guard (400..<500).contains(refused.status), refused.status != 429 else { throw refused.error }
      return false
    }
  }

  /// Uploads a blob: in one request where it is small, else in chunks, which go on where a broken connection stopped.
  ///
  /// - Parameters:
  ///   - source: opened anew for every attempt.
  ///   - progress: bytes that have been handed over; less than before when something is sent again.
  /// - Throws: `permissionDenied`, `unavailable`, `resourceExhausted`; `invalidArgument` when the registry refuses the
  ///   content, or the source has not the descriptor's size.
  public func upload(
    _ descriptor: Descriptor, to reference: Reference, from source: BlobSource,
    progress: @escaping @Sendable (Int64) -> Void = { _ in }
  ) async throws {
    let place = try registry(of: reference)
    let key = Self.key(place, descriptor)
    let opened = openedUploads.withLock { $0.removeValue(forKey: key) }
    var upload = BlobUpload(
      descriptor: descriptor, reference: reference, place: place, source: source, configuration: configuration,
      progress: progress, location: opened)
    try await upload.run()
  }

  private static func key(_ place: Place, _ descriptor: Descriptor) -> String {
    "\(place.transport.host)/\(place.repository)@\(descriptor.digest)"
  }

  // MARK: Manifests

  /// Puts a manifest or an index under a tag, or under its digest where the reference has one.
  ///
  /// Where the manifest has a subject, and the registry does not keep track of that, the list of the subject's referrers
  /// is kept under its tag (distribution-spec, "Referrers Tag Schema").
  /// - Returns: the digest, as computed here.
  /// - Throws: `invalidArgument` when the digest of the reference is another, or the registry refuses the document.
  @discardableResult
  public func put(manifest bytes: [UInt8], mediaType: String, as reference: Reference) async throws -> Digest {
    let reference = reference.withDefaultTag
    let place = try registry(of: reference)
    let digest = ContentHash.digest(of: bytes, algorithm: reference.digest?.algorithm ?? .sha256)
    if let wanted = reference.digest, wanted != digest {
      throw ApusError(.invalidArgument, "the manifest for \(reference.familiar) has digest \(digest)")
    }
    let recorded = try await put(
      bytes, mediaType: mediaType, name: reference.digest?.description ?? reference.tag ?? Reference.defaultTag,
      reference, at: place)
    guard let subject = try? SubjectReader(json: bytes), let named = subject.subject, !recorded else { return digest }
    let entry = Descriptor(
      mediaType: mediaType, digest: digest, size: Int64(bytes.count), annotations: subject.annotations,
      artifactType: subject.type)
    try await addReferrer(entry, to: named.digest, reference, at: place)
    return digest
  }

  /// - Returns: whether the registry has recorded the subject.
  private func put(
    _ bytes: [UInt8], mediaType: String, name: String, _ reference: Reference, at place: Place
  ) async throws -> Bool {
    var request = RegistryRequest(
      method: .PUT, path: "\(place.repository)/manifests/\(name)", scope: place.pushScope, subject: .push(reference))
    request.headers = [("content-type", mediaType)]
    request.body = { .bytes(ByteBuffer(bytes: bytes)) }
    let response = try await place.transport.send(request)
    _ = await Transport.complaint(response)
    return response.headers.contains(name: "oci-subject")
  }

  private func addReferrer(
    _ entry: Descriptor, to subject: Digest, _ reference: Reference, at place: Place
  ) async throws {
    var index = try await referrersTag(of: subject, reference, at: place) ?? Index(manifests: [])
    guard !index.manifests.contains(where: { $0.digest == entry.digest }) else { return }
    guard index.manifests.count < Self.referrersLimit else {
      throw ApusError(.resourceExhausted, "\(reference.familiarName) has too many referrers of \(subject.short)")
    }
    index.manifests.append(entry)
    _ = try await put(
      try index.json(), mediaType: MediaType.index, name: Self.referrersTag(of: subject),
      reference, at: place)
  }
}

/// What a list of referrers says of a manifest (distribution-spec, "Listing Referrers").
private struct SubjectReader: ImageDocument {
  static let documentName = "manifest"

  struct Config: Codable, Sendable { var mediaType: String? }

  var subject: Descriptor?
  var artifactType: String?
  var config: Config?
  var annotations: [String: String]?

  /// An image's configuration tells what it is where nothing else does.
  var type: String? { artifactType.flatMap { $0.isEmpty ? nil : $0 } ?? config?.mediaType }
}
