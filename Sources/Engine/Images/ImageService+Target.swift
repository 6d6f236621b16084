import Errors
import GRDB
import ImageSpec

/// What is sent for a name, to a registry or into an archive.
struct TransferTarget: Sendable {
  var target: ImageTarget
  /// The index that the name stands for, where it cannot be sent whole and a manifest goes in its place.
  var index: ImageTarget?
}

extension ImageService {
  /// What a name stands for; without a name the image's own manifest. An index of which a part is missing here comes
  /// to the manifest of this image. Blocks; the caller holds the content.
  ///
  /// - Parameters:
  ///   - name: canonical, of the image with that ID.
  ///   - platform: only the manifest for it, even of an index that is whole.
  ///   - text: what the user called it, for the error.
  /// - Throws: `notFound` where nothing is here for the platform.
  func transferTarget(
    _ id: Digest, _ name: String?, platform: Platform?, _ text: String, _ database: Database
  ) throws -> TransferTarget {
    guard let image = try load(id, database) else { throw Self.noSuchImage(text) }
    let named = try name.flatMap { try ImageTable.target(named: $0, database) }
    guard let named, named != image.manifestDigest, content.contains(named) else {
      try checkPlatform(of: image, is: platform, text)
      return TransferTarget(target: try ImageTarget(image.manifestDigest, in: content))
    }
    let target = try ImageTarget(named, in: content)
    if target.isComplete, platform == nil { return TransferTarget(target: target) }
    if let platform {
      // A manifest's platform is told by the index, or by its configuration.
      for (descriptor, manifest) in target.manifests {
        let offered = try descriptor.platform ?? ImageConfiguration(json: content.read(manifest.config.digest)).platform
        guard platform.distance(to: offered) == 0 else { continue }
        return TransferTarget(target: try ImageTarget(descriptor.digest, in: content), index: target)
      }
      throw Self.lacksPlatform(platform, text)
    }
    let own = target.manifests.first { $0.manifest.config.digest == id }?.descriptor.digest ?? image.manifestDigest
    return TransferTarget(target: try ImageTarget(own, in: content), index: target)
  }

  private func checkPlatform(of image: Image, is platform: Platform?, _ text: String) throws {
    if let platform, platform.distance(to: image.platform) == nil { throw Self.lacksPlatform(platform, text) }
  }

  private static func lacksPlatform(_ platform: Platform, _ text: String) -> ApusError {
    ApusError(
      .notFound, "image with reference \(text) was found but does not provide the specified platform (\(platform))")
  }
}
