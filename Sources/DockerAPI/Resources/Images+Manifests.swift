import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Hummingbird
import ImageSpec

/// `/apus/v1/manifest`: what `apus manifest` needs of a registry. Docker's own command talks to registries itself; the
/// daemon does it here, with its mirrors and certificates.
extension DockerAPI {
  /// `GET /apus/v1/manifest?reference=…[&insecure=1]`: the document, from the registry or else as it is kept here.
  @Sendable func inspectManifest(_ request: APIRequest) async throws -> Response {
    guard let reference = request.query.text("reference") else {
      throw ApusError(.invalidArgument, "give the manifest's name in the query parameter reference")
    }
    let found = try await engine.images.manifest(
      of: reference, credentials: try request.registryCredentials(), insecure: request.query.flag("insecure"))
    var answer = ManifestDocument()
    answer.ref = found.reference.canonical
    var descriptor = found.descriptor
    descriptor.platform = found.platform
    answer.descriptor = DescriptorSummary(descriptor)
    answer.raw = Data(found.bytes).base64EncodedString()
    return .json(answer)
  }

  /// `POST /apus/v1/manifest/push[?insecure=1]`: makes a list of the manifests in the body, and pushes it.
  @Sendable func pushManifestList(_ request: APIRequest) async throws -> Response {
    let wire = try await request.body(ManifestPushRequest.self)
    let manifests = try wire.manifests.map { entry in
      guard let raw = Data(base64Encoded: entry.raw) else {
        throw ApusError(.invalidArgument, "the manifest of \(entry.ref) is not base64")
      }
      let platform = entry.descriptor.platform.map { platform in
        Platform(
          architecture: platform.architecture, os: platform.os, variant: platform.variant?.nonEmpty,
          osVersion: platform.osVersion?.nonEmpty, osFeatures: platform.osFeatures)
      }
      return ListedManifest(
        reference: try Reference(parsing: entry.ref),
        descriptor: Descriptor(
          mediaType: entry.descriptor.mediaType, digest: try Digest(parsing: entry.descriptor.digest),
          size: Int64(raw.count), platform: platform),
        bytes: Array(raw))
    }
    return try await progress(
      engine.images.pushList(
        wire.ref, of: manifests, credentials: try request.registryCredentials(),
        insecure: request.query.flag("insecure")), request, ahead: 1)
  }
}
