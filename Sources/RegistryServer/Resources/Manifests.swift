import Errors
import HTTPTypes
import Hummingbird
import ImageSpec
import NIOCore
import NIOPosix

import struct Crypto.SHA256
import struct Crypto.SHA512

extension RegistryResources {
  /// `/v2/<name>/manifests/<reference>`
  func manifest(_ call: Call, _ name: String, _ reference: ManifestReference) async throws -> Response {
    switch call.method {
    case .get, .head: return try await getManifest(call, name, reference)
    case .put: return try await putManifest(call, name, reference)
    case .delete: return try await deleteManifest(name, reference)
    default: throw Problem.wrongMethod("GET, HEAD, PUT, DELETE")
    }
  }

  private func getManifest(_ call: Call, _ name: String, _ reference: ManifestReference) async throws -> Response {
    guard let descriptor = try await metadata.manifest(reference, of: name) else {
      guard try await metadata.hasRepository(name) else { throw Problem.unknownName(name) }
      throw Problem(.notFound, .manifestUnknown, "the repository has no manifest \(reference.text)")
    }
    let headers: HTTPFields = [
      .contentType: descriptor.mediaType, .contentDigest: descriptor.digest.description,
      .eTag: "\"\(descriptor.digest)\"",
    ]
    if call.headers[.ifNoneMatch] == "\"\(descriptor.digest)\"" {
      return Response(status: .notModified, headers: headers)
    }
    let (content, limit) = (content, limits.manifest)
    let bytes = try await NIOThreadPool.singleton.runIfActive { try content.read(descriptor.digest, limit: limit) }
    return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  private func putManifest(_ call: Call, _ name: String, _ reference: ManifestReference) async throws -> Response {
    let bytes = try await call.body(limit: limits.manifest)
    var tags = call.query.all("tag")
    guard tags.count <= 20, tags.allSatisfy({ Reference.isTag($0[...]) }) else {
      throw Problem(.badRequest, .manifestInvalid, "the tags are none, or more than twenty")
    }
    let digest: Digest
    switch reference {
    case .tag(let tag):
      digest = try Self.digest(of: bytes, .sha256)
      tags.append(tag)
    case .digest(let wanted):
      digest = try Self.digest(of: bytes, wanted.algorithm)
      guard digest == wanted else { throw Problem(.badRequest, .digestInvalid, "the manifest's digest is \(digest)") }
    }
    let document = try ManifestDocument(bytes, contentType: call.headers[.contentType])
    try await metadata.put(document, bytes: bytes, as: digest, tags: tags, in: name)
    stored()
    var headers: HTTPFields = [
      .location: "/v2/\(name)/manifests/\(digest)", .contentDigest: digest.description,
    ]
    if let subject = document.subject { headers[.subject] = subject.description }
    for tag in tags where !call.query.all("tag").isEmpty { headers.append(HTTPField(name: .tag, value: tag)) }
    return .empty(.created, headers)
  }

  private func deleteManifest(_ name: String, _ reference: ManifestReference) async throws -> Response {
    guard try await metadata.removeManifest(reference, of: name) else {
      guard try await metadata.hasRepository(name) else { throw Problem.unknownName(name) }
      throw Problem(.notFound, .manifestUnknown, "the repository has no manifest \(reference.text)")
    }
    return .empty(.accepted)
  }

  private static func digest(of bytes: [UInt8], _ algorithm: Digest.Algorithm) throws -> Digest {
    let digest =
      switch algorithm {
      case .sha256: Digest(bytes: SHA256.hash(data: bytes))
      case .sha512: Digest(bytes: SHA512.hash(data: bytes))
      }
    guard let digest else { throw ApusError(.internal, "a hash has a length that no digest has") }
    return digest
  }
}
