import DockerTypes
import Engine
import Errors
import Hummingbird

/// What happens to a container, from create to remove.
extension DockerAPI {
  @Sendable func createContainer(_ request: APIRequest) async throws -> Response {
    var body = try await request.body(ContainerCreateRequest.self)
    let warnings = try body.adapt(from: request.version)
    let configuration = try InstanceConfiguration(body)
    try await checkNetworks(of: configuration)
    let created = try await engine.create(
      configuration, name: request.query.text("name").map(ContainerName.bare), platform: request.query.text("platform"))
    var response = ContainerCreateResponse()
    response.id = created.id
    response.warnings = created.warnings + warnings
    return .json(response, status: .created)
  }

  /// A missing network is said before the image is looked for, and not by 404: clients take that for the image, and
  /// pull it.
  private func checkNetworks(of configuration: InstanceConfiguration) async throws {
    let network = configuration.network
    for name in Set(network.endpoints.map(\.network) + [network.mode]) where NetworkName.isUserDefined(name) {
      do {
        _ = try await engine.networks.get(name)
      } catch let error as ApusError where error.code == .notFound {
        throw ApusError(.invalidArgument, error.message)
      }
    }
  }

  @Sendable func startContainer(_ request: APIRequest) async throws -> Response {
    try await instance(request).start() ? .empty() : .empty(.notModified)
  }

  @Sendable func stopContainer(_ request: APIRequest) async throws -> Response {
    let stopped = try await instance(request).stop(
      signal: request.query.text("signal"), timeout: try request.query.number("t"))
    return stopped ? .empty() : .empty(.notModified)
  }

  @Sendable func restartContainer(_ request: APIRequest) async throws -> Response {
    try await instance(request).restart(signal: request.query.text("signal"), timeout: try request.query.number("t"))
    return .empty()
  }

  @Sendable func killContainer(_ request: APIRequest) async throws -> Response {
    try await instance(request).kill(signal: request.query.text("signal") ?? "KILL")
    return .empty()
  }

  @Sendable func pauseContainer(_ request: APIRequest) async throws -> Response {
    try await instance(request).pause()
    return .empty()
  }

  @Sendable func unpauseContainer(_ request: APIRequest) async throws -> Response {
    try await instance(request).resume()
    return .empty()
  }

  @Sendable func renameContainer(_ request: APIRequest) async throws -> Response {
    guard let name = request.query.text("name") else {
      throw ApusError(.invalidArgument, "Neither old nor new names may be empty")
    }
    try await engine.rename(try request.parameter("id"), to: ContainerName.bare(name))
    return .empty()
  }

  @Sendable func updateContainer(_ request: APIRequest) async throws -> Response {
    let body = try await request.body(ContainerUpdateRequest.self)
    let instance = try await instance(request)
    let publish = try PortBinding.all(body.publishPorts ?? [:])
    let withdraw = try PortBinding.all(body.unpublishPorts ?? [:])
    if !publish.isEmpty || !withdraw.isEmpty {
      try await engine.updatePorts(instance.id, publish: publish, withdraw: withdraw)
    }
    var response = ContainerUpdateResponse()
    var update = InstanceUpdate()
    if body.resources != ContainerResources() {
      update.resources = try Resources(body.resources).over(await instance.record.configuration.resources)
    }
    if let policy = body.restartPolicy, !policy.name.isEmpty { update.restartPolicy = try RestartPolicy(policy) }
    guard update.resources != nil || update.restartPolicy != nil else { return .json(response) }
    let warnings = try await instance.update(update)
    response.warnings = warnings.isEmpty ? nil : warnings
    return .json(response)
  }

  @Sendable func removeContainer(_ request: APIRequest) async throws -> Response {
    if request.query.flag("link") {
      throw ApusError(.unsupported, "links cannot be removed alone: they go with the container that has them")
    }
    try await instance(request).remove(force: request.query.flag("force"), volumes: request.query.flag("v"))
    return .empty()
  }

  /// The headers leave before the wait: clients start the container when they have them.
  @Sendable func waitContainer(_ request: APIRequest) async throws -> Response {
    let text = request.query.text("condition") ?? "not-running"
    guard let condition = WaitCondition(rawValue: text) else {
      throw ApusError(.invalidArgument, "invalid condition: \"\(text)\"")
    }
    let wait = try await instance(request).registerWait(condition)
    return .stream("application/json", to: try await request.connection()) { writer in
      var response = ContainerWaitResponse()
      do {
        let result = try await wait.result()
        response.statusCode = Int(result.exitCode)
        // Who waits for the removal is told of errors of the removal; the start's are its own answer.
        if condition != .removed, !result.error.isEmpty { response.error = WaitError(result.error) }
      } catch let error as ApusError {
        response.error = WaitError(error.message)
      }
      try await writer.write(json: response)
    }
  }
}

extension WaitError {
  init(_ message: String) {
    self.init()
    self.message = message
  }
}

/// Names have a leading slash in the API, and none in the engine.
enum ContainerName {
  static func bare(_ name: String) -> String { name.hasPrefix("/") ? String(name.dropFirst()) : name }
}
