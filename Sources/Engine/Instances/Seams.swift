import Errors
import Linux

/// What waits for Volumes: binds and tmpfs only until then.
enum Seams {
  static func resolveMounts(
    _ configuration: InstanceConfiguration, image: ResolvedProcess, id: String, services: EngineServices
  ) async throws -> [ResolvedMount] {
    configuration.mounts.filter { $0.kind != .volume }.map {
      ResolvedMount(
        kind: $0.kind, name: "", source: $0.source, target: $0.target, readOnly: $0.readOnly,
        propagation: $0.propagation ?? "rprivate", anonymous: false, driver: "")
    }
  }

  static func releaseVolumes(of record: InstanceRecord, removeAnonymous: Bool, services: EngineServices) async {}
}

/// Holds the place of Volumes/VolumeService.swift: to be deleted when that comes.
public final class VolumeService: Sendable {
  init() {}
}
