import Errors
import Linux

extension Instance {
  /// Removes the instance, its writable layer and log; with `volumes`, its anonymous volumes too.
  ///
  /// - Throws: `conflict` where it is up and `force` is not given, or is being removed already.
  public func remove(force: Bool = false, volumes: Bool = false) async throws {
    for _ in 0..<8 {
      if current.state.status == .removing {
        throw ApusError(.conflict, "removal of container \(current.name) is already in progress")
      }
      if isUp || current.state.status == .restarting {
        guard force else { throw inUse }
        do {
          try await kill()
        } catch let error as ApusError where error.code == .conflict {
          // It ended by itself.
        }
      }
      let done = try await lifecycle.withLock {
        // Its own removal on exit may have come first.
        guard services.index.contains(id: id) else { return true }
        // Somebody may have started it again meanwhile.
        guard !isUp, current.state.status != .restarting else { return false }
        try await removeLocked(volumes: volumes)
        return true
      }
      if done { return }
    }
    throw inUse
  }

  private var inUse: ApusError {
    let advice =
      current.state.status == .paused
      ? "unpause and then stop the container before removing or force remove"
      : "stop the container before removing or force remove"
    return ApusError(
      .conflict,
      "cannot remove container \"/\(current.name)\": container is \(current.state.status.rawValue): \(advice)")
  }

  /// Removes what is left of an instance that is not up. With the lock held.
  ///
  /// The instance is gone once its directory is renamed away: a daemon killed after that finds a record without a
  /// directory and drops it, one killed before finds the instance as it was.
  func removeLocked(volumes: Bool) async throws {
    let before = current.state.status
    current.state.status = .removing
    let (services, paths, id) = (services, paths, id)
    do {
      try await services.lifecycle.run { try services.trash.discard(paths.directory, as: id) }
    } catch {
      current.state.status = before == .created ? .created : .dead
      current.state.error = (error as? ApusError)?.message ?? "\(error)"
      save()
      throw error
    }
    services.store.noteDeletion(of: id)
    services.index.remove(id: id, name: current.name)
    SharedMemory.remove(paths)
    services.standby.dismiss(id, services)
    services.trash.delete(directory: paths.runDirectory)
    for session in takeWaitingSessions() { session.end() }
    await services.volumes.release(current, removeAnonymous: volumes)
    publish("destroy")
    fulfilWaits([.notRunning, .nextExit, .removed])
  }
}
