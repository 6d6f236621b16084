import Errors
import FoundationEssentials
import ImageSpec

/// One image of an archive, before its layers are looked at.
struct ArchivedImage: Sendable {
  /// The manifest that came with it; nil: docker-archive, which has none.
  var manifest: (document: Manifest, bytes: [UInt8], digest: Digest)?
  var configBytes: [UInt8]
  var config: ImageConfiguration
  /// The index through which it was found, where the archive has all that the index names.
  var index: (digest: Digest, content: [Digest: Int64])?
  /// Files of the layers, lowest first; unused with a manifest.
  var layerFiles: [String] = []
  var names: [Reference]
}

/// Finds the images of an archive: OCI image layout (image-spec, "Image Layout"), Docker's `manifest.json`, or both in
/// one, as `docker save` writes since version 25; then the layout's digests count, and both tell names.
struct ArchiveLayout {
  private let spool: ArchiveSpool
  /// nil: this host's.
  private let platform: Platform?

  /// One line of Docker's `manifest.json`.
  private struct Item: Decodable {
    var Config: String
    var RepoTags: [String]?
    var Layers: [String]?
  }

  private static let imageLimit = 1000

  /// - Throws: `invalidArgument` when it is no image archive, or a broken one.
  static func images(in spool: ArchiveSpool, platform: Platform? = nil) throws -> [ArchivedImage] {
    let layout = ArchiveLayout(spool: spool, platform: platform)
    let items = try dockerItems(spool)
    if let bytes = try spool.document("index.json") {
      let images = try layout.images(try Index(json: bytes), items ?? [])
      if !images.isEmpty { return images }
    }
    if let items { return try items.map { try dockerImage($0, spool) }.filter(layout.isWanted) }
    if spool.file("repositories") != nil {
      throw ApusError(
        .unsupported,
        "the archive is of Docker's oldest format, without a manifest.json: save it again with a newer docker")
    }
    throw ApusError(.invalidArgument, "the archive holds no image: it has neither a manifest.json nor an index.json")
  }

  // MARK: docker-archive

  private static func dockerItems(_ spool: ArchiveSpool) throws -> [Item]? {
    guard let bytes = try spool.document("manifest.json") else { return nil }
    guard let items = try? JSONDecoder().decode([Item].self, from: Data(bytes)) else {
      throw ApusError(.invalidArgument, "the archive's manifest.json is not what docker writes")
    }
    guard items.count <= imageLimit else { throw ApusError(.invalidArgument, "the archive holds too many images") }
    return items
  }

  private static func dockerImage(_ item: Item, _ spool: ArchiveSpool) throws -> ArchivedImage {
    guard let bytes = try spool.document(item.Config) else {
      throw ApusError(.invalidArgument, "the archive lacks '\(item.Config.prefix(200))', an image's configuration")
    }
    let config = try ImageConfiguration(json: bytes)
    let files = item.Layers ?? []
    guard files.count == config.rootfs.diffIDs.count else {
      throw ApusError(
        .invalidArgument,
        "the archive is inconsistent: \(files.count) layers of an image whose configuration says \(config.rootfs.diffIDs.count)"
      )
    }
    return ArchivedImage(
      configBytes: bytes, config: config, layerFiles: files, names: try names(of: item))
  }

  private static func names(of item: Item) throws -> [Reference] {
    try (item.RepoTags ?? []).map { text in
      let reference = try Reference(parsing: text)
      guard reference.digest == nil else {
        throw ApusError(.invalidArgument, "the archive names an image by digest: '\(text.prefix(300))'")
      }
      return reference.withDefaultTag
    }
  }

  // MARK: OCI layout

  private func isWanted(_ image: ArchivedImage) -> Bool {
    platform.map { $0.distance(to: image.config.platform) != nil } ?? true
  }

  private func images(_ index: Index, _ items: [Item]) throws -> [ArchivedImage] {
    guard index.manifests.count <= Self.imageLimit else {
      throw ApusError(.invalidArgument, "the archive holds too many images")
    }
    let candidates = index.manifests.filter {
      $0.annotations?["vnd.docker.reference.type"] == nil && $0.platform?.os != "unknown"
    }
    // Several nameless manifests for several platforms are one image.
    let nameless = candidates.filter { Self.name(of: $0) == nil && $0.platform != nil }
    var chosen = candidates
    if nameless.count > 1, nameless.count == candidates.count,
      Set(nameless.compactMap { $0.platform?.normalized }).count == nameless.count,
      let best = index.manifest(for: platform ?? .host)
    {
      chosen = [best]
    }
    let annotated = Set(chosen.compactMap(Self.name))
    var images: [ArchivedImage] = []
    for descriptor in chosen {
      guard var image = try image(descriptor, depth: 0), isWanted(image) else { continue }
      if let name = Self.name(of: descriptor) { image.names = [name] }
      if MediaType.isIndex(descriptor.mediaType) { image.index = try wholeIndex(descriptor) }
      // Docker's file knows names that the layout has no place for.
      let id = ContentDigest.sha256(image.configBytes)
      for item in items where item.Config.contains(id.hex) {
        for name in try Self.names(of: item) where !annotated.contains(name) && !image.names.contains(name) {
          image.names.append(name)
        }
      }
      if let known = images.firstIndex(where: {
        $0.manifest?.digest == image.manifest?.digest && $0.index?.digest == image.index?.digest
      }) {
        images[known].names += image.names.filter { !images[known].names.contains($0) }
      } else {
        images.append(image)
      }
    }
    return images
  }

  /// The name that containerd and docker write, or skopeo and buildah; a bare tag is none.
  private static func name(of descriptor: Descriptor) -> Reference? {
    if let full = descriptor.annotations?["io.containerd.image.name"], let reference = try? Reference(parsing: full) {
      return reference.digest == nil ? reference.withDefaultTag : nil
    }
    guard let name = descriptor.annotations?["org.opencontainers.image.ref.name"],
      name.contains(":") || name.contains("/"),
      let reference = try? Reference(parsing: name), reference.digest == nil
    else { return nil }
    return reference.withDefaultTag
  }

  /// All blobs of an index, verified; nil where the archive lacks one: a part of an index is no index.
  private func wholeIndex(_ top: Descriptor) throws -> (digest: Digest, content: [Digest: Int64])? {
    var content: [Digest: Int64] = [:]
    var waiting = [(top, 0)]
    while let (descriptor, depth) = waiting.popLast() {
      guard content[descriptor.digest] == nil else { continue }
      guard spool.has(descriptor) else { return nil }
      guard content.count < ImageTarget.documentLimit * 8, depth <= ImageTarget.depthLimit else {
        throw ApusError(.invalidArgument, "the archive's indexes name too much, or are nested too deeply")
      }
      content[descriptor.digest] = descriptor.size
      try spool.blob(descriptor)
      guard MediaType.isIndex(descriptor.mediaType) || MediaType.isManifest(descriptor.mediaType) else { continue }
      let document = try ImageTarget.Document(bytes: spool.document(descriptor), digest: descriptor.digest)
      switch document.kind {
      case .index(let index): waiting += index.manifests.map { ($0, depth + 1) }
      case .manifest(let manifest):
        waiting += ([manifest.config] + manifest.layers.filter { !$0.isForeign }).map { ($0, depth) }
      }
    }
    return (top.digest, content)
  }

  private func image(_ descriptor: Descriptor, depth: Int) throws -> ArchivedImage? {
    guard depth < ImageTarget.depthLimit else {
      throw ApusError(.invalidArgument, "the archive's indexes are nested too deeply")
    }
    if MediaType.isIndex(descriptor.mediaType) {
      let index = try Index(json: spool.document(descriptor))
      let fallback = platform == nil ? index.manifests.first { $0.platform?.os != "unknown" } : nil
      guard let next = index.manifest(for: platform ?? .host) ?? fallback else { return nil }
      return try image(next, depth: depth + 1)
    }
    guard MediaType.isManifest(descriptor.mediaType) else { return nil }
    let bytes = try spool.document(descriptor)
    let manifest = try Manifest(json: bytes)
    guard MediaType.isConfiguration(manifest.config.mediaType) else { return nil }
    let configBytes = try spool.document(manifest.config)
    let config = try ImageConfiguration(json: configBytes)
    guard manifest.layers.count == config.rootfs.diffIDs.count else {
      throw ApusError(
        .invalidArgument,
        "the archive is inconsistent: \(manifest.layers.count) layers in a manifest, \(config.rootfs.diffIDs.count) in its "
          + "configuration")
    }
    return ArchivedImage(
      manifest: (manifest, bytes, descriptor.digest), configBytes: configBytes, config: config, names: [])
  }
}
