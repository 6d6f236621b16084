import Errors
import FoundationEssentials
import ImageSpec
import Registry

/// Questions to a registry that bring no image here.
extension ImageService {
  /// Whether a registry takes these credentials: `docker login`'s question.
  ///
  /// - Parameter server: a registry's name, or its address as old clients keep it (`https://index.docker.io/v1/`).
  /// - Throws: `permissionDenied` when it does not, `unavailable` when it cannot be asked.
  public func checkCredentials(_ credentials: RegistryCredentials, server: String) async throws {
    var domain = server[...]
    for scheme in ["https://", "http://"] where domain.hasPrefix(scheme) { domain = domain.dropFirst(scheme.count) }
    domain = domain.prefix { $0 != "/" }
    if domain.isEmpty || domain == "index.docker.io" { domain = "docker.io" }
    try await withClient(String(domain), credentials: credentials) { try await $0.checkCredentials() }
  }

  /// Looks for repositories by a term, which may begin with a registry (`registry.example/team`); Docker Hub otherwise.
  /// - Throws: `unsupported` where the registry cannot be searched.
  public func search(
    _ term: String, limit: Int = 25, credentials: RegistryCredentials? = nil
  ) async throws -> [SearchResult] {
    guard !term.isEmpty, term.utf8.count <= 255, !term.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }) else {
      throw ApusError(.invalidArgument, "invalid search term: give a part of an image's name")
    }
    guard (1...100).contains(limit) else {
      throw ApusError(.invalidArgument, "limit \(limit) is outside the range of [1, 100]")
    }
    guard !term.contains("://") else {
      throw ApusError(.invalidArgument, "invalid repository name (\(term)): it must not contain '://'")
    }
    var (domain, wanted) = (Reference.defaultDomain, term[...])
    if let slash = term.firstIndex(of: "/") {
      let first = term[..<slash]
      if first.contains(".") || first.contains(":") || first == "localhost" {
        if first != "index.docker.io", first != "docker.io" { domain = String(first) }
        wanted = term[term.index(after: slash)...]
      }
    }
    if domain == Reference.defaultDomain, wanted.hasPrefix("library/") { wanted = wanted.dropFirst("library/".count) }
    let query = String(wanted)
    return try await withClient(domain, credentials: credentials) { try await $0.search(query, limit: limit) }
  }

  /// What a registry says of an image without its being pulled (`GET /distribution/{name}/json`).
  public struct Distribution: Sendable {
    public var descriptor: Descriptor
    public var platforms: [Platform]
  }

  public func distribution(of text: String, credentials: RegistryCredentials? = nil) async throws -> Distribution {
    let document = try await manifest(of: text, credentials: credentials, allowStored: false)
    switch document.content {
    case .index(let index):
      return Distribution(descriptor: document.descriptor, platforms: index.manifests.compactMap(\.platform))
    case .manifest:
      return Distribution(descriptor: document.descriptor, platforms: document.platform.map { [$0] } ?? [])
    }
  }

  /// A manifest or an index as a registry has it.
  public struct RegistryDocument: Sendable {
    /// The reference in full: `docker.io/library/debian:12`.
    public var reference: Reference
    public var descriptor: Descriptor
    public var bytes: [UInt8]
    public var content: FetchedManifest.Content
    /// Of a manifest: what its configuration says, where it is an image's.
    public var platform: Platform?
  }

  /// The manifest or index that a reference names, from its registry.
  ///
  /// - Parameters:
  ///   - insecure: as in `docker manifest --insecure`: no TLS is needed, nor a certificate that is trusted.
  ///   - allowStored: where the registry cannot be asked, or does not have it, what is kept here under that name.
  public func manifest(
    of text: String, credentials: RegistryCredentials? = nil, insecure: Bool = false, allowStored: Bool = true
  ) async throws -> RegistryDocument {
    let reference = try Reference(parsing: text).withDefaultTag
    do {
      return try await withClient(reference.domain, credentials: credentials, insecure: insecure) { client in
        let fetched = try await client.manifest(reference)
        var document = RegistryDocument(
          reference: reference, descriptor: fetched.descriptor, bytes: fetched.bytes, content: fetched.content)
        if case .manifest(let manifest) = fetched.content, MediaType.isConfiguration(manifest.config.mediaType) {
          let config = try await client.blob(manifest.config, of: reference)
          document.platform = try ImageConfiguration(json: config).platform
        }
        return document
      }
    } catch let error as ApusError where allowStored {
      guard let stored = try await storedDocument(reference) else { throw error }
      return stored
    }
  }

  private func storedDocument(_ reference: Reference) async throws -> RegistryDocument? {
    try await blocking.run { [self] in
      guard let digest = try read({ try ImageTable.target(named: Self.storedName(reference), $0) }),
        content.contains(digest)
      else { return nil }
      let document = try ImageTarget.document(digest, platform: nil, in: content)
      var platform: Platform?
      let kind: FetchedManifest.Content
      switch document.kind {
      case .index(let index): kind = .index(index)
      case .manifest(let manifest):
        kind = .manifest(manifest)
        platform = try ImageConfiguration(json: content.read(manifest.config.digest)).platform
      }
      return RegistryDocument(
        reference: reference, descriptor: document.descriptor, bytes: document.bytes, content: kind, platform: platform)
    }
  }
}
