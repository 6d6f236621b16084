import Errors
import RuntimeSpec
import SandboxProtocol

extension Instance {
  /// Freezes every process.
  public func pause() async throws {
    try await lifecycle.withLock {
      switch current.state.status {
      case .running: break
      case .paused: throw ApusError(.conflict, "Container \(id) is already paused")
      case .restarting: throw ApusError(.conflict, "Container \(id) is restarting, wait until the container is running")
      default: throw ApusError(.conflict, "Container \(id) is not running")
      }
      _ = try await running().connection.request(.pause)
      // It may have ended before it froze.
      guard current.state.status == .running else { return }
      current.state.status = .paused
      save()
      publish("pause")
    }
  }

  /// Lets the processes go on.
  public func resume() async throws {
    try await lifecycle.withLock {
      guard current.state.status == .paused else { throw ApusError(.conflict, "Container \(id) is not paused") }
      _ = try await running().connection.request(.resume)
      guard current.state.status == .paused else { return }
      current.state.status = .running
      save()
      publish("unpause")
    }
  }

  public func rename(to name: String) async throws {
    let new = try InstanceName.validated(name)
    try await lifecycle.withLock {
      let old = current.name
      guard new != old else {
        throw ApusError(.invalidArgument, "Renaming a container with the same name as its current name")
      }
      try checkNotRemoving()
      try services.index.reserve(name: new, for: id)
      do {
        try await store { $0.name = new }
      } catch {
        services.index.release(name: new, of: id)
        throw error
      }
      services.index.release(name: old, of: id)
      services.networks.rename(id, from: old, to: new)
      publish("rename", ["oldName": "/" + old])
    }
  }

  /// Changes limits and the restart policy, of a running instance too.
  ///
  /// - Returns: warnings.
  public func update(_ update: InstanceUpdate) async throws -> [String] {
    try await lifecycle.withLock {
      try checkNotRemoving()
      if let policy = update.restartPolicy, policy.condition != .no, current.configuration.removeOnExit {
        throw ApusError(
          .conflict, "Restart policy cannot be updated because AutoRemove is enabled for the container")
      }
      var warnings: [String] = []
      var merged = current.configuration.resources
      if let changes = update.resources {
        let checked = try ConfigurationValidation().validate(changes, update: true, warnings: &warnings)
        merged = try merged.updated(with: checked)
        if isUp {
          _ = try await running().connection.request(.update, LinuxResources.update(checked).json())
        }
      }
      let resources = merged
      try await store {
        $0.configuration.resources = resources
        if let policy = update.restartPolicy { $0.configuration.restartPolicy = policy }
      }
      publish("update")
      return warnings
    }
  }

  func checkNotRemoving() throws {
    guard current.state.status != .removing, current.state.status != .dead, services.index.contains(id: id) else {
      throw ApusError(.conflict, "container \(id) is marked for removal and cannot be changed")
    }
  }

  /// Changes the record on disk, then in memory.
  func store(_ change: @Sendable (inout InstanceRecord) -> Void) async throws {
    var record = current
    change(&record)
    let (changed, services) = (record, services)
    try await services.blocking.run { try services.store.update(changed) }
    // The state may have moved on while it was written.
    change(&current)
    save()
  }
}
