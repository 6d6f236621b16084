import DockerTypes
import Engine
import Errors
import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore

/// A container's files: copy in and out, export, commit.
extension DockerAPI {
  @Sendable func statArchive(_ request: APIRequest) async throws -> Response {
    let stat = try await instance(request).stat(path: try Self.path(request))
    return Response(status: .ok, headers: [.pathStat: try Self.header(stat)])
  }

  @Sendable func getArchive(_ request: APIRequest) async throws -> Response {
    let (stat, bytes) = try await instance(request).archive(path: try Self.path(request))
    return .stream(
      "application/x-tar", to: try await request.connection(), headers: [.pathStat: try Self.header(stat)]
    ) { writer in
      try await writer.write(contentsOf: bytes)
    }
  }

  @Sendable func putArchive(_ request: APIRequest) async throws -> Response {
    try await instance(request).extract(
      into: try Self.path(request), noOverwriteDirNonDir: request.query.flag("noOverwriteDirNonDir"),
      copyUIDGID: request.query.flag("copyUIDGID"), from: request.bodyStream())
    return .empty(.ok)
  }

  @Sendable func exportContainer(_ request: APIRequest) async throws -> Response {
    let bytes = try await instance(request).export()
    return .stream("application/x-tar", to: try await request.connection()) { writer in
      try await writer.write(contentsOf: bytes)
    }
  }

  @Sendable func commitContainer(_ request: APIRequest) async throws -> Response {
    let query = request.query
    guard let container = query.text("container") else {
      throw ApusError(.invalidArgument, "a commit needs the query parameter container")
    }
    let config = try await request.body(ContainerConfig.self)
    var options = CommitOptions()
    options.reference = query.text("repo").map { repository in
      query.text("tag").map { "\(repository):\($0)" } ?? repository
    }
    options.comment = query.text("comment") ?? ""
    options.author = query.text("author") ?? ""
    options.pause = query.flag("pause", default: true)
    options.changes = config.instructions + query.all("changes").flatMap { $0.split(separator: "\n").map(String.init) }
    var response = IDResponse()
    response.id = try await engine.instance(container).commit(options).description
    return .json(response, status: .created)
  }

  private static func path(_ request: APIRequest) throws -> String {
    guard let path = request.query.text("path") else {
      throw ApusError(.invalidArgument, "bad parameter: 'path' cannot be empty")
    }
    return path
  }

  private static func header(_ stat: PathStat) throws -> String {
    var summary = PathStatSummary()
    summary.name = stat.name
    summary.size = Int(stat.size)
    summary.mode = stat.mode
    summary.mtime = GoTime.string(stat.modified)
    summary.linkTarget = stat.linkTarget
    return Data(try WireEncoder.encode(summary)).base64EncodedString()
  }
}

extension ContainerConfig {
  /// What a commit's body overrides, as Dockerfile instructions: the one form in which the engine takes changes.
  var instructions: [String] {
    func array(_ values: [String]) -> String {
      (try? WireEncoder.encode(values)).map { String(decoding: $0, as: UTF8.self) } ?? "[]"
    }
    func text(_ value: String) -> String { array([value]).dropFirst().dropLast().description }
    var lines: [String] = []
    if let entrypoint { lines.append("ENTRYPOINT " + array(entrypoint.values)) }
    if let cmd { lines.append("CMD " + array(cmd.values)) }
    for assignment in env ?? [] {
      guard let separator = assignment.firstIndex(of: "=") else { continue }
      lines.append("ENV \(assignment[..<separator])=" + text(String(assignment[assignment.index(after: separator)...])))
    }
    for (name, value) in (labels ?? [:]).sorted(by: { $0.key < $1.key }) {
      lines.append("LABEL \(text(name))=\(text(value))")
    }
    if !user.isEmpty { lines.append("USER \(user)") }
    if !workingDir.isEmpty { lines.append("WORKDIR \(workingDir)") }
    if let signal = stopSignal, !signal.isEmpty { lines.append("STOPSIGNAL \(signal)") }
    for port in (exposedPorts ?? [:]).keys.sorted() { lines.append("EXPOSE \(port)") }
    for path in (volumes ?? [:]).keys.sorted() { lines.append("VOLUME " + array([path])) }
    return lines
  }
}
