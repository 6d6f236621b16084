import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Hummingbird
import ImageSpec
import NIOCore
import Registry

/// Bringing images in and out: pull, import, load, save, push, bootstrap.
extension DockerAPI {
  /// `POST /images/create`: a pull (`fromImage`) or an import (`fromSrc`).
  @Sendable func createImage(_ request: APIRequest) async throws -> Response {
    if let source = request.query.text("fromSrc") { return try await importImage(request, source: source) }
    guard let name = request.query.text("fromImage") else {
      throw ApusError(.invalidArgument, "give the image to pull in the query parameter fromImage")
    }
    var reference = name
    if let tag = request.query.text("tag") { reference += (tag.contains(":") ? "@" : ":") + tag }
    let credentials = try Registry.RegistryCredentials(header: request.headers[.registryAuth])
    return try await progress(
      engine.images.pull(reference, platform: request.query.text("platform"), credentials: credentials), request)
  }

  private func importImage(_ request: APIRequest, source: String) async throws -> Response {
    guard source == "-" else {
      throw ApusError(
        .unsupported, "importing from \(source) is not available: download it and send it as the request's body")
    }
    let query = request.query
    let reference = query.text("repo").map { repository in query.text("tag").map { "\(repository):\($0)" } ?? repository
    }
    let image = try await engine.images.importTar(
      request.bodyStream(), reference: reference, changes: query.all("changes"), message: query.text("message"),
      platform: query.text("platform"))
    var message = ProgressMessage()
    message.status = image.id.description
    return .json(message)
  }

  @Sendable func loadImages(_ request: APIRequest) async throws -> Response {
    let quiet = request.query.flag("quiet")
    return try await progress(engine.images.load(from: request.bodyStream()), request) { progress in
      if let loaded = progress.loaded {
        let isID = loaded.hasPrefix("sha256:")
        return ProgressMessage(stream: "Loaded image\(isID ? " ID" : ""): \(loaded)\n")
      }
      return quiet ? nil : ProgressMessage(progress)
    }
  }

  @Sendable func saveImages(_ request: APIRequest) async throws -> Response {
    let names = request.query.all("names").flatMap { $0.split(separator: ",").map(String.init) }
    guard !names.isEmpty else {
      throw ApusError(.invalidArgument, "give the images to save in the query parameter names")
    }
    return try await save(names, request)
  }

  @Sendable func saveImage(_ request: APIRequest) async throws -> Response {
    try await save([try request.parameter("name")], request)
  }

  private func save(_ names: [String], _ request: APIRequest) async throws -> Response {
    let bytes = try await engine.images.save(names)
    return .stream("application/x-tar", to: try await request.connection()) { writer in
      try await writer.write(contentsOf: bytes)
    }
  }

  @Sendable func pushImage(_ request: APIRequest) async throws -> Response {
    throw ApusError(.unsupported, "pushing images is not available in this version: save the image and push the file")
  }

  /// `POST /apus/v1/images/bootstrap`: an image from the host's own Debian mirror.
  @Sendable func bootstrapImage(_ request: APIRequest) async throws -> Response {
    guard let reference = request.query.text("reference") else {
      throw ApusError(.invalidArgument, "give the image to make in the query parameter reference, as in debian:12")
    }
    let packages = request.query.all("include").flatMap { $0.split(separator: ",").map(String.init) }
    return try await progress(
      engine.images.bootstrap(
        reference, suite: request.query.text("suite"), include: packages, initSystem: request.query.flag("init"),
        force: request.query.flag("force")), request)
  }

  /// Streams progress as Docker does. What fails before there is anything to tell is an answer with a status.
  private func progress(
    _ stream: ProgressStream, _ request: APIRequest,
    _ message: @escaping @Sendable (TransferProgress) -> ProgressMessage? = { ProgressMessage($0) }
  ) async throws -> Response {
    let source = ProgressSource(stream)
    // The first message only names the image; the second comes when it has been found.
    let first = [try await source.next(), try await source.next()].compactMap { $0 }
    return .stream("application/json", to: try await request.connection()) { writer in
      do {
        for step in first { if let message = message(step) { try await writer.write(json: message) } }
        while let step = try await source.next() {
          if let message = message(step) { try await writer.write(json: message) }
        }
      } catch let error as CancellationError {
        throw error
      } catch {
        try await writer.write(json: ProgressMessage(failure: ErrorTable.sentence(error)))
      }
    }
  }
}

/// Pulls a progress stream across tasks.
///
/// `@unchecked Sendable`: used by one task at a time; the handler reads the beginning, then the response's body the rest.
private final class ProgressSource: @unchecked Sendable {
  private var iterator: ProgressStream.AsyncIterator

  init(_ stream: ProgressStream) { iterator = stream.makeAsyncIterator() }

  func next() async throws -> TransferProgress? { try await iterator.next() }
}

extension Registry.RegistryCredentials {
  /// Reads `X-Registry-Auth`: base64url JSON; nil when there is none or nothing in it.
  init?(header: String?) throws(ApusError) {
    guard let header, !header.isEmpty else { return nil }
    var text = header.replacing("-", with: "+").replacing("_", with: "/")
    while text.utf8.count % 4 != 0 { text += "=" }
    guard let data = Data(base64Encoded: text),
      let wire = try? JSONDecoder().decode(DockerTypes.RegistryCredentials.self, from: data)
    else { throw ApusError(.invalidArgument, "the header X-Registry-Auth must be base64url JSON") }
    self.init(wire)
  }

  /// nil when there is nothing in it.
  init?(_ wire: DockerTypes.RegistryCredentials) {
    self.init(
      username: wire.username ?? "", password: wire.password ?? "", identityToken: wire.identitytoken ?? "",
      registryToken: wire.registrytoken ?? "")
    if isEmpty { return nil }
  }
}
