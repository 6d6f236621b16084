import FoundationEssentials
import GRDB
import ImageSpec
import Layers

/// What images take on disk: blobs, as they came, and layer files, as they are mounted.
public struct ImageDiskUsage: Sendable {
  public struct Entry: Sendable {
    public var image: Image
    /// Bytes of all it has.
    public var size: Int64
    /// Bytes of what other images have too.
    public var sharedSize: Int64
    /// Bytes of its uncompressed layers that other images have too; of ``Image/size``.
    public var sharedLayersSize: Int64
    public var instances: Int
    /// What removing it alone would free, were no instance to need it.
    public var uniqueSize: Int64 { size - sharedSize }
  }
  public var images: [Entry]
  /// Bytes in the store, each thing counted once, unfinished downloads and what belongs to no image included.
  public var stored: Int64
  /// Bytes that no instance needs: what removing every unused image and collecting everything would free.
  public var reclaimable: Int64
}

extension ImageService {
  public func diskUsage() async throws -> ImageDiskUsage {
    let images = try await list()
    let uses = await instanceUses()
    return try await blocking.run { [self] in
      let contents = try read { database in
        try images.map { image in
          var items = Set(try ImageTable.content(of: image.id, database).keys)
          for (_, target) in try ImageTable.targets(of: image.id, database) {
            items.formUnion(try ImageTable.indexContent(of: target, database).map { .blob($0) })
          }
          return items
        }
      }
      var owners: [StoredItem: Int] = [:]
      for items in contents { for item in items { owners[item, default: 0] += 1 } }
      var sizes = owners.mapValues { _ in Int64(0) }
      for item in owners.keys { sizes[item] = size(of: item) }
      func total(_ items: some Sequence<StoredItem>) -> Int64 { items.reduce(0) { $0 + (sizes[$1] ?? 0) } }

      var needed = Set(uses.flatMap { $0.layers.map { StoredItem.layer($0) } })
      let entries = zip(images, contents).map { image, items in
        let instances = uses.count { $0.image == image.id }
        if instances > 0 { needed.formUnion(items) }
        let isShared = { owners[$0, default: 0] > 1 }
        let tars = Dictionary(zip(image.layers, image.layerSizes), uniquingKeysWith: { first, _ in first })
        return ImageDiskUsage.Entry(
          image: image, size: total(items), sharedSize: total(items.filter(isShared)),
          sharedLayersSize: tars.reduce(0) { $0 + (isShared(.layer($1.key)) ? $1.value : 0) }, instances: instances)
      }
      let everything = try content.all().map { StoredItem.blob($0) } + layers.all().map { .layer($0) }
      let partial = try content.partials().reduce(Int64(0)) { $0 + $1.size }
      let stored = everything.reduce(partial) { $0 + size(of: $1) }
      let inUse = needed.reduce(Int64(0)) { $0 + size(of: $1) }
      return ImageDiskUsage(images: entries, stored: stored, reclaimable: max(0, stored - inUse))
    }
  }
}
