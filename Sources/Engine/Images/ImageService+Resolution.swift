import Errors
import ImageSpec
import Registry

/// What a reference came to on one platform, with everything that was read on the way.
struct ResolvedImage: Sendable {
  /// What the reference named: an index, or the manifest itself. Its digest pins the reference.
  var named: Descriptor
  /// Indexes from the named one down to the one that names the manifest; none where the manifest was named itself.
  var indexes: [FetchedManifest]
  var manifest: Manifest
  var descriptor: Descriptor
  var bytes: [UInt8]
}

extension ImageService {
  /// Follows indexes down to the manifest for a platform.
  /// - Throws: as ``RegistryClient/manifest(_:)``; `notFound` when nothing is offered for the platform,
  ///   `invalidArgument` for indexes that are nested too deeply or name themselves.
  func resolve(
    _ reference: Reference, platform: Platform, from client: RegistryClient
  ) async throws -> ResolvedImage {
    let first = try await client.manifest(reference)
    var indexes: [FetchedManifest] = []
    var current = first
    while true {
      switch current.content {
      case .manifest(let manifest):
        return ResolvedImage(
          named: first.descriptor, indexes: indexes, manifest: manifest, descriptor: current.descriptor,
          bytes: current.bytes)
      case .index(let index):
        indexes.append(current)
        guard let chosen = index.manifest(for: platform) else {
          let offered = Set(index.manifests.compactMap(\.platform).filter { $0.os != "unknown" }.map(\.description))
          throw ApusError(
            .notFound,
            "no matching manifest for \(platform) in the manifest list entries: \(reference.familiar) is offered for "
              + (offered.isEmpty ? "no platform" : offered.sorted().prefix(20).joined(separator: ", ")))
        }
        guard indexes.count < ImageTarget.depthLimit else {
          throw ApusError(
            .invalidArgument,
            "the index of \(reference.familiar) is nested more than \(ImageTarget.depthLimit) deep: refused")
        }
        current = try await client.manifest(reference.with(digest: chosen.digest))
        guard current.descriptor.size == chosen.size else {
          throw ApusError(
            .invalidArgument,
            "\(reference.domain) sent a manifest of \(current.descriptor.size) bytes for \(reference.familiar), its index "
              + "says \(chosen.size)")
        }
      }
    }
  }

  /// A client for one operation on a registry, closed when `body` ends.
  ///
  /// - Parameter insecure: its certificate is not verified, and plain HTTP will do, whatever the configuration says.
  func withClient<Result>(
    _ domain: String, credentials: RegistryCredentials?, configuration: RegistryConfiguration? = nil,
    insecure: Bool = false, _ body: (RegistryClient) async throws -> Result
  ) async throws -> Result {
    var configuration = try configuration ?? registryConfiguration()
    if insecure { configuration.insecureRegistries.insert(domain) }
    let client = RegistryClient(
      domain: domain, credentials: credentials, configuration: configuration, logger: logger)
    let result: Result
    do {
      result = try await body(client)
    } catch {
      await client.shutdown()
      throw error
    }
    await client.shutdown()
    return result
  }
}
