import Layers

extension Engine {
  private static let period = Duration.seconds(10)
  /// How often content that no image refers to is looked for, and how old it must be: what a killed pull left is kept
  /// for a day, because the next pull goes on with it.
  private static let collectionPeriod = Duration.seconds(3_600)
  private static let collectionAge = Duration.seconds(86_400)

  /// Lets go, now and then, of what was kept for the next start.
  func startMaintenance() {
    let task = Task { [services] in
      var collected = ContinuousClock.now
      while (try? await Task.sleep(for: Self.period)) != nil {
        try? await services.blocking.run { services.layers.unmountIdle() }
        guard ContinuousClock.now - collected >= Self.collectionPeriod else { continue }
        collected = .now
        do {
          _ = try await services.images.collectGarbage(olderThan: Self.collectionAge)
        } catch {
          services.logger.warning("unused content could not be collected: \(error)")
        }
      }
    }
    maintenance.withLock { $0 = task }
  }

  func stopMaintenance() { maintenance.withLock { $0?.cancel() } }
}
