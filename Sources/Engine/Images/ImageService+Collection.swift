import Errors
import FoundationEssentials
import GRDB
import Glibc
import ImageSpec
import Layers

extension ImageService {
  /// Keeps everything that is in the store, or comes into it, from being collected until released: for operations that
  /// make layers and enter them as an image only at their end.
  public func holdEverything() -> ContentHold { ContentHold(nil, owner: self) }

  /// Removes what no image, instance or operation needs, and that is older than `age`. Young orphans may be what a
  /// killed pull left: the next one goes on with them.
  /// - Returns: bytes freed.
  @discardableResult
  public func collectGarbage(olderThan age: Duration = .seconds(0)) async throws -> Int64 {
    let used = Set(await instanceUses().flatMap(\.layers))
    return try await blocking.run { [self] in
      let limit = Int64(time(nil)) - age.components.seconds
      let kept = try read { try ImageTable.allContent($0) }
      let candidates = try content.all().map { StoredItem.blob($0) } + layers.all().map { .layer($0) }
      var freed: Int64 = 0
      for item in candidates where !kept.contains(item) && !(item.isLayer && used.contains(item.digest)) {
        guard modified(item) <= limit else { continue }
        freed += try collect(item)
      }
      return freed
    }
  }

  /// Removes those of `candidates` that nothing needs any more. Failures are logged: the next sweep tries again.
  func collect(_ candidates: Set<StoredItem>) async {
    let used = Set(await instanceUses().flatMap(\.layers))
    try? await blocking.run { [self] in
      for item in candidates where !(item.isLayer && used.contains(item.digest)) {
        do {
          _ = try collect(item)
        } catch {
          logger.warning("stored content \(item.digest.short) cannot be removed: \(error)")
        }
      }
    }
  }

  func collectLater(_ candidates: Set<StoredItem>) {
    Task.detached { [self] in await collect(candidates) }
  }

  /// One item: removed unless held or referenced. Blocks.
  private func collect(_ item: StoredItem) throws -> Int64 {
    var freed: Int64 = 0
    try holds.collecting(item) {
      guard try !read({ try ImageTable.isReferenced(item, $0) }) else { return }
      switch item {
      case .blob(let digest):
        freed = content.size(of: digest) ?? 0
        try content.remove(digest)
      case .layer(let diffID):
        freed = layers.size(of: diffID) ?? 0
        try layers.remove(diffID)
      }
    }
    return freed
  }

  /// Seconds since 1970.
  private func modified(_ item: StoredItem) -> Int64 {
    let path = item.isLayer ? layers.path(for: item.digest) : content.path(for: item.digest)
    var status = stat()
    return lstat(path, &status) == 0 ? Int64(status.st_mtim.tv_sec) : .max
  }

  // MARK: Usage

  /// What images take. Layers that several images have are counted as shared.
  public func diskUsage() async throws -> ImageDiskUsage {
    let images = try await list()
    let uses = await instanceUses()
    var owners: [Digest: Int] = [:]
    var sizes: [Digest: Int64] = [:]
    for image in images {
      for (layer, size) in Set(zip(image.layers, image.layerSizes).map { SizedLayer(id: $0, size: $1) }).map({
        ($0.id, $0.size)
      }) {
        owners[layer, default: 0] += 1
        sizes[layer] = size
      }
    }
    let entries = images.map { image in
      let shared = Set(image.layers).filter { owners[$0, default: 0] > 1 }.reduce(0) { $0 + (sizes[$1] ?? 0) }
      return ImageDiskUsage.Entry(
        image: image, sharedSize: shared, uniqueSize: max(0, image.size - shared),
        instances: uses.count { $0.image == image.id })
    }
    let stored = try await blocking.run { [self] in
      try content.all().reduce(Int64(0)) { $0 + (content.size(of: $1) ?? 0) }
        + layers.all().reduce(Int64(0)) { $0 + (layers.size(of: $1) ?? 0) }
    }
    return ImageDiskUsage(images: entries, stored: stored, layersSize: sizes.values.reduce(0, +))
  }

  private struct SizedLayer: Hashable {
    var id: Digest
    var size: Int64
  }
}
