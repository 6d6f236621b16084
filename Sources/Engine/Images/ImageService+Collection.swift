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

  /// Removes what no image, instance or operation needs, when it is older than `age`, and the oldest of the rest where
  /// it is more than `size`. Young orphans may be what a killed pull left: the next one goes on with them.
  /// - Returns: bytes freed.
  @discardableResult
  public func collectGarbage(olderThan age: Duration = .seconds(0), atMost size: Int64 = .max) async throws -> Int64 {
    let used = Set(await instanceUses().flatMap(\.layers))
    return try await blocking.run { [self] in
      let limit = Int64(time(nil)) - age.components.seconds
      var orphans = try orphans(used)
      orphans.sort { $0.modified < $1.modified }
      var left = orphans.reduce(Int64(0)) { $0 + $1.size }
      var freed: Int64 = 0
      for orphan in orphans where orphan.modified <= limit || left > size {
        let bytes = try collect(orphan)
        freed += bytes
        left -= bytes
      }
      return freed
    }
  }

  /// Content that belongs to no image.
  private struct Orphan {
    enum Kind {
      case item(StoredItem)
      case partial(Digest)
    }
    var kind: Kind
    var size: Int64
    /// Seconds since 1970.
    var modified: Int64
  }

  private func orphans(_ used: Set<Digest>) throws -> [Orphan] {
    let kept = try read { try ImageTable.allContent($0) }
    let items = try content.all().map { StoredItem.blob($0) } + layers.all().map { .layer($0) }
    return items.filter { !kept.contains($0) && !($0.isLayer && used.contains($0.digest)) }.map {
      Orphan(kind: .item($0), size: size(of: $0), modified: modified($0))
    }
      + (try content.partials().map { Orphan(kind: .partial($0.digest), size: $0.size, modified: $0.modified) })
  }

  private func collect(_ orphan: Orphan) throws -> Int64 {
    switch orphan.kind {
    case .item(let item): return try collect(item)
    case .partial(let digest):
      try content.removePartial(digest)
      // One that is being downloaded stays.
      return try content.partials().contains { $0.digest == digest } ? 0 : orphan.size
    }
  }

  /// Removes those of `candidates` that nothing needs any more. Failures are logged: the next sweep tries again.
  /// - Returns: bytes freed.
  @discardableResult
  func collect(_ candidates: Set<StoredItem>) async -> Int64 {
    let used = Set(await instanceUses().flatMap(\.layers))
    let freed = try? await blocking.run { [self] in
      var freed: Int64 = 0
      for item in candidates where !(item.isLayer && used.contains(item.digest)) {
        do {
          freed += try collect(item)
        } catch {
          logger.warning("stored content \(item.digest.short) cannot be removed: \(error)")
        }
      }
      return freed
    }
    return freed ?? 0
  }

  func collectLater(_ candidates: Set<StoredItem>) {
    Task.detached { [self] in await collect(candidates) }
  }

  /// One item: removed unless held or referenced. Blocks.
  private func collect(_ item: StoredItem) throws -> Int64 {
    var freed: Int64 = 0
    try holds.collecting(item) {
      guard try !read({ try ImageTable.isReferenced(item, $0) }) else { return }
      freed = size(of: item)
      switch item {
      case .blob(let digest): try content.remove(digest)
      case .layer(let diffID): try layers.remove(diffID)
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

  /// Bytes on disk; 0 for what is not there.
  func size(of item: StoredItem) -> Int64 {
    switch item {
    case .blob(let digest): content.size(of: digest) ?? 0
    case .layer(let diffID): layers.size(of: diffID) ?? 0
    }
  }
}
