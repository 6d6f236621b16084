import Errors
import FoundationEssentials
import ImageSpec

/// One image of an archive, before its layers are looked at.
struct ArchivedImage: Sendable {
  /// The manifest that came with it; nil: docker-archive, which has none.
  var manifest: (document: Manifest, bytes: [UInt8], digest: Digest)?
  var configBytes: [UInt8]
  var config: ImageConfiguration
  /// Files of the layers, lowest first; unused with a manifest.
  var layerFiles: [String] = []
  var names: [Reference]
}

/// Finds the images of an archive: OCI image layout (image-spec, "Image Layout"), Docker's `manifest.json`, or both in
/// one, as `docker save` writes since version 25; then the layout's digests count, and both tell names.
enum ArchiveLayout {
  /// One line of Docker's `manifest.json`.
  private struct Item: Decodable {
    var Config: String
    var RepoTags: [String]?
    var Layers: [String]?
  }

  private static let imageLimit = 1000

  /// - Throws: `invalidArgument` when it is no image archive, or a broken one.
  static func images(in spool: ArchiveSpool) throws -> [ArchivedImage] {
    let items = try dockerItems(spool)
    if let bytes = try spool.document("index.json") {
      let images = try layoutImages(try Index(json: bytes), spool, items ?? [])
      if !images.isEmpty { return images }
    }
    if let items { return try items.map { try dockerImage($0, spool) } }
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

  private static func layoutImages(
    _ index: Index, _ spool: ArchiveSpool, _ items: [Item]
  ) throws -> [ArchivedImage] {
    guard index.manifests.count <= imageLimit else {
      throw ApusError(.invalidArgument, "the archive holds too many images")
    }
    let candidates = index.manifests.filter {
      $0.annotations?["vnd.docker.reference.type"] == nil && $0.platform?.os != "unknown"
    }
    // Several nameless manifests for several platforms are one image.
    let nameless = candidates.filter { name(of: $0) == nil && $0.platform != nil }
    var chosen = candidates
    if nameless.count > 1, nameless.count == candidates.count,
      Set(nameless.compactMap { $0.platform?.normalized }).count == nameless.count,
      let best = index.manifest(for: .host)
    {
      chosen = [best]
    }
    var images: [ArchivedImage] = []
    for descriptor in chosen {
      guard var image = try layoutImage(descriptor, spool, depth: 0) else { continue }
      if let name = name(of: descriptor) { image.names = [name] }
      // Docker's file knows names that the layout has no place for.
      let id = ContentDigest.sha256(image.configBytes)
      for item in items where item.Config.contains(id.hex) {
        for name in try names(of: item) where !image.names.contains(name) { image.names.append(name) }
      }
      if let known = images.firstIndex(where: { $0.manifest?.digest == image.manifest?.digest }) {
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

  private static func layoutImage(_ descriptor: Descriptor, _ spool: ArchiveSpool, depth: Int) throws -> ArchivedImage?
  {
    guard depth < 4 else { throw ApusError(.invalidArgument, "the archive's indexes are nested too deeply") }
    if MediaType.isIndex(descriptor.mediaType) {
      let index = try Index(json: spool.document(descriptor))
      guard let next = index.manifest(for: .host) ?? index.manifests.first(where: { $0.platform?.os != "unknown" })
      else {
        return nil
      }
      return try layoutImage(next, spool, depth: depth + 1)
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
