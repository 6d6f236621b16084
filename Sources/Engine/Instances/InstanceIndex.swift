import Errors
import NIOCore
import Synchronization

/// Every instance by id and name, and the execs by id. Names are reserved here before anything is created under them.
final class InstanceIndex: Sendable {
  private struct State {
    var instances: [String: Instance] = [:]
    var identifiersByName: [String: String] = [:]
    var execs: [String: Exec] = [:]
    /// Execs that have ended, the oldest first.
    var endedExecs = CircularBuffer<(id: String, at: ContinuousClock.Instant)>()
  }
  /// How many execs, and for how long, can still be inspected after their end.
  private static let endedExecLimit = 256
  private static let endedExecAge = Duration.seconds(300)
  private let state = Mutex(State())

  /// Takes `name` for `id`.
  ///
  /// - Throws: `conflict` with Docker's wording when another instance has it.
  func reserve(name: String, for id: String) throws {
    let holder = state.withLock { state -> String? in
      if let holder = state.identifiersByName[name], holder != id { return holder }
      state.identifiersByName[name] = id
      return nil
    }
    guard let holder else { return }
    throw ApusError(
      .conflict,
      "Conflict. The container name \"/\(name)\" is already in use by container \"\(holder)\". "
        + "You have to remove (or rename) that container to be able to reuse that name.")
  }

  func release(name: String, of id: String) {
    state.withLock { state in
      if state.identifiersByName[name] == id { state.identifiersByName[name] = nil }
    }
  }

  func insert(_ instance: Instance) {
    state.withLock { $0.instances[instance.id] = instance }
  }

  func remove(id: String, name: String) {
    state.withLock { state in
      state.instances[id] = nil
      if state.identifiersByName[name] == id { state.identifiersByName[name] = nil }
      for (exec, owner) in state.execs where owner.instanceID == id { state.execs[exec] = nil }
    }
  }

  func all() -> [Instance] { state.withLock { Array($0.instances.values) } }

  /// What keeps images from being removed.
  func imageUses() async -> [ImageUse] {
    var uses: [ImageUse] = []
    for instance in all() {
      let record = await instance.record
      uses.append(
        ImageUse(
          instanceID: record.id, image: record.imageID, layers: record.layers,
          isRunning: record.state.status == .running || record.state.status == .paused))
    }
    return uses
  }

  func contains(id: String) -> Bool { state.withLock { $0.instances[id] != nil } }

  func resolve(_ reference: String) throws -> Instance {
    enum Found {
      case one(Instance)
      case none, many
    }
    let found = state.withLock { state -> Found in
      if let instance = state.instances[reference] { return .one(instance) }
      let name = reference.hasPrefix("/") ? String(reference.dropFirst()) : reference
      if let id = state.identifiersByName[name], let instance = state.instances[id] { return .one(instance) }
      guard !reference.isEmpty, reference.utf8.count < 64 else { return .none }
      var match: Instance?
      for (id, instance) in state.instances where id.hasPrefix(reference) {
        if match != nil { return .many }
        match = instance
      }
      return match.map { .one($0) } ?? .none
    }
    switch found {
    case .one(let instance): return instance
    case .none: throw ApusError(.notFound, "No such container: \(reference)")
    case .many: throw ApusError(.invalidArgument, "Multiple IDs found with provided prefix: \(reference)")
    }
  }

  func insert(_ exec: Exec) { state.withLock { $0.execs[exec.id] = exec } }

  /// The exec has ended: clients may still ask for its exit code, but not for ever.
  func forgetLater(exec id: String) {
    let now = ContinuousClock.now
    state.withLock { state in
      state.endedExecs.append((id, now))
      while let oldest = state.endedExecs.first,
        state.endedExecs.count > Self.endedExecLimit || now - oldest.at > Self.endedExecAge
      {
        state.execs[oldest.id] = nil
        state.endedExecs.removeFirst()
      }
    }
  }

  func exec(_ id: String) throws -> Exec {
    guard let exec = state.withLock({ $0.execs[id] }) else {
      throw ApusError(.notFound, "No such exec instance: \(id)")
    }
    return exec
  }

  func execs(of instance: String) -> [Exec] {
    state.withLock { $0.execs.values.filter { $0.instanceID == instance } }
  }
}
