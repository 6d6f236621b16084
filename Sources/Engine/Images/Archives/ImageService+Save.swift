import Errors
import FoundationEssentials
import GRDB
import ImageSpec
import Layers
import Linux
import NIOCore

extension ImageService {
  /// An archive of these images that is an OCI image layout and a docker-archive in one; manifests, configurations and
  /// layers are the stored bytes, so every digest stays. A name without a tag means all tags of that name. A name that
  /// stands for an index whose content is all here is written as that index.
  /// - Parameter platform: only what an index has for this platform; nil: everything.
  /// - Throws: `notFound` before anything is written.
  public func save(_ texts: [String], platform: String? = nil) async throws -> ByteStream {
    guard !texts.isEmpty else { throw ApusError(.invalidArgument, "no image to save was named") }
    let wanted = try platform.flatMap { $0.isEmpty ? nil : try Platform(parsing: $0) }
    // What is written must not go while it is found out what that is.
    let everything = holdEverything()
    defer { everything.release() }
    let items = try await blocking.run { [self] in
      try read { database in
        var items: [ArchiveItem] = []
        for text in texts {
          for item in try selection(text, wanted, database) {
            if let known = items.firstIndex(where: {
              $0.image == item.image && $0.target.top.descriptor.digest == item.target.top.descriptor.digest
            }) {
              items[known].names += item.names.filter { !items[known].names.contains($0) }
            } else {
              items.append(item)
            }
          }
        }
        return items
      }
    }
    let hold = ContentHold(items.flatMap(\.target.blobs), owner: self)
    let parts = try await blocking.run { [self] in try ArchiveIndex(items).parts(content) }
    for item in items { event("save", item.image.description, name: item.image.description) }
    let source = ArchiveSource(parts, content: content, blocking: blocking, hold: hold)
    return ByteStream { try await source.next() }
  }

  /// What one text of a save means: images, and the names that go with them.
  private func selection(_ text: String, _ platform: Platform?, _ database: Database) throws -> [ArchiveItem] {
    if let reference = try? Reference(parsing: text), reference.tag == nil, reference.digest == nil {
      let named = try ImageTable.tags(of: reference.name, database)
      if !named.isEmpty {
        return try named.map { try archiveItem($0.image, $0.reference, text, platform, database) }
      }
    }
    guard let id = try Self.find(text, database) else { throw Self.noSuchImage(text) }
    // Only a name that was asked for by name is written.
    let reference = (try? Reference(parsing: text))?.withDefaultTag
    let isNamed = try reference.map { try ImageTable.imageID(named: Self.storedName($0), database) == id } ?? false
    return [try archiveItem(id, isNamed ? reference : nil, text, platform, database)]
  }

  private func archiveItem(
    _ id: Digest, _ name: Reference?, _ text: String, _ platform: Platform?, _ database: Database
  ) throws -> ArchiveItem {
    let target = try transferTarget(id, name.map(Self.storedName), platform: platform, text, database)
    let names = name.flatMap { $0.digest == nil ? [$0] : nil } ?? []
    let platform = try ImageConfiguration(json: content.read(id)).platform
    return ArchiveItem(image: id, names: names, platform: platform, target: target.target)
  }
}

/// One image of an archive that is written.
struct ArchiveItem: Sendable {
  var image: Digest
  var names: [Reference]
  /// Of the image.
  var platform: Platform
  var target: ImageTarget
}

/// The documents of a saved archive, and what else belongs into it.
struct ArchiveIndex {
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

  private let items: [ArchiveItem]

  init(_ items: [ArchiveItem]) { self.items = items }

  /// The whole archive, in order: its documents first, so that a reader may know what comes.
  /// - Throws: `internal` naming a blob that is missing.
  func parts(_ content: ContentStore) throws -> [Part] {
    let index = Index(manifests: items.flatMap(descriptors))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let blobs = items.flatMap(\.target.blobs)
    var parts = [
      Self.file("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)),
      Self.file("index.json", try index.json()),
      Self.file("manifest.json", Array(try encoder.encode(items.compactMap(line)))),
      .bytes(ArchiveHeader.directory("blobs/")),
    ]
    for algorithm in Digest.Algorithm.allCases
    where algorithm == .sha256 || blobs.contains(where: { $0.algorithm == algorithm }) {
      parts.append(.bytes(ArchiveHeader.directory("blobs/\(algorithm.rawValue)/")))
    }
    var written: Set<Digest> = []
    for digest in blobs where written.insert(digest).inserted {
      guard let size = content.size(of: digest) else {
        throw ApusError(
          .internal, "the images cannot be saved: their content \(digest.short) is missing; pull them again")
      }
      parts.append(.bytes(ArchiveHeader.file(Self.path(digest), size: size)))
      parts.append(.blob(digest, size: size))
      parts.append(.bytes(ArchiveHeader.padding(size)))
    }
    parts.append(.bytes(ArchiveHeader.end))
    return parts
  }

  /// Docker's line for the image of this host: its format knows no indexes.
  private func line(_ item: ArchiveItem) -> Line? {
    guard let manifest = item.target.manifests.first(where: { $0.manifest.config.digest == item.image })?.manifest
    else { return nil }
    return Line(
      Config: Self.path(item.image), RepoTags: item.names.isEmpty ? nil : item.names.map(\.familiar),
      Layers: manifest.layers.map { Self.path($0.digest) })
  }

  /// One descriptor for each name: the layout has one place for one name.
  private func descriptors(_ item: ArchiveItem) -> [Descriptor] {
    var plain = item.target.top.descriptor
    if case .manifest = item.target.top.kind { plain.platform = plain.platform ?? item.platform }
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
