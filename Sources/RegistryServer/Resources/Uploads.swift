import HTTPTypes
import Hummingbird
import HummingbirdCore
import ImageSpec
import NIOCore

extension RegistryResources {
  /// `POST /v2/<name>/blobs/uploads/`: opens an upload, mounts a blob, or takes all of one at once.
  func begin(_ call: Call, _ name: String) async throws -> Response {
    guard call.method == .post else { throw Problem.wrongMethod("POST") }
    if let text = call.query["mount"] {
      guard let digest = Digest(text) else { throw Problem.invalidDigest }
      if try await metadata.mount(digest, from: call.query["from"], to: name) { return created(digest, name) }
    }
    var algorithm = Digest.Algorithm.sha256
    if let text = call.query["digest-algorithm"] {
      guard let known = Digest.Algorithm(rawValue: text) else {
        throw Problem(.badRequest, .digestInvalid, "only sha256 and sha512 are known here")
      }
      algorithm = known
    }
    let wanted = try call.query["digest"].map { text throws(Problem) in
      guard let digest = Digest(text) else { throw Problem.invalidDigest }
      return digest
    }
    let session = try await uploads.open(in: name, algorithm: wanted?.algorithm ?? algorithm)
    guard let wanted else { return await state(of: session, .accepted) }
    do {
      return try await finish(session, call, wanted)
    } catch {
      // Its address was never told: nobody could go on with it.
      await uploads.remove(session)
      throw error
    }
  }

  /// `/v2/<name>/blobs/uploads/<identifier>`
  func upload(_ call: Call, _ name: String, _ identifier: String) async throws -> Response {
    let session = try uploads.find(identifier, in: name)
    switch call.method {
    case .get, .head: return await state(of: session, .noContent)
    case .patch:
      try await append(call, to: session)
      return await state(of: session, .accepted)
    case .put:
      guard let digest = call.query["digest"].flatMap({ Digest($0) }) else { throw Problem.invalidDigest }
      return try await finish(session, call, digest)
    case .delete:
      await uploads.remove(session)
      return .empty(.noContent)
    default: throw Problem.wrongMethod("GET, PATCH, PUT, DELETE")
    }
  }

  private func append(_ call: Call, to session: UploadSession) async throws {
    var range: ChunkRange?
    if let text = call.headers[.contentRange] {
      guard let known = ChunkRange(text) else {
        throw Problem(.badRequest, .blobUploadInvalid, "the Content-Range is none: expected <start>-<end>")
      }
      range = known
    }
    do {
      try await session.append(call.request.body, range: range)
    } catch let problem as Problem where problem.status == .rangeNotSatisfiable {
      // Where the upload is, so that the client can go on from there.
      let state = await state(of: session, .rangeNotSatisfiable)
      var problem = problem
      for field in state.headers where field.name != .contentLength { problem.headers[field.name] = field.value }
      throw problem
    }
  }

  private func finish(_ session: UploadSession, _ call: Call, _ digest: Digest) async throws -> Response {
    try await session.use(digest.algorithm)
    // Bytes that are out of order leave the upload as it was; whatever else fails, it is over.
    try await append(call, to: session)
    do {
      try await session.finish(as: digest, in: metadata)
    } catch {
      await uploads.remove(session)
      throw error
    }
    await uploads.remove(session)
    stored()
    return created(digest, session.repository)
  }

  private func created(_ digest: Digest, _ name: String) -> Response {
    .empty(.created, [.location: "/v2/\(name)/blobs/\(digest)", .contentDigest: digest.description])
  }

  private func state(of session: UploadSession, _ status: HTTPResponse.Status) async -> Response {
    let size = await session.size
    return .empty(
      status,
      [
        .location: "/v2/\(session.repository)/blobs/uploads/\(session.identifier)",
        .range: "0-\(max(0, size - 1))", .uploadIdentifier: session.identifier,
      ])
  }
}
