import Errors
import FoundationEssentials
import Logging

extension Engine {
  /// Opens the engine: state is loaded, running shims are adopted, the rest is reconciled, restart policies apply.
  public static func open(_ configuration: EngineConfiguration, logger: Logger) async throws -> Engine {
    throw ApusError(.unsupported, "open is not built yet")
  }

  /// Closes sockets and the database. Instances go on.
  public func shutdown() async {}

  public func information() async -> EngineInformation { EngineInformation() }

  /// Makes an instance of an image that is here already (`notFound` with Docker's `No such image: …` otherwise).
  public func create(
    _ configuration: InstanceConfiguration, name: String?, platform: String? = nil
  ) async throws -> CreatedInstance {
    throw ApusError(.unsupported, "create is not built yet")
  }

  /// Removes every instance that does not run and that `filter` wants gone.
  public func pruneInstances(
    filter: @Sendable (InstanceRecord) -> Bool
  ) async -> (ids: [String], reclaimed: Int64) { ([], 0) }
}
