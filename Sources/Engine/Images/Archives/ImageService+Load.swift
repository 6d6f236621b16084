import Errors
import FoundationEssentials
import GRDB
import ImageSpec
import Layers
import NIOCore

extension ImageService {
  /// Brings the images of an archive into the store: docker-archive or OCI layout, plain or compressed, read as it
  /// arrives. For each image one message carries `loaded` and its ID.
  /// - Parameter platform: of an index, the image for this platform; nil: this host's, or else its first.
  /// - Throws: (in the stream) `invalidArgument` for an archive that is broken or none; nothing stays behind then.
  public func load(from bytes: ByteStream, platform: String? = nil) -> ProgressStream {
    progress { [self] report in
      let wanted = try platform.flatMap { $0.isEmpty ? nil : try Platform(parsing: $0) }
      let hold = holdEverything()
      defer { hold.release() }
      let spool = ArchiveSpool(content: content)
      let reader = ArchiveReader(into: spool)
      let made = MadeItems()
      do {
        try await pump(bytes) { try reader.write($0) }
        let images = try await blocking.run {
          try reader.finish()
          return try ArchiveLayout.images(in: spool, platform: wanted)
        }
        guard !images.isEmpty else {
          throw ApusError(
            wanted == nil ? .invalidArgument : .notFound,
            wanted.map { "requested platform (\($0)) not found: the archive holds no image for it" }
              ?? "the archive holds no image for this system")
        }
        // All or nothing: names are given when every image is complete.
        var complete: [(NewImage, [Reference])] = []
        for image in images {
          complete.append((try await store(image, spool, made, report: report), image.names))
        }
        try Task.checkCancellation()
        for (image, names) in complete {
          _ = try await add(image)
          for name in names {
            report(TransferProgress(status: "Loaded image: \(name.familiar)", loaded: name.familiar, image: image.id))
            event("load", image.id.description, name: name.familiar)
          }
          guard names.isEmpty else { continue }
          report(
            TransferProgress(status: "Loaded image ID: \(image.id)", loaded: image.id.description, image: image.id))
          event("load", image.id.description, name: image.id.description)
        }
      } catch {
        await cleanUp(spool, made)
        throw error
      }
      // What was in the archive besides images, and layers that are kept compressed.
      await cleanUp(spool, made)
      await releaseFreedMemory()
    }
  }

  /// Collects what no image has. Runs when the hold is gone.
  private func cleanUp(_ spool: ArchiveSpool, _ made: MadeItems) async {
    let blobs = try? await blocking.run { spool.blobs }
    collectLater(made.all.union((blobs ?? []).map { .blob($0) }))
  }

  private func store(
    _ image: ArchivedImage, _ spool: ArchiveSpool, _ made: MadeItems,
    report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws -> NewImage {
    let id = ContentDigest.sha256(image.configBytes)
    let names = image.names.map(\.canonical)
    let title = image.names.first?.familiar ?? id.short
    guard image.config.rootfs.diffIDs.count <= Self.layerLimit else {
      throw ApusError(.unsupported, "\(title) has more than the \(Self.layerLimit) layers that can be stacked")
    }
    let diffIDs = image.config.rootfs.diffIDs
    if let manifest = image.manifest {
      try checkLayers(of: manifest.document, name: title)
      let layers = try await inParallel(Array(zip(manifest.document.layers, diffIDs))) { [self] descriptor, diffID in
        try await blocking.run { try spool.blob(descriptor) }
        made.insert([.blob(descriptor.digest), .layer(diffID)])
        let layer = try await storedLayer(descriptor, diffID: diffID)
        report(
          TransferProgress(id: diffID.short, status: "Loading layer", current: descriptor.size, total: descriptor.size))
        guard let layer else { throw ApusError(.internal, "a layer of \(title) is gone while it is loaded") }
        return layer
      }
      try checkSize(layers.reduce(0) { $0 + $1.tarSize }, name: title)
      made.insert([.blob(manifest.digest), .blob(id)])
      var new = NewImage(
        id: manifest.document.config.digest, config: image.configBytes, manifest: manifest.bytes,
        manifestDigest: manifest.digest, blobs: manifest.document.layers, layers: layers, names: names, isOriginal: true
      )
      if let index = image.index {
        new.target = index.digest
        new.indexContent = index.content
        made.insert(Set(index.content.keys.map { .blob($0) }))
      }
      return new
    }

    if let known = try await knownImage(id, names: names) { return known }
    let layers = try await inParallel(Array(zip(image.layerFiles, diffIDs))) { [self] file, diffID in
      let layer = try await dockerLayer(file, diffID: diffID, spool)
      made.insert(layer.items)
      report(TransferProgress(id: diffID.short, status: "Loading layer", current: layer.tarSize, total: layer.tarSize))
      return layer
    }
    let new = try NewImage.made(
      config: image.config, configBytes: image.configBytes, blobs: layers.compactMap(\.blob),
      layers: layers.map { FetchedLayer(diffID: $0.diffID, tarSize: $0.tarSize) }, names: names)
    made.insert([.blob(new.manifestDigest), .blob(id)])
    return new
  }

  /// An image of that ID that is in the store with all its content, under further names.
  private func knownImage(_ id: Digest, names: [String]) async throws -> NewImage? {
    try await blocking.run { [self] in
      guard let image = try read({ try load(id, $0) }) else { return nil }
      let complete =
        image.manifest.layers.allSatisfy { content.size(of: $0.digest) == $0.size }
        && image.layers.allSatisfy { layers.contains($0) }
      guard complete else { return nil }
      return NewImage(
        id: id, config: try content.read(id), manifest: try content.read(image.manifestDigest),
        manifestDigest: image.manifestDigest, blobs: image.manifest.layers,
        layers: zip(image.layers, image.layerSizes).map { FetchedLayer(diffID: $0, tarSize: $1) }, names: names,
        isOriginal: false)
    }
  }

  /// A layer of a docker-archive. It has no manifest whose digests had to stay, so it is kept compressed as layers are.
  private func dockerLayer(_ file: String, diffID: Digest, _ spool: ArchiveSpool) async throws -> IngestedLayer {
    try await blocking.run { [self] in
      guard let blob = try spool.blob(file) else {
        throw ApusError(.invalidArgument, "the archive lacks '\(file.prefix(200))', an image's layer")
      }
      let source = try content.open(blob.digest)
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
      defer { buffer.deallocate() }
      let ingest = try LayerIngest(
        store: layers, expectedDiffID: diffID, keepBlob: true, compressTo: .gzip, limits: settings.layerLimits)
      while case let count = try FileReading.read(source.raw, into: buffer), count > 0 {
        try ingest.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
      return try ingest.finish()
    }
  }
}
