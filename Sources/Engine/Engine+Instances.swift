import Errors
import FoundationEssentials
import Logging

extension Engine {
  /// Removes every instance that does not run and that `filter` wants gone.
  ///
  /// - Returns: the ids, and the bytes of their writable layers.
  public func pruneInstances(
    filter: @Sendable (InstanceRecord) -> Bool
  ) async -> (ids: [String], reclaimed: Int64) {
    var ids: [String] = []
    var reclaimed: Int64 = 0
    for instance in services.index.all() {
      let record = await instance.record
      let status = record.state.status
      guard status == .created || status == .exited || status == .dead, filter(record) else { continue }
      let size = (try? await instance.sizes().writable) ?? 0
      do {
        try await instance.remove()
        ids.append(instance.id)
        reclaimed += size
      } catch {
        services.logger.warning("prune: instance \(instance.id): \(error)")
      }
    }
    return (ids, reclaimed)
  }
}
