import Errors
import ImageSpec
import Registry

/// One entry of a list to be pushed.
public struct ListedManifest: Sendable {
  /// Where it is: a repository of the list's registry.
  public var reference: Reference
  /// With the platform that the list is to tell.
  public var descriptor: Descriptor
  public var bytes: [UInt8]

  public init(reference: Reference, descriptor: Descriptor, bytes: [UInt8]) {
    self.reference = reference
    self.descriptor = descriptor
    self.bytes = bytes
  }
}

extension ImageService {
  /// Makes an index of manifests and pushes it (`docker manifest push`). Manifests of other repositories of the same
  /// registry are brought into the list's: blobs are mounted, or copied where the registry does not mount.
  ///
  /// The last message carries what was pushed. Every message without an ID is a line for the user.
  /// - Throws: (in the stream) `invalidArgument` for manifests without a platform, of another registry, or that do not
  ///   match their digest.
  public func pushList(
    _ name: String, of manifests: [ListedManifest], credentials: RegistryCredentials? = nil,
    configuration: RegistryConfiguration? = nil, insecure: Bool = false
  ) -> ProgressStream {
    progress { [self] report in
      let target = try Reference(parsing: name).withDefaultTag
      guard target.digest == nil else { throw ApusError(.invalidArgument, "cannot push a digest reference") }
      let index = try Self.index(of: manifests, for: target)
      let bytes = try index.json()
      try await withClient(
        target.domain, credentials: credentials, configuration: configuration, insecure: insecure
      ) { client in
        for manifest in manifests {
          let place = target.with(digest: manifest.descriptor.digest)
          if try await client.head(place) == nil {
            try await bring(manifest, to: place, client)
          }
          report(
            TransferProgress(
              status: "Pushed ref \(place.canonical) with digest: \(manifest.descriptor.digest)"))
        }
        let digest = try await client.put(
          manifest: bytes, mediaType: index.mediaType ?? MediaType.index, as: target)
        var result = TransferProgress(status: "")
        result.pushed = PushedManifest(
          tag: target.tag ?? Reference.defaultTag, digest: digest, size: Int64(bytes.count))
        report(result)
      }
    }
  }

  private static func index(of manifests: [ListedManifest], for target: Reference) throws -> Index {
    guard !manifests.isEmpty, manifests.count <= ImageTarget.documentLimit else {
      throw ApusError(.invalidArgument, "a manifest list needs manifests: give at least one")
    }
    for manifest in manifests {
      guard manifest.reference.domain == target.domain else {
        throw ApusError(
          .invalidArgument,
          "cannot use source images from a different registry than the target image: \(manifest.reference.domain) != "
            + target.domain)
      }
      guard let platform = manifest.descriptor.platform, !platform.os.isEmpty, !platform.architecture.isEmpty else {
        throw ApusError(
          .invalidArgument,
          "manifest \(manifest.reference.familiar) must have an OS and Architecture to be pushed to a registry")
      }
      let digest = manifest.descriptor.digest
      guard ContentHash.digest(of: manifest.bytes, algorithm: digest.algorithm) == digest else {
        throw ApusError(
          .invalidArgument, "manifest \(manifest.reference.familiar) does not match its digest \(digest.short)")
      }
    }
    // As docker does: the family of the first decides.
    let isOCI = manifests[0].descriptor.mediaType == MediaType.manifest
    return Index(
      mediaType: isOCI ? MediaType.index : MediaType.dockerManifestList,
      manifests: manifests.map { manifest in
        Descriptor(
          mediaType: manifest.descriptor.mediaType, digest: manifest.descriptor.digest,
          size: Int64(manifest.bytes.count), platform: manifest.descriptor.platform)
      })
  }

  /// Puts a manifest, and before it its blobs, into the list's repository.
  private func bring(_ manifest: ListedManifest, to place: Reference, _ client: RegistryClient) async throws {
    let document = try ImageTarget.Document(bytes: manifest.bytes, digest: manifest.descriptor.digest)
    guard case .manifest(let content) = document.kind else {
      throw ApusError(
        .invalidArgument, "\(manifest.reference.familiar) is a manifest list itself: a list is made of manifests")
    }
    let source = manifest.reference
    let parts = [content.config] + content.layers.filter { !$0.isForeign }
    _ = try await inParallel(parts, limit: Self.parallelUploads) { [self] blob in
      if try await client.exists(blob, of: place) { return }
      if source.path != place.path, try await client.mount(blob, from: source, to: place) { return }
      if self.content.size(of: blob.digest) == blob.size {
        let hold = ContentHold([blob.digest], owner: self)
        defer { hold.release() }
        return try await client.upload(blob, to: place, from: .file(self.content.path(for: blob.digest)))
      }
      try await client.upload(
        blob, to: place, from: BlobSource { offset in client.stream(blob, of: source, from: offset) })
    }
    _ = try await client.put(
      manifest: manifest.bytes, mediaType: manifest.descriptor.mediaType, as: place)
  }
}
