import Errors
import ImageSpec
import Layers
import NIOCore
import Registry

/// A layer that is in the store: blob and layer file.
struct FetchedLayer: Sendable {
  var diffID: Digest
  var tarSize: Int64
}

/// Layers on their way from a registry, and from blobs that are here.
extension ImageService {
  /// All layers of one image, several at once, in the manifest's order.
  func layers(
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
        let layer = try await download(descriptor, diffID: diffID, of: reference, from: client, report: report)
        changed()
        report(TransferProgress(id: id, status: "Verifying Checksum"))
        report(TransferProgress(id: id, status: "Download complete"))
        report(TransferProgress(id: id, status: "Pull complete"))
        return FetchedLayer(diffID: layer.diffID, tarSize: layer.tarSize)
      })
  }

  /// Downloads, verifies and converts a layer as one stream, from where an earlier attempt ended.
  private func download(
    _ descriptor: Descriptor, diffID: Digest, of reference: Reference, from client: RegistryClient,
    report: @escaping @Sendable (TransferProgress) -> Void
  ) async throws -> IngestedLayer {
    func attempt(resuming: Bool) async throws -> IngestedLayer {
      let ingest = try await downloadIngest(descriptor, diffID: diffID)
      let offset = resuming ? try await blocking.run { try ingest.resume() } : 0
      let id = descriptor.digest.short
      let throttle = Throttle()
      do {
        try await pump(client.stream(descriptor, of: reference, from: offset)) { position in
          let position = position + offset
          if position == descriptor.size || throttle.isDue() {
            report(TransferProgress(id: id, status: "Downloading", current: position, total: descriptor.size))
          }
        } into: {
          try ingest.write($0)
        }
        return try await blocking.run { try ingest.finish() }
      } catch {
        try? await blocking.run { if Self.isWorthGoingOn(error) { ingest.suspend() } else { ingest.abort() } }
        throw error
      }
    }
    do {
      return try await attempt(resuming: true)
    } catch let error as ApusError where error.code == .invalidArgument {
      // The part that was here may be what is wrong (a power cut does that); it is gone now. One download from the
      // start tells.
      logger.info("layer \(descriptor.digest.short) is downloaded from its start: \(error.message)")
      return try await attempt(resuming: false)
    }
  }

  /// One download of a blob can be resumed at a time. A cancelled one may take a moment to let go.
  private func downloadIngest(_ descriptor: Descriptor, diffID: Digest) async throws -> LayerIngest {
    for _ in 0..<100 {
      do {
        return try await blocking.run { [self] in
          try LayerIngest(
            store: layers, expected: descriptor, expectedDiffID: diffID, resumable: true, limits: settings.layerLimits)
        }
      } catch let error as ApusError where error.code == .conflict {
        try await Task.sleep(for: .milliseconds(50))
      }
    }
    return try await blocking.run { [self] in
      try LayerIngest(store: layers, expected: descriptor, expectedDiffID: diffID, limits: settings.layerLimits)
    }
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
      store: layers, mediaType: descriptor.mediaType, expected: descriptor, expectedDiffID: diffID, keepBlob: false,
      limits: settings.layerLimits)
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
