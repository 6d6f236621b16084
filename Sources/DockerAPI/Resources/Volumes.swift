import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Hummingbird

/// `/volumes`.
extension DockerAPI {
  func addVolumes(to router: Router<APIContext>) {
    router.add(.get, "volumes", listVolumes)
    router.add(.post, "volumes/create", createVolume)
    router.add(.post, "volumes/prune", pruneVolumes)
    router.add(.get, "volumes/:name", inspectVolume)
    router.add(.delete, "volumes/:name", removeVolume)
    router.add(.put, "volumes/:name", updateVolume)
  }

  @Sendable func listVolumes(_ request: APIRequest) async throws -> Response {
    let filters = try request.query.filters(accepted: ["dangling", "driver", "label", "label!", "name"])
    if !filters["dangling"].isEmpty, filters.flag("dangling") == nil {
      throw ApusError(.invalidArgument, "invalid filter 'dangling=\(filters["dangling"])'")
    }
    var response = VolumeListResponse()
    response.volumes = try await engine.volumes.list()
      .filter { volume in
        filters.allows("name") { volume.name.contains($0) }
          && filters.allows("driver") { volume.driver == $0 }
          && filters.allows(labels: volume.labels)
          && (filters.flag("dangling").map { $0 == (volume.usedBy == 0) } ?? true)
      }
      .map { VolumeSummary($0, withUsage: false) }
    return .json(response)
  }

  @Sendable func createVolume(_ request: APIRequest) async throws -> Response {
    let body = try await request.body(VolumeCreateRequest.self)
    let volume = try await engine.volumes.create(
      name: body.name.nonEmpty, driver: body.driver.nonEmpty ?? "local", options: body.driverOpts ?? [:],
      labels: body.labels ?? [:])
    return .json(VolumeSummary(volume, withUsage: false), status: .created)
  }

  @Sendable func inspectVolume(_ request: APIRequest) async throws -> Response {
    .json(VolumeSummary(try await engine.volumes.get(try request.parameter("name")), withUsage: false))
  }

  @Sendable func removeVolume(_ request: APIRequest) async throws -> Response {
    try await engine.volumes.remove(try request.parameter("name"), force: request.query.flag("force"))
    return .empty()
  }

  @Sendable func updateVolume(_ request: APIRequest) async throws -> Response {
    throw ApusError(.unavailable, SwarmAbsent.sentence)
  }

  @Sendable func pruneVolumes(_ request: APIRequest) async throws -> Response {
    let filters = try request.query.filters(accepted: ["all", "label", "label!"])
    // Before 1.42, named volumes went as well.
    let named = filters.flag("all") ?? (request.version < .multiplexedStreams)
    let pruned = try await engine.volumes.prune { volume in
      (named || volume.anonymous) && filters.allows(labels: volume.labels)
    }
    var report = VolumesPruneReport()
    report.volumesDeleted = pruned.names
    report.spaceReclaimed = Int(pruned.reclaimed)
    return .json(report)
  }
}

extension VolumeSummary {
  init(_ volume: Volume, withUsage: Bool) {
    self.init()
    createdAt = GoTime.string(Date(timeIntervalSince1970: Double(GoTime.split(volume.created).seconds)))
    driver = volume.driver
    labels = volume.labels.isEmpty ? nil : volume.labels
    mountpoint = volume.mountpoint
    name = volume.name
    options = volume.options.isEmpty ? nil : volume.options
    scope = "local"
    guard withUsage else { return }
    var usage = VolumeUsage()
    usage.refCount = volume.usedBy
    usage.size = volume.size.map { Int($0) } ?? -1
    usageData = usage
  }
}
