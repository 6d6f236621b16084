import Errors
import FoundationEssentials
import ImageSpec
import Layers
import NIOCore

extension ImageService {
  /// Makes an image with one layer of a root file system's tar (`docker import`), compressed by gzip, zstd, bzip2, xz or
  /// not at all.
  /// - Parameters:
  ///   - reference: its name; nil or empty: none.
  ///   - changes: Dockerfile instructions for the configuration.
  ///   - message: the comment of its history.
  /// - Throws: `invalidArgument` for an invalid name, change or archive; nothing stays behind.
  @discardableResult
  public func importTar(
    _ bytes: ByteStream, reference: String? = nil, changes: [String] = [], message: String? = nil,
    platform: String? = nil
  ) async throws -> Image {
    // Everything that can be wrong with the request is found before the first byte is stored.
    let name = try reference.flatMap { $0.isEmpty ? nil : try Reference(parsing: $0).withDefaultTag }
    var config = ImageConfiguration.Config()
    config.env = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    try DockerfileChanges.apply(changes, to: &config)
    let platform = try platform.flatMap { $0.isEmpty ? nil : try Platform(parsing: $0) }

    let hold = holdEverything()
    defer { hold.release() }
    let ingest = try await blocking.run { [layers, settings] in
      try LayerIngest(store: layers, keepBlob: true, compressTo: .gzip, limits: settings.layerLimits)
    }
    let layer = try await self.ingest(bytes, with: ingest)
    do {
      var commit = ImageCommit(layer: layer, reference: name?.canonical)
      commit.config = config
      commit.comment = message.flatMap { $0.isEmpty ? nil : $0 } ?? "Imported from -"
      commit.platform = platform
      let image = try await commitImage(commit)
      event("import", image.id.description, name: name?.familiar ?? image.id.description)
      await releaseFreedMemory()
      return image
    } catch {
      collectLater(layer.items)
      throw error
    }
  }
}
