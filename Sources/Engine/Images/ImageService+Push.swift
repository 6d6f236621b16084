import Errors
import GRDB
import ImageSpec
import Layers
import Registry
import Synchronization

/// What a push has put into a registry; Docker's `PushResult`.
public struct PushedManifest: Sendable, Equatable {
  public var tag: String
  public var digest: Digest
  public var size: Int64
}

/// One name to be pushed, and what it stands for.
private struct PushItem: Sendable {
  var reference: Reference
  var image: Digest
  var target: TransferTarget
}

extension ImageService {
  /// Blobs uploaded at once for one push.
  static let parallelUploads = 4

  /// Sends an image to the registry of its name: the stored manifest, configuration and layers, byte for byte.
  ///
  /// What the registry has already is not sent, what another repository of it has is mounted from there. A name that
  /// stands for an index is pushed as that index when all of it is here or in the registry; otherwise as the manifest
  /// of this image, and a message says so.
  /// - Parameters:
  ///   - text: a name with a tag; one without means `latest`, or with `allTags` every tag of that name.
  ///   - platform: only the manifest for it.
  ///   - configuration: how registries are reached; nil: as the system says.
  /// - Throws: (in the stream) in Docker's words what is missing here, and what the registry refused.
  public func push(
    _ text: String, allTags: Bool = false, platform: String? = nil, credentials: RegistryCredentials? = nil,
    configuration: RegistryConfiguration? = nil
  ) -> ProgressStream {
    progress { [self] report in
      let written = try Reference(parsing: text)
      guard written.digest == nil else {
        throw ApusError(.invalidArgument, "cannot push a digest reference")
      }
      guard !allTags || written.tag == nil else {
        throw ApusError(.invalidArgument, "tag can't be used with --all-tags/-a")
      }
      let wanted = try platform.flatMap { $0.isEmpty ? nil : try Platform(parsing: $0) }
      report(TransferProgress(status: "The push refers to repository [\(written.name)]"))
      let everything = holdEverything()
      defer { everything.release() }
      let items = try await pushItems(written, allTags: allTags, platform: wanted)
      let hold = ContentHold(items.flatMap { $0.target.target.blobs + ($0.target.index?.blobs ?? []) }, owner: self)
      defer { hold.release() }
      everything.release()
      try await withClient(written.domain, credentials: credentials, configuration: configuration) { client in
        for item in items { try await push(item, to: client, report: report) }
      }
      await releaseFreedMemory()
    }
  }

  private func pushItems(_ written: Reference, allTags: Bool, platform: Platform?) async throws -> [PushItem] {
    try await blocking.run { [self] in
      try read { database in
        let tags = try ImageTable.tags(of: written.name, database)
        guard !tags.isEmpty else {
          throw ApusError(.notFound, "An image does not exist locally with the tag: \(written.familiarName)")
        }
        let wanted = allTags ? tags : tags.filter { $0.reference == written.withDefaultTag }
        guard !wanted.isEmpty else {
          throw ApusError(.notFound, "tag does not exist: \(written.withDefaultTag.familiar)")
        }
        return try wanted.map { reference, id in
          PushItem(
            reference: reference, image: id,
            target: try transferTarget(id, reference.canonical, platform: platform, reference.familiar, database))
        }
      }
    }
  }

  private func push(
    _ item: PushItem, to client: RegistryClient, report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws {
    let reference = item.reference
    var target = item.target.target
    // The rest of an index may be in the registry already: pushed under another tag, or pulled from there.
    if let index = item.target.index, case .index = index.top.kind, case .manifest = target.top.kind,
      try await has(index.missing, reference, client)
    {
      target = index
    }
    if case .manifest = target.top.kind, !target.isComplete {
      throw ApusError(
        .notFound, "\(reference.familiar) cannot be pushed: a part of its content is not here any more; pull it again")
    }
    try await send(target, as: reference, to: client, report: report)
    let top = target.top.descriptor
    let tag = reference.tag ?? Reference.defaultTag
    if let index = item.target.index, target.top.descriptor.digest != index.top.descriptor.digest {
      var note = TransferProgress(status: "")
      note.pushedInstead = PushedInstead(index: index.top.descriptor, manifest: top)
      report(note)
    }
    report(TransferProgress(status: "\(tag): digest: \(top.digest) size: \(top.size)"))
    var result = TransferProgress(status: "", image: item.image)
    result.pushed = PushedManifest(tag: tag, digest: top.digest, size: top.size)
    report(result)
    try await blocking.run { [self] in
      try write { database in
        // It may have been removed meanwhile; what was pushed is in the registry all the same.
        guard try ImageTable.image(item.image, database) != nil else { return }
        try ImageTable.point(
          reference.with(digest: top.digest).canonical, at: item.image, target: top.digest, database)
      }
    }
    event("push", reference.familiar, name: reference.familiarName)
  }

  /// Whether the repository has all these manifests.
  private func has(_ manifests: [Descriptor], _ reference: Reference, _ client: RegistryClient) async throws -> Bool {
    for manifest in manifests {
      guard try await client.head(reference.with(digest: manifest.digest)) != nil else { return false }
    }
    return true
  }

  /// Blobs first, then what names them, so that the registry never has a manifest of which a part is missing.
  private func send(
    _ target: ImageTarget, as reference: Reference, to client: RegistryClient,
    report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws {
    var uploads: [BlobUpload] = []
    var seen: Set<Digest> = []
    for (_, manifest) in target.manifests {
      let titles = await layerTitles(manifest)
      for (layer, title) in zip(manifest.layers, titles) where seen.insert(layer.digest).inserted {
        report(TransferProgress(id: title, status: "Preparing"))
        uploads.append(BlobUpload(blob: layer, title: title))
      }
      if seen.insert(manifest.config.digest).inserted { uploads.append(BlobUpload(blob: manifest.config, title: nil)) }
    }
    for upload in uploads.dropFirst(Self.parallelUploads) {
      if let title = upload.title { report(TransferProgress(id: title, status: "Waiting")) }
    }
    _ = try await inParallel(uploads, limit: Self.parallelUploads) { [self] upload in
      try await send(upload, as: reference, to: client, report: report)
    }
    for document in target.documents {
      let isTop = document.descriptor.digest == target.top.descriptor.digest
      let name = isTop ? reference : reference.with(digest: document.descriptor.digest)
      let digest = try await client.put(
        manifest: document.bytes, mediaType: document.descriptor.mediaType, as: name)
      guard digest == document.descriptor.digest else {
        throw ApusError(
          .unavailable, "\(reference.domain) stored \(reference.familiar) under another digest than it has: \(digest)")
      }
    }
  }

  /// Docker calls layers by their diff IDs here.
  private func layerTitles(_ manifest: Manifest) async -> [String] {
    let config = try? await blocking.run { [self] in
      try ImageConfiguration(json: content.read(manifest.config.digest))
    }
    guard let diffIDs = config?.rootfs.diffIDs, diffIDs.count == manifest.layers.count else {
      return manifest.layers.map(\.digest.short)
    }
    return diffIDs.map(\.short)
  }

  private struct BlobUpload: Sendable {
    var blob: Descriptor
    /// nil: nothing a user should read about.
    var title: String?
  }

  private func send(
    _ upload: BlobUpload, as reference: Reference, to client: RegistryClient,
    report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws {
    let (blob, title) = (upload.blob, upload.title)
    func tell(_ status: String) { if let title { report(TransferProgress(id: title, status: status)) } }
    if blob.isForeign { return tell("Skipped foreign layer") }
    if try await client.exists(blob, of: reference) { return tell("Layer already exists") }
    if let source = try await mountSource(of: blob, for: reference),
      try await client.mount(blob, from: source, to: reference)
    {
      return tell("Mounted from \(source.path)")
    }
    let limit = Mutex(Throttle())
    try await client.upload(blob, to: reference, from: .file(content.path(for: blob.digest))) { sent in
      guard let title, sent == blob.size || limit.withLock({ $0.isDue() }) else { return }
      report(TransferProgress(id: title, status: "Pushing", current: sent, total: blob.size))
    }
    tell("Pushed")
  }

  /// A repository of the same registry that should have the blob: one from which an image here with it came.
  private func mountSource(of blob: Descriptor, for reference: Reference) async throws -> Reference? {
    let names = try await blocking.run { [self] in try read { try ImageTable.names(having: blob.digest, $0) } }
    return names.first { $0.domain == reference.domain && $0.path != reference.path && $0.digest != nil }
  }
}
