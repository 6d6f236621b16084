import Errors
import ImageSpec
import Layers

/// What a name stands for, document by document: what a push sends and an archive holds.
struct ImageTarget: Sendable {
  /// A manifest or an index, with the bytes that its digest names.
  struct Document: Sendable {
    enum Kind: Sendable {
      case manifest(Manifest)
      case index(Index)
    }
    var descriptor: Descriptor
    var bytes: [UInt8]
    var kind: Kind
  }

  /// Every manifest and index that is in the store, what is named before what names it; the last is the target.
  private(set) var documents: [Document] = []
  /// What an index names and the store lacks, in whole or in part: manifests for other platforms, usually.
  private(set) var missing: [Descriptor] = []

  /// Indexes in indexes, and manifests in one target.
  static let depthLimit = 4
  static let documentLimit = 2000

  /// Reads the target and all it names. Blocks; the caller holds the content.
  /// - Throws: `notFound` when the target itself is not in the store, `invalidArgument` for documents that are none.
  init(_ digest: Digest, in content: ContentStore) throws(ApusError) {
    var visited: Set<Digest> = []
    let top = try Self.document(digest, platform: nil, in: content)
    try add(top, in: content, depth: 0, &visited)
  }

  var top: Document { documents[documents.count - 1] }
  var isComplete: Bool { missing.isEmpty }

  var manifests: [(descriptor: Descriptor, manifest: Manifest)] {
    documents.compactMap { document in
      guard case .manifest(let manifest) = document.kind else { return nil }
      return (document.descriptor, manifest)
    }
  }

  /// Everything in the order in which an archive has it: documents, then what they name, nothing twice.
  var blobs: [Digest] {
    var seen: Set<Digest> = []
    let all =
      documents.reversed().map(\.descriptor.digest)
      + manifests.flatMap { [$0.manifest.config.digest] + $0.manifest.layers.map(\.digest) }
    return all.filter { seen.insert($0).inserted }
  }

  private mutating func add(
    _ document: Document, in content: ContentStore, depth: Int, _ visited: inout Set<Digest>
  ) throws(ApusError) {
    guard visited.insert(document.descriptor.digest).inserted else { return }
    guard visited.count <= Self.documentLimit else {
      throw ApusError(.invalidArgument, "an index names more than \(Self.documentLimit) manifests: refused")
    }
    switch document.kind {
    case .manifest(let manifest):
      let parts = [manifest.config] + manifest.layers.filter { !$0.isForeign }
      guard parts.allSatisfy({ content.size(of: $0.digest) == $0.size }) else {
        missing.append(document.descriptor)
        if depth == 0 { documents.append(document) }
        return
      }
    case .index(let index):
      guard depth < Self.depthLimit else {
        throw ApusError(.invalidArgument, "indexes are nested more than \(Self.depthLimit) deep: refused")
      }
      for entry in index.manifests {
        guard content.size(of: entry.digest) == entry.size else {
          missing.append(entry)
          continue
        }
        let next = try Self.document(entry.digest, platform: entry.platform, in: content)
        try add(next, in: content, depth: depth + 1, &visited)
      }
    }
    documents.append(document)
  }

  static func document(
    _ digest: Digest, platform: Platform?, in content: ContentStore
  ) throws(ApusError) -> Document {
    let bytes = try content.read(digest)
    var document = try Document(bytes: bytes, digest: digest)
    document.descriptor.platform = platform
    return document
  }
}

extension ImageTarget.Document {
  /// Tells a manifest from an index by what is in it. A document that could be read as both is refused
  /// (CVE-2021-41190): two tools would see two images.
  init(bytes: [UInt8], digest: Digest) throws(ApusError) {
    let manifest = try? Manifest(json: bytes)
    let index = try Index(json: bytes)
    guard manifest == nil || index.manifests.isEmpty else {
      throw ApusError(.invalidArgument, "manifest \(digest.short) claims to be an index as well: refused")
    }
    let type: String
    if let manifest {
      kind = .manifest(manifest)
      let docker = manifest.config.mediaType == MediaType.dockerConfiguration
      type =
        manifest.mediaType.flatMap { MediaType.isManifest($0) ? $0 : nil }
        ?? (docker ? MediaType.dockerManifest : MediaType.manifest)
    } else {
      kind = .index(index)
      type = index.mediaType.flatMap { MediaType.isIndex($0) ? $0 : nil } ?? MediaType.index
    }
    descriptor = Descriptor(mediaType: type, digest: digest, size: Int64(bytes.count))
    self.bytes = bytes
  }
}

extension Descriptor {
  /// A layer that registries do not keep: its terms forbid it, it is got from its own addresses (image-spec,
  /// "Non-Distributable Layers").
  var isForeign: Bool {
    urls?.isEmpty == false
      && (mediaType.contains("nondistributable") || mediaType.contains("rootfs.foreign"))
  }
}
