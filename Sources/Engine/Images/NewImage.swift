import Errors
import FoundationEssentials
import GRDB
import Glibc
import ImageSpec
import Layers
import Linux

/// An image whose layers are in the store, about to be entered.
struct NewImage: Sendable {
  var id: Digest
  var config: [UInt8]
  var manifest: [UInt8]
  var manifestDigest: Digest
  /// The manifest's layers, lowest first, and what became of them.
  var blobs: [Descriptor]
  var layers: [FetchedLayer]
  /// Canonical names.
  var names: [String]
  /// What the names stand for; nil: the manifest.
  var target: Digest?
  /// The indexes of a target that is one, to be written.
  var documents: [(descriptor: Descriptor, bytes: [UInt8])] = []
  /// Blobs in the store to be kept for such a target, besides this image's own.
  var indexContent: [Digest: Int64] = [:]
  /// The manifest came with the image, rather than being made here.
  var isOriginal: Bool
}

extension ImageService {
  /// Enters an image: documents first, then names, in one transaction. The caller holds the content.
  /// Indexes that lost their last name by it are collected.
  /// - Returns: whether the image and its names were there already.
  func add(_ image: NewImage) async throws -> Bool {
    try await blocking.run { [self] in
      let documents =
        [(image.config, image.id), (image.manifest, image.manifestDigest)]
        + image.documents.map { ($0.bytes, $0.descriptor.digest) }
      for (bytes, digest) in documents {
        guard !content.contains(digest) else { continue }
        let writer = try BlobWriter(store: content, algorithm: digest.algorithm)
        try bytes.withUnsafeBytes { try writer.write($0) }
        try writer.commit(expected: digest, size: Int64(bytes.count))
      }
      var items: [StoredItem: Int64] = [
        .blob(image.id): Int64(image.config.count), .blob(image.manifestDigest): Int64(image.manifest.count),
      ]
      for blob in image.blobs { items[.blob(blob.digest)] = blob.size }
      for layer in image.layers { items[.layer(layer.diffID)] = layer.tarSize }
      let target = image.target ?? image.manifestDigest
      let (known, unnamed) = try write { database in
        let known =
          try image.names.allSatisfy {
            try ImageTable.imageID(named: $0, database) == image.id
              && ImageTable.target(named: $0, database) == target
          } && ImageTable.image(image.id, database) != nil
        if !known {
          let row = ImageRow(id: image.id, manifest: image.manifestDigest, added: Date())
          try ImageTable.add(
            row, content: items, names: image.names, target: target, original: image.isOriginal, database)
        }
        let written = image.documents.map { ($0.descriptor.digest, Int64($0.bytes.count)) }
        try ImageTable.addIndex(
          target, content: image.indexContent.merging(written, uniquingKeysWith: { first, _ in first }), database)
        return (known, try ImageTable.dropUnnamedIndexes(database))
      }
      if !unnamed.isEmpty { collectLater(unnamed) }
      changed()
      return known
    }
  }

  /// Gives memory that a large transfer needed back to the kernel: the C library keeps it otherwise.
  func releaseFreedMemory() async {
    try? await blocking.run {
      // malloc.h is not part of the C library's module.
      guard let symbol = dlsym(nil, "malloc_trim") else { return }
      _ = unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)(0)
    }
  }
}

enum FileReading {
  /// Up to a buffer full; 0 at the end.
  static func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try check(retrying { Glibc.read(descriptor, buffer.baseAddress, buffer.count) }, "cannot read stored content")
  }
}
