import Errors
import FoundationEssentials
import ImageSpec
import Layers
import Linux
import Logging
import NIOCore
import Synchronization

/// One engine over one root: instances, images, volumes and events.
///
/// Every area of the API is a property or a method here; what happens to one instance is on ``Instance``.
public final class Engine: Sendable {
  let services: EngineServices
  let lock: RootLock
  let maintenance: Mutex<Task<Void, Never>?> = Mutex(nil)

  init(services: EngineServices, lock: RootLock) {
    self.services = services
    self.lock = lock
  }

  public var configuration: EngineConfiguration { services.configuration }
  public var images: ImageService { services.images }
  public var volumes: VolumeService { services.volumes }
  public var events: EventBus { services.events }

  /// The instance that `reference` names: its full id, its name, or an unambiguous prefix of its id.
  ///
  /// - Throws: `notFound` with Docker's wording, `invalidArgument` for an ambiguous prefix.
  public func instance(_ reference: String) async throws -> Instance {
    try services.index.resolve(reference)
  }

  /// Every instance as it is now, newest first.
  public func instances() async -> [InstanceRecord] {
    var records: [InstanceRecord] = []
    let all = services.index.all()
    records.reserveCapacity(all.count)
    for instance in all {
      let record = await instance.record
      records.append(record)
    }
    return records.sorted { $0.created > $1.created }
  }

  public func rename(_ reference: String, to name: String) async throws {
    try await instance(reference).rename(to: name)
  }

  /// The exec with this id. Execs are forgotten some time after they end, and with their instance.
  public func exec(_ id: String) throws -> Exec {
    try services.index.exec(id)
  }
}
