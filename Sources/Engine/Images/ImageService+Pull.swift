import Errors
import FoundationEssentials
import ImageSpec
import Registry

extension ImageService {
  /// Layers downloaded at once for one pull.
  static let parallelLayers = 3
  /// Layers of one image: overlayfs and the option string of its mount allow no more.
  static let layerLimit = 127
  /// Tags that a pull of all of them takes.
  static let tagLimit = 10_000

  /// How registries are reached: the environment and the registries' configuration file, read for each operation.
  func registryConfiguration() throws -> RegistryConfiguration {
    var configuration = try RegistryConfiguration.system(registriesFile: settings.registriesFile)
    if let directory = settings.certificateDirectory { configuration.certificateDirectories = [directory] }
    return configuration
  }

  /// Gets an image from its registry. The last message carries the image's ID.
  ///
  /// What is in the store already is not downloaded; a layer that another pull is downloading is shared with it.
  /// - Parameters:
  ///   - allTags: every tag that the registry lists for the name, one after another.
  ///   - platform: `linux/arm64`; nil: this host's.
  ///   - credentials: for this pull only; nil: anonymous.
  ///   - configuration: how registries are reached; nil: as the system says.
  public func pull(
    _ text: String, allTags: Bool = false, platform: String? = nil, credentials: RegistryCredentials? = nil,
    configuration: RegistryConfiguration? = nil
  ) -> ProgressStream {
    progress { [self] report in
      let written = try Reference(parsing: text)
      let wanted = try platform.flatMap { $0.isEmpty ? nil : try Platform(parsing: $0) }
      guard !allTags || written.tag == nil && written.digest == nil else {
        throw ApusError(.invalidArgument, "tag can't be used with --all-tags/-a")
      }
      try await withClient(written.domain, credentials: credentials, configuration: configuration) { client in
        var references = [written.withDefaultTag]
        if allTags {
          let tags = try await client.tags(of: written, limit: Self.tagLimit)
          references = try tags.sorted().map { try written.with(tag: $0) }
          guard !references.isEmpty else {
            throw ApusError(.notFound, "\(written.familiarName) has no tags")
          }
        }
        var last: (id: Digest, isNew: Bool)?
        var skipped: ApusError?
        for reference in references {
          do {
            let pulled = try await pull(reference, platform: wanted, from: client, report: report)
            last = (pulled.id, pulled.isNew || last?.isNew == true)
          } catch let error as ApusError where allTags && [.unsupported, .notFound].contains(error.code) {
            // Beside its images a repository may have signatures and other artifacts, and images for others.
            skipped = error
            report(TransferProgress(status: "Skipped \(reference.familiar): \(error.message)"))
          }
        }
        guard let last else {
          if let skipped { throw skipped }
          return
        }
        let what = last.isNew ? "Downloaded newer image for" : "Image is up to date for"
        let name = allTags ? written.familiarName : references[0].familiar
        report(TransferProgress(status: "Status: \(what) \(name)", image: last.id))
      }
      await releaseFreedMemory()
    }
  }

  private func pull(
    _ reference: Reference, platform: Platform?, from client: RegistryClient,
    report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws -> (id: Digest, isNew: Bool) {
    var title = TransferProgress(
      id: reference.tag ?? reference.digest?.description, status: "Pulling from \(reference.path)")
    title.isTitle = true
    report(title)
    let found = try await resolve(reference, platform: platform ?? .host, from: client)
    let manifest = found.manifest
    try checkLayers(of: manifest, name: reference.familiar)
    let hold = ContentHold(
      [manifest.config.digest, found.descriptor.digest] + found.indexes.map(\.descriptor.digest)
        + manifest.layers.map(\.digest), owner: self)
    defer { hold.release() }

    let configBytes = try await configuration(manifest.config, of: reference, from: client)
    let config = try ImageConfiguration(json: configBytes)
    let diffIDs = config.rootfs.diffIDs
    guard diffIDs.count == manifest.layers.count else {
      throw ApusError(
        .invalidArgument,
        "\(reference.familiar) is inconsistent: its manifest has \(manifest.layers.count) layers, its configuration "
          + "\(diffIDs.count)")
    }
    if let platform, platform.distance(to: config.platform) == nil {
      throw ApusError(
        .notFound,
        "image with reference \(reference.familiar) was found but does not match the specified platform: wanted "
          + "\(platform), actual: \(config.platform)")
    }
    let layerHold = ContentHold(diffIDs, owner: self)
    defer { layerHold.release() }

    do {
      let layers = try await layers(of: manifest, diffIDs: diffIDs, reference, from: client, report: report)
      try checkSize(layers.reduce(0) { $0 + $1.tarSize }, name: reference.familiar)
      try Task.checkCancellation()
      let id = manifest.config.digest
      let pinned = reference.with(digest: found.named.digest)
      let names = reference.digest == nil ? [reference.canonical, pinned.canonical] : [pinned.canonical]
      var image = NewImage(
        id: id, config: configBytes, manifest: found.bytes, manifestDigest: found.descriptor.digest,
        blobs: manifest.layers, layers: layers, names: names, isOriginal: true)
      image.target = found.named.digest
      image.documents = found.indexes.map { ($0.descriptor, $0.bytes) }
      let known = try await add(image)
      report(TransferProgress(status: "Digest: \(found.named.digest)"))
      event("pull", reference.familiar, name: reference.familiarName)
      return (id, !known)
    } catch {
      let items = manifest.layers.map { StoredItem.blob($0.digest) } + diffIDs.map { .layer($0) }
      // Nothing happens to what another image or pull has.
      if !Self.isWorthGoingOn(error) { collectLater(Set(items)) }
      throw error
    }
  }

  /// Whether what was got before an error is of use to the next attempt. It is when the network or the user ended the
  /// transfer; then the collection policy bounds it. What was wrong in itself, or did not fit on the disk, goes at once.
  static func isWorthGoingOn(_ error: any Error) -> Bool {
    switch error {
    case is CancellationError: true
    case let error as ApusError: [.unavailable, .deadlineExceeded, .permissionDenied].contains(error.code)
    default: false
    }
  }

  private func configuration(
    _ descriptor: Descriptor, of reference: Reference, from client: RegistryClient
  ) async throws -> [UInt8] {
    let content = content
    let kept = try await blocking.run {
      content.size(of: descriptor.digest) == descriptor.size ? try content.read(descriptor.digest) : nil
    }
    if let kept { return kept }
    return try await client.blob(descriptor, of: reference)
  }

  /// - Throws: `unsupported` for what is no image, more layers than can be stacked and unknown kinds,
  ///   `resourceExhausted` for more bytes than are allowed.
  func checkLayers(of manifest: Manifest, name: String) throws {
    guard MediaType.isConfiguration(manifest.config.mediaType) else {
      let kind = manifest.artifactType.map { "an artifact of type '\($0.prefix(100))'" }
      throw ApusError(
        .unsupported,
        "\(name) is no container image: "
          + (kind ?? "its configuration is of type '\(manifest.config.mediaType.prefix(100))'"))
    }
    guard manifest.layers.count <= Self.layerLimit else {
      throw ApusError(
        .unsupported,
        "\(name) has \(manifest.layers.count) layers, more than the \(Self.layerLimit) that can be stacked")
    }
    for layer in manifest.layers where !MediaType.isLayer(layer.mediaType) {
      throw ApusError(.unsupported, "\(name) has a layer of unknown type '\(layer.mediaType.prefix(100))'")
    }
    var total: Int64 = 0
    for layer in manifest.layers {
      let (sum, overflow) = total.addingReportingOverflow(layer.size)
      total = overflow ? .max : sum
    }
    try checkSize(total, name: name)
  }

  func checkSize(_ bytes: Int64, name: String) throws {
    guard bytes <= settings.imageSize else {
      throw ApusError(
        .resourceExhausted, "\(name) has \(bytes) bytes, more than the \(settings.imageSize) that an image may have")
    }
  }
}
