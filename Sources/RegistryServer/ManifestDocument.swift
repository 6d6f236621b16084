import FoundationEssentials
import HTTPTypes
import ImageSpec

/// A manifest in an address: a tag or a digest.
enum ManifestReference: Equatable, Sendable {
  case tag(String)
  case digest(Digest)

  /// - Throws: ``Problem`` for what is neither.
  init(_ text: String) throws(Problem) {
    if text.contains(":") {
      guard let digest = Digest(text) else { throw .invalidDigest }
      self = .digest(digest)
    } else {
      guard Reference.isTag(text[...]) else {
        throw Problem(.badRequest, .manifestInvalid, "the tag is none: expected [A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
      }
      self = .tag(text)
    }
  }

  var text: String {
    switch self {
    case .tag(let tag): tag
    case .digest(let digest): digest.description
    }
  }
}

/// What the registry must know of a manifest that is pushed.
struct ManifestDocument: Equatable, Sendable {
  var mediaType: String
  /// What must be in the repository already.
  var blobs: [Digest] = []
  var manifests: [Digest] = []
  var subject: Digest?
  /// As a list of referrers shows it.
  var artifactType: String?
  var annotations: [String: String]?

  /// - Parameter contentType: of the request; it says what the document is where that does not say it itself.
  /// - Throws: ``Problem``: `MANIFEST_INVALID`.
  init(_ bytes: [UInt8], contentType: String?) throws(Problem) {
    struct Shape: Decodable {
      var mediaType: String?
      var manifests: [Anything]?
      var config: Anything?
      var layers: [Anything]?
    }
    struct Anything: Decodable { init(from decoder: any Decoder) {} }
    guard let shape = try? JSONDecoder().decode(Shape.self, from: Data(bytes)) else {
      throw Self.invalid("the manifest is no JSON object")
    }
    let said = contentType.map { $0.prefix { $0 != ";" }.filter { $0 != " " }.lowercased() }
    if let said, let own = shape.mediaType, said != own, MediaType.manifestsAndIndexes.contains(said) {
      throw Self.invalid("the manifest says that it is '\(own.prefix(100))', the request that it is '\(said)'")
    }
    // A document that is both would be read differently by different tools (CVE-2021-41190).
    guard shape.manifests == nil || shape.config == nil && shape.layers == nil else {
      throw Self.invalid("the manifest claims to be an index as well")
    }
    mediaType = shape.mediaType ?? said ?? ""
    do {
      if MediaType.isIndex(mediaType) {
        let index = try Index(json: bytes)
        manifests = index.manifests.map(\.digest)
        subject = index.subject?.digest
        artifactType = index.artifactType.flatMap { $0.isEmpty ? nil : $0 }
        annotations = index.annotations
      } else if MediaType.isManifest(mediaType) {
        let manifest = try Manifest(json: bytes)
        blobs = [manifest.config.digest] + manifest.layers.filter { !Self.isElsewhere($0) }.map(\.digest)
        subject = manifest.subject?.digest
        artifactType = manifest.artifactType.flatMap { $0.isEmpty ? nil : $0 } ?? manifest.config.mediaType
        annotations = manifest.annotations
      } else {
        throw Self.invalid("manifests of type '\(mediaType.prefix(100))' are not stored here")
      }
    } catch let problem as Problem {
      throw problem
    } catch {
      throw Self.invalid("\(error)")
    }
  }

  /// Layers that registries do not keep: Docker's foreign ones, OCI's non-distributable ones.
  private static func isElsewhere(_ layer: Descriptor) -> Bool {
    layer.mediaType.contains(".nondistributable.") || layer.mediaType.contains(".foreign.")
  }

  private static func invalid(_ why: String) -> Problem { Problem(.badRequest, .manifestInvalid, why) }
}
