import Errors
import FoundationEssentials
import GRDB
import ImageSpec
import Layers
import Linux
import NIOCore

extension ImageService {
  /// An archive of these images that is an OCI image layout and a docker-archive in one; manifests, configurations and
  /// layers are the stored bytes, so every digest stays. A name without a tag means all tags of that name.
  /// - Throws: `notFound` before anything is written.
  public func save(_ texts: [String]) async throws -> ByteStream {
    guard !texts.isEmpty else { throw ApusError(.invalidArgument, "no image to save was named") }
    let images = try await blocking.run { [self] in
      try read { database in
        var images: [ArchiveIndex.Item] = []
        for text in texts {
          for (id, names) in try Self.selection(text, database) {
            if let known = images.firstIndex(where: { $0.image.id == id }) {
              images[known].names += names.filter { !images[known].names.contains($0) }
            } else if let image = try load(id, database) {
              images.append(ArchiveIndex.Item(image: image, names: names))
            }
          }
        }
        return images
      }
    }
    let blobs = images.flatMap { [$0.image.manifestDigest, $0.image.id] + $0.image.manifest.layers.map(\.digest) }
    let hold = ContentHold(blobs, owner: self)
    let parts = try await blocking.run { [self] in try ArchiveIndex(images).parts(content) }
    for item in images { event("save", item.image.id.description, name: item.image.id.description) }
    let source = ArchiveSource(parts, content: content, blocking: blocking, hold: hold)
    return ByteStream { try await source.next() }
  }

  /// What one text of a save means: an image, and the names that go with it.
  private static func selection(_ text: String, _ database: Database) throws -> [(Digest, [Reference])] {
    if let reference = try? Reference(parsing: text), reference.tag == nil, reference.digest == nil {
      let named = try ImageTable.tags(of: reference.name, database)
      if !named.isEmpty { return named.map { ($0.image, [$0.reference]) } }
    }
    guard let id = try find(text, database) else { throw noSuchImage(text) }
    // Only a name that was asked for by name is written.
    guard let reference = try? Reference(parsing: text).withDefaultTag, reference.digest == nil,
      try ImageTable.imageID(named: reference.canonical, database) == id
    else { return [(id, [])] }
    return [(id, [reference])]
  }
}

/// The documents of a saved archive, and what else belongs into it.
struct ArchiveIndex {
  struct Item: Sendable {
    var image: Image
    var names: [Reference]
  }

  /// A piece of the archive: bytes, or a blob of the store.
  enum Part: Sendable {
    case bytes([UInt8])
    case blob(Digest, size: Int64)
  }

  /// One line of docker's `manifest.json`.
  private struct Line: Encodable {
    var Config: String
    var RepoTags: [String]?
    var Layers: [String]
  }

  private let items: [Item]

  init(_ items: [Item]) { self.items = items }

  /// The whole archive, in order: its documents first, so that a reader may know what comes.
  /// - Throws: `internal` naming a blob that is missing.
  func parts(_ content: ContentStore) throws -> [Part] {
    let index = Index(manifests: try items.flatMap { try descriptors($0, content) })
    let lines = items.map { item in
      Line(
        Config: Self.path(item.image.id), RepoTags: item.names.isEmpty ? nil : item.names.map(\.familiar),
        Layers: item.image.manifest.layers.map { Self.path($0.digest) })
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var parts = [
      Self.file("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)),
      Self.file("index.json", try index.json()),
      Self.file("manifest.json", Array(try encoder.encode(lines))),
      .bytes(ArchiveHeader.directory("blobs/")), .bytes(ArchiveHeader.directory("blobs/sha256/")),
    ]
    var written: Set<Digest> = []
    for item in items {
      let blobs = [item.image.manifestDigest, item.image.id] + item.image.manifest.layers.map(\.digest)
      for digest in blobs where written.insert(digest).inserted {
        guard let size = content.size(of: digest) else {
          throw ApusError(
            .internal, "image \(item.image.id.short) cannot be saved: its content \(digest.short) is missing")
        }
        parts.append(.bytes(ArchiveHeader.file(Self.path(digest), size: size)))
        parts.append(.blob(digest, size: size))
        parts.append(.bytes(ArchiveHeader.padding(size)))
      }
    }
    parts.append(.bytes(ArchiveHeader.end))
    return parts
  }

  /// One descriptor for each name: the layout has one place for one name.
  private func descriptors(_ item: Item, _ content: ContentStore) throws -> [Descriptor] {
    let image = item.image
    let type = image.manifest.mediaType.flatMap { $0.isEmpty ? nil : $0 } ?? MediaType.manifest
    let plain = Descriptor(
      mediaType: type, digest: image.manifestDigest, size: content.size(of: image.manifestDigest) ?? 0,
      platform: image.platform)
    guard !item.names.isEmpty else { return [plain] }
    return item.names.map { name in
      var descriptor = plain
      descriptor.annotations = [
        "io.containerd.image.name": name.canonical,
        "org.opencontainers.image.ref.name": name.tag ?? Reference.defaultTag,
      ]
      return descriptor
    }
  }

  private static func path(_ digest: Digest) -> String { "blobs/\(digest.algorithm.rawValue)/\(digest.hex)" }

  private static func file(_ name: String, _ bytes: [UInt8]) -> Part {
    .bytes(ArchiveHeader.file(name, size: Int64(bytes.count)) + bytes + ArchiveHeader.padding(Int64(bytes.count)))
  }
}

/// Produces an archive piece by piece, as it is asked for.
private actor ArchiveSource {
  private let parts: [ArchiveIndex.Part]
  private let content: ContentStore
  private let blocking: BlockingPool
  private let hold: ContentHold
  private var index = 0
  /// Of the blob that is being read.
  private var offset: Int64 = 0
  private var file: OwnedPipeEnd?

  init(_ parts: [ArchiveIndex.Part], content: ContentStore, blocking: BlockingPool, hold: ContentHold) {
    self.parts = parts
    self.content = content
    self.blocking = blocking
    self.hold = hold
  }

  func next() async throws -> ByteBuffer? {
    var small: [UInt8] = []
    while index < parts.count {
      switch parts[index] {
      case .bytes(let bytes):
        small += bytes
        index += 1
      case .blob(let digest, let size):
        if !small.isEmpty { return ByteBuffer(bytes: small) }
        if let buffer = try await read(digest, size) { return buffer }
        index += 1
        offset = 0
        file = nil
      }
    }
    if !small.isEmpty { return ByteBuffer(bytes: small) }
    hold.release()
    return nil
  }

  private func read(_ digest: Digest, _ size: Int64) async throws -> ByteBuffer? {
    guard offset < size else { return nil }
    let (start, content, open) = (offset, content, file)
    let (buffer, opened) = try await blocking.run {
      let file = try open ?? OwnedPipeEnd(content.open(digest))
      let count = Int(min(size - start, 1 << 20))
      var buffer = ByteBufferAllocator().buffer(capacity: count)
      while case let missing = count - buffer.readableBytes, missing > 0 {
        let got = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: missing) { space in
          try file.read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<missing]))
        }
        guard got > 0 else { throw ApusError(.internal, "content \(digest.short) is shorter than it was") }
      }
      return (buffer, file)
    }
    file = opened
    offset += Int64(buffer.readableBytes)
    return buffer
  }
}
