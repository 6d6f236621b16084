import Errors
import FoundationEssentials
import GRDB
import ImageSpec

extension ImageService {
  /// One round of the collection policy: notes which images are in use, removes those that the policy gives up, then
  /// what belongs to no image. What an instance or an operation needs is not touched.
  /// - Returns: bytes freed.
  @discardableResult
  public func applyCollectionPolicy() async throws -> Int64 {
    let policy = settings.collection
    let used = Set(await instanceUses().map(\.image))
    try await blocking.run { [self] in
      if !used.isEmpty { try write { try ImageTable.markUsed(used, at: Date(), $0) } }
    }
    var freed: Int64 = 0
    for id in try await givenUp(policy, used: used) {
      do {
        freed += try await removeAndCount(id.description, force: true).freed
        logger.info("image \(id.short) was removed by the collection policy: no instance needs it")
      } catch let error as ApusError where error.code == .conflict || error.code == .notFound {
        // An instance was made of it just now, or somebody removed it.
        continue
      }
    }
    return freed + (try await collectGarbage(olderThan: policy.orphanAge, atMost: policy.orphanSize))
  }

  /// Images that no instance needs and that are too old, or too much; the longest unused first.
  private func givenUp(_ policy: CollectionPolicy, used: Set<Digest>) async throws -> [Digest] {
    guard policy.unusedImageAge != nil || policy.unusedImageSize != nil else { return [] }
    return try await blocking.run { [self] in
      try read { database in
        let unused = try ImageTable.lastUses(database).filter { !used.contains($0.id) }
        var counted: Set<StoredItem> = []
        for id in used { counted.formUnion(try ImageTable.content(of: id, database).keys) }
        var total: Int64 = 0
        var result: [Digest] = []
        // From the one that was used last: what is beyond the bound then is what was used longest ago.
        for (id, last) in unused.reversed() {
          let items = Set(try ImageTable.content(of: id, database).keys).subtracting(counted)
          let bytes = items.reduce(Int64(0)) { $0 + size(of: $1) }
          let isOld = policy.unusedImageAge.map { Date().timeIntervalSince(last) > Double($0.components.seconds) }
          let isTooMuch = policy.unusedImageSize.map { total + bytes > $0 }
          if isOld == true || isTooMuch == true {
            result.append(id)
          } else {
            counted.formUnion(items)
            total += bytes
          }
        }
        return result.reversed()
      }
    }
  }
}
