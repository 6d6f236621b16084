import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Hummingbird

/// What a running container does and uses.
extension DockerAPI {
  @Sendable func topContainer(_ request: APIRequest) async throws -> Response {
    let table = try await instance(request).top(request.query.text("ps_args") ?? "-ef")
    var top = ContainerTop()
    top.titles = table.titles
    top.processes = table.rows
    return .json(top)
  }

  @Sendable func containerStats(_ request: APIRequest) async throws -> Response {
    let instance = try await instance(request)
    if request.query.flag("stream", default: true) { return try await streamStats(of: instance, request) }
    let previous: StatsSample?
    if request.query.flag("one-shot") {
      previous = nil
    } else {
      // Two samples, so that the client can tell a rate.
      previous = await sample(instance)
      if previous != nil { try await Task.sleep(for: .seconds(1)) }
    }
    return .json(ContainerStats(await sample(instance), previous: previous, record: await instance.record))
  }

  /// A sample every second, until the client or the container goes.
  private func streamStats(of instance: Instance, _ request: APIRequest) async throws -> Response {
    .stream("application/json", to: try await request.connection()) { writer in
      var previous: StatsSample?
      while true {
        let record = await instance.record
        if record.state.status == .removing || record.state.status == .dead { return }
        let current = await sample(instance)
        try await writer.write(json: ContainerStats(current, previous: previous, record: record))
        previous = current
        try await Task.sleep(for: .seconds(1))
        guard (try? await engine.instance(instance.id)) != nil else { return }
      }
    }
  }

  /// nil where it does not run: the answer is then all zeros.
  private func sample(_ instance: Instance) async -> StatsSample? {
    switch await instance.record.state.status {
    case .running, .paused: try? await instance.stats()
    default: nil
    }
  }

  @Sendable func containerChanges(_ request: APIRequest) async throws -> Response {
    let changes = try await instance(request).changes()
    guard !changes.isEmpty else { return .json([FilesystemChange]?.none) }
    return .json(
      changes.map { change in
        var result = FilesystemChange()
        result.path = change.path
        result.kind = change.kind.rawValue
        return result
      })
  }
}
