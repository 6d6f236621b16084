import HTTPTypes
import Hummingbird
import ImageSpec
import Layers

/// The registry behind its addresses. One file for each kind of them.
struct RegistryResources: Sendable {
  let content: ContentStore
  let metadata: Metadata
  let uploads: UploadSessions
  let isReadOnly: Bool
  let limits: RegistryServerConfiguration.Limits
  /// Called when something was stored that should reach the disk.
  let stored: @Sendable () -> Void

  func answer(_ call: Call, _ route: Route) async throws -> Response {
    if isReadOnly, ![.get, .head].contains(call.method) {
      throw Problem(.methodNotAllowed, .unsupported, "the registry is read-only").with(.allow, "GET, HEAD")
    }
    switch route {
    case .base: return .json(.ok, [String: String]())
    case .catalog: return try await catalog(call)
    case .tags(let name): return try await tags(call, name)
    case .referrers(let name, let digest): return try await referrers(call, name, digest)
    case .manifest(let name, let reference): return try await manifest(call, name, try ManifestReference(reference))
    case .blob(let name, let digest): return try await blob(call, name, digest)
    case .uploads(let name): return try await begin(call, name)
    case .upload(let name, let identifier): return try await upload(call, name, identifier)
    }
  }
}
