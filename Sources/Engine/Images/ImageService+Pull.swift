import Errors
import FoundationEssentials
import GRDB
import ImageSpec
import Layers
import NIOCore
import Registry

/// A layer that is in the store: blob and layer file.
struct FetchedLayer: Sendable {
  var diffID: Digest
  var tarSize: Int64
}

extension ImageService {
  /// Whether a registry takes these credentials: `docker login`'s question.
  ///
  /// - Parameter server: a registry's name, or its address as old clients keep it (`https://index.docker.io/v1/`).
  /// - Throws: `permissionDenied` when it does not, `unavailable` when it cannot be asked.
  public func checkCredentials(_ credentials: RegistryCredentials, server: String) async throws {
    var domain = server[...]
    for scheme in ["https://", "http://"] where domain.hasPrefix(scheme) { domain = domain.dropFirst(scheme.count) }
    domain = domain.prefix { $0 != "/" }
    if domain.isEmpty || domain == "index.docker.io" { domain = "docker.io" }
    let client = RegistryClient(
      domain: String(domain), credentials: credentials, logger: logger)
    do {
      try await client.checkCredentials()
    } catch {
      await client.shutdown()
      throw error
    }
    await client.shutdown()
  }
}

extension ImageService {
  /// Layers downloaded at once for one pull.
  static let parallelLayers = 3
  /// Layers of one image: overlayfs and the option string of its mount allow no more.
  static let layerLimit = 127

  /// Gets an image from its registry. The last message carries the image's ID.
  ///
  /// What is in the store already is not downloaded; a layer that another pull is downloading is shared with it.
  /// - Parameters:
  ///   - platform: `linux/arm64`; nil: this host's.
  ///   - credentials: for this pull only; nil: anonymous.
  ///   - configuration: how registries are reached.
  public func pull(
    _ text: String, platform: String? = nil, credentials: RegistryCredentials? = nil,
    configuration: RegistryConfiguration = .fromEnvironment
  ) -> ProgressStream {
    progress { [self] report in
      let reference = try Reference(parsing: text).withDefaultTag
      let wanted = try platform.flatMap { $0.isEmpty ? nil : try Platform(parsing: $0) }
      let client = RegistryClient(
        domain: reference.domain, credentials: credentials, configuration: configuration, logger: logger)
      do {
        try await pull(reference, platform: wanted, from: client, report: report)
      } catch {
        await client.shutdown()
        throw error
      }
      await client.shutdown()
      await releaseFreedMemory()
    }
  }

  private func pull(
    _ reference: Reference, platform: Platform?, from client: RegistryClient,
    report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws {
    report(
      TransferProgress(id: reference.tag ?? reference.digest?.description, status: "Pulling from \(reference.path)"))
    let fetched = try await client.image(reference, platform: platform ?? .host)
    let manifest = fetched.manifest
    try Self.checkLayers(of: manifest, name: reference.familiar)
    let hold = ContentHold(
      [manifest.config.digest, fetched.descriptor.digest] + manifest.layers.map(\.digest), owner: self)
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

    var added: Set<StoredItem> = [.blob(manifest.config.digest), .blob(fetched.descriptor.digest)]
    do {
      let fetchedLayers = try await layers(of: manifest, diffIDs: diffIDs, reference, from: client, report: report)
      for (descriptor, layer) in zip(manifest.layers, fetchedLayers) {
        added.formUnion([.blob(descriptor.digest), .layer(layer.diffID)])
      }
      try Task.checkCancellation()
      let id = manifest.config.digest
      let pinned = reference.with(digest: fetched.named.digest)
      let names = reference.digest == nil ? [reference.canonical, pinned.canonical] : [pinned.canonical]
      let stored = NewImage(
        id: id, config: configBytes, manifest: fetched.bytes, manifestDigest: fetched.descriptor.digest,
        blobs: manifest.layers, layers: fetchedLayers, names: names, isOriginal: true)
      let known = try await add(stored)
      report(TransferProgress(status: "Digest: \(fetched.named.digest)"))
      let what = known ? "Image is up to date for" : "Downloaded newer image for"
      report(TransferProgress(status: "Status: \(what) \(reference.familiar)", image: id))
      event("pull", reference.familiar, name: reference.familiarName)
    } catch {
      // Without any holder the layers that did arrive go again; nothing happens to what an image has.
      collectLater(added.union(manifest.layers.map { .blob($0.digest) }).union(diffIDs.map { .layer($0) }))
      throw error
    }
  }

  private func configuration(
    _ descriptor: Descriptor, of reference: Reference, from client: RegistryClient
  ) async throws -> [UInt8] {
    guard MediaType.isConfiguration(descriptor.mediaType) else {
      throw ApusError(
        .unsupported,
        "\(reference.familiar) is no container image: its configuration is of type '\(descriptor.mediaType.prefix(100))'"
      )
    }
    let content = content
    let kept = try await blocking.run {
      content.contains(descriptor.digest) ? try content.read(descriptor.digest) : nil
    }
    if let kept { return kept }
    return try await client.blob(descriptor, of: reference)
  }

  static func checkLayers(of manifest: Manifest, name: String) throws {
    guard manifest.layers.count <= layerLimit else {
      throw ApusError(
        .unsupported, "\(name) has \(manifest.layers.count) layers, more than the \(layerLimit) that can be stacked")
    }
    for layer in manifest.layers where !MediaType.isLayer(layer.mediaType) {
      throw ApusError(.unsupported, "\(name) has a layer of unknown type '\(layer.mediaType.prefix(100))'")
    }
  }

  // MARK: Layers

  /// All layers of one image, several at once, in the manifest's order.
  private func layers(
    of manifest: Manifest, diffIDs: [Digest], _ reference: Reference, from client: RegistryClient,
    report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws -> [FetchedLayer] {
    for (index, layer) in manifest.layers.enumerated() {
      report(TransferProgress(id: layer.digest.short, status: "Pulling fs layer"))
      if index >= Self.parallelLayers { report(TransferProgress(id: layer.digest.short, status: "Waiting")) }
    }
    return try await inParallel(Array(zip(manifest.layers, diffIDs))) { [self] job in
      try await layer(job.0, diffID: job.1, of: reference, from: client, report: report)
    }
  }

  private func layer(
    _ descriptor: Descriptor, diffID: Digest, of reference: Reference, from client: RegistryClient,
    report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws -> FetchedLayer {
    let id = descriptor.digest.short
    if let layer = try await storedLayer(descriptor, diffID: diffID) {
      report(TransferProgress(id: id, status: "Already exists"))
      return layer
    }
    return try await fetches.layer(
      descriptor.digest, report: report,
      start: { [self] report in
        // A download that was shared to its end just now is no reason for another.
        if let layer = try await storedLayer(descriptor, diffID: diffID) { return layer }
        let hold = ContentHold([descriptor.digest, diffID], owner: self)
        defer { hold.release() }
        let ingest = try await blocking.run { [self] in
          try LayerIngest(
            store: layers, mediaType: descriptor.mediaType, expected: descriptor, expectedDiffID: diffID,
            keepBlob: true)
        }
        let throttle = Throttle()
        let bytes = client.stream(descriptor, of: reference)
        let layer = try await self.ingest(bytes, with: ingest) { position in
          if position == descriptor.size || throttle.isDue() {
            report(TransferProgress(id: id, status: "Downloading", current: position, total: descriptor.size))
          }
        }
        report(TransferProgress(id: id, status: "Verifying Checksum"))
        report(TransferProgress(id: id, status: "Download complete"))
        report(TransferProgress(id: id, status: "Pull complete"))
        return FetchedLayer(diffID: layer.diffID, tarSize: layer.tarSize)
      },
      abandoned: { [self] _ in collectLater([.blob(descriptor.digest), .layer(diffID)]) })
  }

  /// The layer if it is in the store. A blob without its layer file is converted again, not downloaded.
  func storedLayer(_ descriptor: Descriptor, diffID: Digest) async throws -> FetchedLayer? {
    try await blocking.run { [self] in
      guard content.size(of: descriptor.digest) == descriptor.size else { return nil }
      if let bytes = layers.size(of: diffID) {
        let known = try read { try ImageTable.size(of: .layer(diffID), $0) }
        return FetchedLayer(diffID: diffID, tarSize: known ?? bytes)
      }
      do {
        return try convert(descriptor, diffID: diffID)
      } catch let error as ApusError where error.code == .invalidArgument {
        // The blob is not what its name says (a power cut): it is got again.
        logger.warning("stored content \(descriptor.digest.short) is damaged and dropped: \(error)")
        try content.remove(descriptor.digest)
        return nil
      }
    }
  }

  /// Makes the layer file of a blob that is in the content store. Blocks.
  func convert(_ descriptor: Descriptor, diffID: Digest?) throws -> FetchedLayer {
    let ingest = try LayerIngest(
      store: layers, mediaType: descriptor.mediaType, expected: descriptor, expectedDiffID: diffID, keepBlob: false)
    let file = try content.open(descriptor.digest)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let count = try FileReading.read(file.raw, into: buffer)
      guard count > 0 else { break }
      try ingest.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    }
    let layer = try ingest.finish()
    return FetchedLayer(diffID: layer.diffID, tarSize: layer.tarSize)
  }
}

/// Lets through one message in a tenth of a second. Used by one task.
final class Throttle {
  private var next = ContinuousClock.now

  func isDue() -> Bool {
    let now = ContinuousClock.now
    guard now >= next else { return false }
    next = now + .milliseconds(100)
    return true
  }
}
