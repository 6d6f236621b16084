import Errors
import ImageSpec
import Logging

@testable import Registry

/// Runs `body` with a client of a scripted registry, and ends both.
func withRegistry(
  credentials: RegistryCredentials? = nil, manifestLimit: Int = 4 << 20, mirrors: [RegistriesFile.Mirror] = [],
  configure: (inout RegistryConfiguration) -> Void = { _ in },
  answering handler: @escaping @Sendable (FakeRegistry.Request) -> FakeRegistry.Response,
  run body: (FakeRegistry, RegistryClient) async throws -> Void
) async throws {
  let registry = try FakeRegistry(handler)
  defer { registry.stop() }
  var configuration = RegistryConfiguration()
  configuration.retryDelay = 1
  configuration.manifestLimit = manifestLimit
  configuration.certificateDirectories = []
  if !mirrors.isEmpty { configuration.registries.registries = [.init(prefix: registry.domain, mirrors: mirrors)] }
  configure(&configuration)
  let client = RegistryClient(
    domain: registry.domain, credentials: credentials, configuration: configuration,
    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  do {
    try await body(registry, client)
  } catch {
    await client.shutdown()
    throw error
  }
  await client.shutdown()
}

func blob(_ bytes: [UInt8]) -> Descriptor {
  Descriptor(mediaType: MediaType.layer, digest: ContentHash.digest(of: bytes), size: Int64(bytes.count))
}

let manifestText: String = {
  let config = blob(Array("{}".utf8))
  return """
    {"schemaVersion":2,"mediaType":"\(MediaType.manifest)",\
    "config":{"mediaType":"\(MediaType.configuration)","digest":"\(config.digest)","size":2},"layers":[]}
    """
}()
