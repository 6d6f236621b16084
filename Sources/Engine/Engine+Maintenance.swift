import Layers

extension Engine {
  private static let period = Duration.seconds(10)
  /// How often the collection policy is applied (``CollectionPolicy``).
  private static let collectionPeriod = Duration.seconds(3_600)

  /// Lets go, now and then, of what was kept for the next start.
  func startMaintenance() {
    let task = Task { [services] in
      var collected = ContinuousClock.now
      // What an earlier daemon had no time to flush.
      services.images.changed()
      while (try? await Task.sleep(for: Self.period)) != nil {
        try? await services.blocking.run { services.layers.unmountIdle() }
        guard ContinuousClock.now - collected >= Self.collectionPeriod else { continue }
        collected = .now
        do {
          try await services.images.applyCollectionPolicy()
        } catch {
          services.logger.warning("unused content could not be collected: \(error)")
        }
      }
    }
    maintenance.withLock { $0 = task }
  }

  func stopMaintenance() { maintenance.withLock { $0?.cancel() } }
}
