import Errors
import FoundationEssentials
import Glibc
import ImageSpec
import Linux
import SandboxProtocol
import Synchronization

/// Shims that wait, each with a sandbox of the usual shape made ahead (namespaces, cgroup, /proc, /sys, /dev), so that
/// the next starts need not wait for that.
///
/// A sandbox is made for an id, which its cgroup is named by; so instances take their ids from here when they are
/// created, and find the sandbox waiting when they are started. There are none before the first instance is created,
/// and none again when none has been for a while: an idle daemon has nothing standing by.
final class StandbyShims: Sendable {
  private struct State {
    /// For the next instances.
    var free: [StartedShim] = []
    /// For instances that are created and not started yet, the oldest first.
    var claimed: [StartedShim] = []
    /// Those on their way out, by their ids: until they are gone their instances cannot be started otherwise.
    var leaving: [String: Task<Void, Never>] = [:]
    var lastUse = ContinuousClock.now
    var isFilling = false
    var isWatched = false
    var isClosed = false
  }

  /// How many are kept for the next instances. One start takes about as long as making one ahead.
  private static let count = 2
  /// Instances that are created and not started, and keep theirs.
  private static let claimedCount = 4
  /// What is going on when one is taken is to be done first.
  private static let delay = Duration.milliseconds(20)
  /// Without a new instance for so long, they go.
  private static let rest = Duration.seconds(10)

  private let state = Mutex(State())

  /// The id for a new instance, and from then on a shim for it; nil when there is none.
  func takeID(_ services: EngineServices) -> String? {
    let (shim, evicted, fill) = state.withLock { state -> (StartedShim?, StartedShim?, Bool) in
      guard !state.isClosed else { return (nil, nil, false) }
      state.lastUse = .now
      state.free.removeAll { !$0.isAlive }
      let shim = state.free.popLast()
      if let shim { state.claimed.append(shim) }
      let evicted = state.claimed.count > Self.claimedCount ? state.claimed.removeFirst() : nil
      defer { state.isFilling = true }
      return (shim, evicted, !state.isFilling)
    }
    if let evicted { dismiss(evicted, services) }
    if fill { Task { await refill(services) } }
    return shim?.id
  }

  /// The shim that stands by for an instance, which is the caller's from here on. Nil: there is none any more, and
  /// nothing of it.
  func claim(_ id: String) async -> StartedShim? {
    let (shim, leaving) = state.withLock { state -> (StartedShim?, Task<Void, Never>?) in
      guard let position = state.claimed.firstIndex(where: { $0.id == id }) else { return (nil, state.leaving[id]) }
      return (state.claimed.remove(at: position), nil)
    }
    await leaving?.value
    guard let shim, shim.isAlive else { return nil }
    return shim
  }

  /// The instance will not be started.
  func dismiss(_ id: String, _ services: EngineServices) {
    let shim = state.withLock { state in
      state.claimed.firstIndex { $0.id == id }.map { state.claimed.remove(at: $0) }
    }
    if let shim { dismiss(shim, services) }
  }

  /// Ends all; returns when they have ended.
  func close(_ services: EngineServices) async {
    let all = state.withLock { state in
      state.isClosed = true
      return Self.empty(&state)
    }
    for shim in all { dismiss(shim, services) }
    for task in state.withLock({ Array($0.leaving.values) }) { await task.value }
  }

  private static func empty(_ state: inout State) -> [StartedShim] {
    defer { (state.free, state.claimed) = ([], []) }
    return state.free + state.claimed
  }

  private func refill(_ services: EngineServices) async {
    try? await Task.sleep(for: Self.delay)
    while state.withLock({ !$0.isClosed && $0.free.count < Self.count }) {
      // Without one the next start makes all by itself, and says what is wrong.
      guard let shim = try? await services.lifecycle.run({ try Self.make(services) }) else { break }
      let isLate = state.withLock { state in
        if !state.isClosed { state.free.append(shim) }
        return state.isClosed
      }
      if isLate { dismiss(shim, services) }
    }
    let watches = state.withLock { state in
      state.isFilling = false
      defer { state.isWatched = true }
      return !state.isWatched
    }
    if watches { await watch(services) }
  }

  /// Until they have not been used for long enough, and are gone.
  private func watch(_ services: EngineServices) async {
    while true {
      let due = state.withLock { $0.lastUse } + Self.rest
      try? await Task.sleep(until: due)
      let leaving = state.withLock { state -> [StartedShim]? in
        guard state.isClosed || ContinuousClock.now - state.lastUse >= Self.rest else { return nil }
        state.isWatched = false
        return Self.empty(&state)
      }
      guard let leaving else { continue }
      for shim in leaving { dismiss(shim, services) }
      return
    }
  }

  /// Blocks.
  private static func make(_ services: EngineServices) throws -> StartedShim {
    let id = InstanceName.newIdentifier()
    let shim = try StartedShim(id: id, services: services)
    _ = try? shim.connection.post(.prepare, request(id, services).json())
    return shim
  }

  /// What most requests will have, as far as it can be made ahead.
  private static func request(_ id: String, _ services: EngineServices) throws -> CreateRequest {
    let nothing = Digest(bytes: [UInt8](repeating: 0, count: 32))
    guard let nothing else { preconditionFailure("a SHA-256 has 32 bytes") }
    let record = InstanceRecord(
      id: id, name: "", created: Date(), configuration: InstanceConfiguration(), imageID: nothing,
      resolved: ResolvedProcess(), layers: [])
    let context = SandboxContext(
      paths: services.paths.instance(id), cgroupParent: services.configuration.cgroupParent)
    var request = try SandboxSpecification(record, context: context).createRequest()
    // Of no interest before there is a program.
    request.spec.linux?.seccomp = nil
    return request
  }

  private func dismiss(_ shim: StartedShim, _ services: EngineServices) {
    state.withLock { state in
      state.leaving[shim.id] = Task {
        shim.connection.close()
        _ = await ShimReaper.reap(shim.process, startTime: shim.startTime, child: true, logger: services.logger).value
        // Empty, and of an instance that is created already it is made anew.
        _ = rmdir(services.paths.instance(shim.id).runDirectory)
        forget(shim.id)
      }
    }
  }

  private func forget(_ id: String) { state.withLock { _ = $0.leaving.removeValue(forKey: id) } }
}
