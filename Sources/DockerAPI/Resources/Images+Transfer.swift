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
    // Without a tag anywhere every tag is meant; clients that mean `latest` say so.
    let written = try? Reference(parsing: reference)
    let allTags = written.map { $0.tag == nil && $0.digest == nil } ?? false
    return try await progress(
      engine.images.pull(
        reference, allTags: allTags, platform: try request.platform(), credentials: try request.registryCredentials()),
      request)
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
    return try await progress(
      engine.images.load(from: request.bodyStream(), platform: try request.platform()), request
    ) { progress in
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
    let bytes = try await engine.images.save(names, platform: try request.platform())
    return .stream("application/x-tar", to: try await request.connection()) { writer in
      try await writer.write(contentsOf: bytes)
    }
  }

  /// `POST /images/{name}/push`: without a `tag` every tag of the name.
  @Sendable func pushImage(_ request: APIRequest) async throws -> Response {
    var name = try request.parameter("name")
    if let tag = request.query.text("tag") { name += ":" + tag }
    let written = try Reference(parsing: name)
    return try await progress(
      engine.images.push(
        name, allTags: written.tag == nil && written.digest == nil, platform: try request.platform(),
        credentials: try request.registryCredentials()), request, ahead: 1)
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
  ///
  /// - Parameter ahead: messages to wait for before the answer begins. Of a pull the first only names the image; the
  ///   second comes when it has been found.
  func progress(
    _ stream: ProgressStream, _ request: APIRequest, ahead: Int = 2,
    _ message: @escaping @Sendable (TransferProgress) -> ProgressMessage? = { ProgressMessage($0) }
  ) async throws -> Response {
    let source = ProgressSource(stream)
    var first: [TransferProgress] = []
    while first.count < ahead, let step = try await source.next() { first.append(step) }
    let beginning = first
    return .stream("application/json", to: try await request.connection()) { writer in
      do {
        for step in beginning { if let message = message(step) { try await writer.write(json: message) } }
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

extension APIRequest {
  /// `X-Registry-Auth`; nil where the client has nothing to say.
  func registryCredentials() throws(ApusError) -> Registry.RegistryCredentials? {
    try Registry.RegistryCredentials(header: headers[.registryAuth])
  }

  /// The query parameter `platform`: `os/architecture[/variant]`, or since API 1.46 an OCI platform as JSON.
  func platform() throws(ApusError) -> String? {
    guard let text = query.text("platform") else { return nil }
    guard text.hasPrefix("{") || text.hasPrefix("[") else { return text }
    let wire: [PlatformSummary]
    do {
      let data = Data(text.utf8)
      let decoder = JSONDecoder()
      wire =
        text.hasPrefix("[")
        ? try decoder.decode([PlatformSummary].self, from: data)
        : [try decoder.decode(PlatformSummary.self, from: data)]
    } catch {
      throw ApusError(.invalidArgument, "the query parameter platform must be an OCI platform as JSON", cause: error)
    }
    guard wire.count == 1, let platform = wire.first else {
      throw ApusError(.unsupported, "only one platform can be chosen at a time")
    }
    return [platform.os, platform.architecture, platform.variant].compactMap { $0?.nonEmpty }.joined(separator: "/")
  }
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
