import Errors
import FoundationEssentials
import ImageSpec
import Layers
import Logging

/// One instance: its record, its sandbox when it runs, and everything that can be done to it.
///
/// The actor serialises short steps; whole lifecycle operations (which suspend) are serialised by ``lifecycle``.
public actor Instance {
  public nonisolated let id: String
  public nonisolated let paths: InstancePaths
  nonisolated let services: EngineServices
  var current: InstanceRecord

  init(record: InstanceRecord, services: EngineServices) {
    id = record.id
    paths = services.paths.instance(record.id)
    current = record
    self.services = services
  }

  /// What the instance is now.
  public var record: InstanceRecord { current }
}
