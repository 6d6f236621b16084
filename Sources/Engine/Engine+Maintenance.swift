import Layers

extension Engine {
  private static let period = Duration.seconds(10)

  /// Lets go, now and then, of what was kept for the next start.
  func startMaintenance() {
    let task = Task { [services] in
      while (try? await Task.sleep(for: Self.period)) != nil {
        try? await services.blocking.run { services.layers.unmountIdle() }
      }
    }
    maintenance.withLock { $0 = task }
  }

  func stopMaintenance() { maintenance.withLock { $0?.cancel() } }
}
