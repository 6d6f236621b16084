import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Hummingbird

/// `/containers`: what there is, and what is known of each. The verbs are in the files beside this one.
extension DockerAPI {
  func addContainers(to router: Router<APIContext>) {
    router.add(.get, "containers/json", listContainers)
    router.add(.post, "containers/create", createContainer)
    router.add(.post, "containers/prune", pruneContainers)
    router.add(.get, "containers/:id/json", inspectContainer)
    router.add(.get, "containers/:id/top", topContainer)
    router.add(.get, "containers/:id/logs", containerLogs)
    router.add(.get, "containers/:id/changes", containerChanges)
    router.add(.get, "containers/:id/export", exportContainer)
    router.add(.get, "containers/:id/stats", containerStats)
    router.add(.post, "containers/:id/resize", resizeContainer)
    router.add(.post, "containers/:id/start", startContainer)
    router.add(.post, "containers/:id/stop", stopContainer)
    router.add(.post, "containers/:id/restart", restartContainer)
    router.add(.post, "containers/:id/kill", killContainer)
    router.add(.post, "containers/:id/update", updateContainer)
    router.add(.post, "containers/:id/rename", renameContainer)
    router.add(.post, "containers/:id/pause", pauseContainer)
    router.add(.post, "containers/:id/unpause", unpauseContainer)
    router.add(.post, "containers/:id/attach", attachContainer)
    router.add(.get, "containers/:id/attach/ws", attachContainerWebSocket)
    router.add(.post, "containers/:id/wait", waitContainer)
    router.add(.delete, "containers/:id", removeContainer)
    router.add(.head, "containers/:id/archive", statArchive)
    router.add(.get, "containers/:id/archive", getArchive)
    router.add(.put, "containers/:id/archive", putArchive)
    router.add(.post, "containers/:id/exec", createExec)
    router.add(.post, "commit", commitContainer)
  }

  /// The instance that the path names.
  func instance(_ request: APIRequest) async throws -> Instance {
    try await engine.instance(try request.parameter("id"))
  }

  @Sendable func listContainers(_ request: APIRequest) async throws -> Response {
    let query = request.query
    let limit = try query.number("limit") ?? 0
    let filters = try query.filters(accepted: ContainerFilter.accepted)
    let filter = try ContainerFilter(
      filters, all: query.flag("all") || limit > 0, ancestors: await ancestors(filters),
      before: try await created(filters["before"].first ?? query.text("before")),
      since: try await created(filters["since"].first ?? query.text("since")), networks: await networkDirectory())
    var records = await engine.instances().filter { filter.allows($0) }
    if limit > 0 { records = Array(records.prefix(limit)) }
    return .json(try await containerSummaries(records, sizes: query.flag("size"), networks: filter.networks))
  }

  func containerSummaries(
    _ records: [InstanceRecord], sizes: Bool, networks: NetworkDirectory
  ) async throws -> [ContainerSummary] {
    let now = Date()
    var names: [String: String] = [:]
    var summaries: [ContainerSummary] = []
    summaries.reserveCapacity(records.count)
    for record in records {
      let name = record.configuration.image
      let current: String?
      if let known = names[name] {
        current = known
      } else {
        current = try? await engine.images.resolve(name).id.description
        names[name] = current ?? ""
      }
      let id = record.imageID.description
      var summary = ContainerSummary(
        record, image: current == id ? name : id, now: now, networks: networks)
      if sizes, let instance = try? await engine.instance(record.id), let size = try? await instance.sizes() {
        summary.sizeRw = size.writable == 0 ? nil : Int(size.writable)
        summary.sizeRootFs = Int(size.total)
      }
      summaries.append(summary)
    }
    return summaries
  }

  @Sendable func inspectContainer(_ request: APIRequest) async throws -> Response {
    let instance = try await instance(request)
    let record = await instance.record
    var inspect = ContainerInspect(
      record, paths: instance.paths, storage: StorageDriver.name, networks: await networkDirectory())
    if request.version < .namesOfEndpoints {
      let names = [String(record.id.prefix(12)), inspect.config.hostname]
      for name in inspect.networkSettings.networks.keys where NetworkName.isUserDefined(name) {
        inspect.networkSettings.networks[name]?.addNames(names)
      }
    }
    let execs = instance.execIDs
    inspect.execIDs = execs.isEmpty ? nil : execs
    if request.query.flag("size") {
      let sizes = try await instance.sizes()
      inspect.sizeRw = Int(sizes.writable)
      inspect.sizeRootFs = Int(sizes.total)
    }
    return .json(inspect)
  }

  @Sendable func pruneContainers(_ request: APIRequest) async throws -> Response {
    let filters = try request.query.filters(accepted: ["label", "label!", "until"])
    let until = try PruneLimit.until(filters)
    let result = await engine.pruneInstances { record in
      (until.map { record.created < $0 } ?? true) && filters.allows(labels: record.resolved.labels)
    }
    var report = ContainersPruneReport()
    report.containersDeleted = result.ids.isEmpty ? nil : result.ids
    report.spaceReclaimed = Int(result.reclaimed)
    return .json(report)
  }

  private func ancestors(_ filters: Filters) async throws -> [ContainerFilter.AncestorImage] {
    var images: [ContainerFilter.AncestorImage] = []
    for name in filters["ancestor"] {
      guard let image = try? await engine.images.resolve(name) else { continue }
      images.append(.init(id: image.id.description, layers: image.layers.map(\.description)))
    }
    return images
  }

  private func created(_ reference: String?) async throws -> Date? {
    guard let reference else { return nil }
    return try await engine.instance(reference).record.created
  }
}

/// How the storage presents itself.
enum StorageDriver {
  static let name = "erofs"
}

/// The `until` of a prune.
enum PruneLimit {
  static func until(_ filters: Filters) throws(ApusError) -> Date? {
    guard let text = filters["until"].first else { return nil }
    guard filters["until"].count == 1, let date = GoTime.query(text) else {
      throw ApusError(.invalidArgument, "invalid filter 'until=\(text)': it must be one point in time or duration")
    }
    return date
  }
}
