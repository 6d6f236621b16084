import Errors
import FoundationEssentials
import ImageSpec

/// Tells manifests from indexes. Registries are sloppy with `Content-Type`, so the document itself decides.
enum ManifestReader {
  private struct Shape: Decodable {
    struct Anything: Decodable {
      init(from decoder: any Decoder) {}
    }
    var schemaVersion: Int?
    var mediaType: String?
    var manifests: [Anything]?
    var config: Anything?
    var layers: [Anything]?
  }

  static func read(
    _ bytes: [UInt8], contentType: String?, of reference: Reference
  ) throws -> (mediaType: String, content: FetchedManifest.Content) {
    guard let shape = try? JSONDecoder().decode(Shape.self, from: Data(bytes)) else {
      throw ApusError(.invalidArgument, "\(reference.domain) sent no manifest for \(reference.familiar)")
    }
    let type = shape.mediaType ?? contentType ?? ""
    if type == MediaType.dockerManifestV1 || type == MediaType.dockerManifestV1Signed || shape.schemaVersion == 1 {
      throw ApusError(
        .unsupported,
        "\(reference.familiar) is stored in the obsolete schema 1, which is not supported: push it again with a current "
          + "client")
    }
    // A document that is both would be read differently by different tools (CVE-2021-41190).
    guard shape.manifests == nil || (shape.config == nil && shape.layers == nil) else {
      throw ApusError(
        .invalidArgument, "the manifest of \(reference.familiar) claims to be an index as well: refused")
    }
    if shape.manifests != nil {
      guard !MediaType.isManifest(type) else { throw mismatch(type, reference) }
      return (MediaType.isIndex(type) ? type : MediaType.index, .index(try Index(json: bytes)))
    }
    guard !MediaType.isIndex(type) else { throw mismatch(type, reference) }
    return (MediaType.isManifest(type) ? type : MediaType.manifest, .manifest(try Manifest(json: bytes)))
  }

  private static func mismatch(_ type: String, _ reference: Reference) -> ApusError {
    ApusError(.invalidArgument, "the manifest of \(reference.familiar) is not the '\(type)' that it claims to be")
  }
}
