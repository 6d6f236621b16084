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
    /// For the next instances, with the network they are plugged to.
    var free: [(shim: StartedShim, network: String?)] = []
    /// The networks that instances have been made for of late; nil is none.
    var networks: [String?: ContinuousClock.Instant] = [:]
    /// For instances that are created and not started yet, the oldest first.
    var claimed: [(shim: StartedShim, since: ContinuousClock.Instant)] = []
    /// Those on their way out, by their ids: until they are gone their instances cannot be started otherwise.
    var leaving: [String: Task<Void, Never>] = [:]
    var lastUse = ContinuousClock.now
    var isFilling = false
    var isWatched = false
    var isClosed = false
  }

  /// How many are kept for the next instances: a person's or a script's burst. Whoever starts more than that one after
  /// another gains nothing from work that is done beside his own.
  private static let count = 4
  /// Instances that are created and not started, and keep theirs.
  private static let claimedCount = 8
  /// How long at least: most are started at once, and what has been made for them is not to be thrown away in a burst.
  private static let claimedTime = Duration.seconds(1)
  /// For how long nobody must have taken one before more are made: what is going on is to be done first.
  private static let delay = Duration.milliseconds(50)
  /// Without a new instance for so long, they go.
  private static let rest = Duration.seconds(10)

  private let state = Mutex(State())

  /// The id for a new instance, and from then on a shim for it; nil when there is none.
  ///
  /// - Parameter network: what the instance is to be plugged to, if it is nothing but one network of the usual kind.
  func takeID(network: String?, _ services: EngineServices) -> String? {
    let (id, gone, fill) = state.withLock { state -> (String?, [StartedShim], Bool) in
      guard !state.isClosed else { return (nil, [], false) }
      state.lastUse = .now
      state.networks[network] = .now
      var gone = state.free.filter { !$0.shim.isAlive }.map(\.shim)
      state.free.removeAll { !$0.shim.isAlive }
      if state.claimed.count >= Self.claimedCount, state.claimed[0].since + Self.claimedTime < .now {
        gone.append(state.claimed.removeFirst().shim)
      }
      var shim: StartedShim?
      if state.claimed.count < Self.claimedCount, let last = state.free.lastIndex(where: { $0.network == network }) {
        shim = state.free.remove(at: last).shim
      }
      if let shim { state.claimed.append((shim, .now)) }
      defer { state.isFilling = true }
      return (shim?.id, gone, !state.isFilling)
    }
    for shim in gone { dismiss(shim, services) }
    if fill { Task { await refill(services) } }
    return id
  }

  /// The shim that stands by for an instance, which is the caller's from here on. Nil: there is none any more, and
  /// nothing of it.
  func claim(_ id: String, _ services: EngineServices) async -> StartedShim? {
    if let shim = takeClaimed(id) {
      if shim.isAlive { return shim }
      dismiss(shim, services)
    }
    await state.withLock { $0.leaving[id] }?.value
    return nil
  }

  private func takeClaimed(_ id: String) -> StartedShim? {
    state.withLock { state in
      state.claimed.firstIndex { $0.shim.id == id }.map { state.claimed.remove(at: $0).shim }
    }
  }

  /// The instance will not be started.
  func dismiss(_ id: String, _ services: EngineServices) {
    if let shim = takeClaimed(id) { dismiss(shim, services) }
  }

  /// Ends all; returns when they have ended.
  func close(_ services: EngineServices) async {
    let all = state.withLock { state in
      state.isClosed = true
      return Self.empty(&state)
    }
    for shim in all { dismiss(shim, services) }
    // One that is being made is dismissed by who makes it.
    let limit = ContinuousClock.now + .seconds(2)
    while state.withLock({ $0.isFilling }), ContinuousClock.now < limit { try? await Task.sleep(for: .milliseconds(2)) }
    for task in state.withLock({ Array($0.leaving.values) }) { await task.value }
  }

  private static func empty(_ state: inout State) -> [StartedShim] {
    defer { (state.free, state.claimed) = ([], []) }
    return state.free.map(\.shim) + state.claimed.map(\.shim)
  }

  /// The network for which the next one is to be made: of those that were asked for of late one that has too few.
  private static func wanting(_ state: inout State) -> String?? {
    guard !state.isClosed else { return .none }
    let now = ContinuousClock.now
    state.networks = state.networks.filter { now - $0.value < Self.rest }
    for (network, _) in state.networks.sorted(by: { $0.value > $1.value }) {
      if state.free.count(where: { $0.network == network }) < Self.count { return .some(network) }
    }
    return .none
  }

  private func refill(_ services: EngineServices) async {
    while let network = state.withLock({ Self.wanting(&$0) }) {
      let quiet = state.withLock { $0.lastUse } + Self.delay
      if quiet > .now {
        try? await Task.sleep(until: quiet)
        continue
      }
      // Without one the next start makes all by itself, and says what is wrong.
      guard let (shim, prepared) = try? await services.lifecycle.run({ try Self.make(services) }) else { break }
      do {
        try await Self.plug(shim, prepared: prepared, network: network, services)
      } catch {
        // Full, or gone, or the host lacks something: as above.
        dismiss(shim, services)
        state.withLock { _ = $0.networks.removeValue(forKey: network) }
        continue
      }
      let isLate = state.withLock { state in
        if !state.isClosed { state.free.append((shim, network)) }
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
  ///
  /// - Returns: the shim, and the tag of what it was asked to prepare.
  private static func make(_ services: EngineServices) throws -> (StartedShim, UInt16) {
    let id = InstanceName.newIdentifier()
    let shim = try StartedShim(id: id, services: services)
    do {
      return (shim, try shim.connection.post(.prepare, request(id, services).json()))
    } catch {
      shim.connection.close()
      ShimReaper.reap(shim.process, startTime: shim.startTime, child: true, logger: services.logger)
      throw error
    }
  }

  /// Waits until it has made what it can, and puts that into the network.
  private static func plug(
    _ shim: StartedShim, prepared: UInt16, network: String?, _ services: EngineServices
  ) async throws {
    let answer = try await shim.connection.answer(prepared)
    guard let network else { return }
    let process = try ProcessStarted(json: answer, subject: "The shim's answer").pid
    guard process > 0 else {
      throw ApusError(.unavailable, "the shim \(shim.id) has made nothing ahead that could be plugged")
    }
    let endpoint = try await services.lifecycle.run {
      try services.networks.plug(ahead: shim.id, network: network, process: process)
    }
    shim.setPlugged(endpoint)
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
    services.seccomp.place(&request)
    return request
  }

  /// Ends those that stand by in a network, for a while; returns when they have given back what they had leased.
  func evict(network: String, _ services: EngineServices) async {
    let gone = state.withLock { state in
      state.networks[network] = nil
      let gone = state.free.filter { $0.network == network }.map(\.shim)
      state.free.removeAll { $0.network == network }
      return gone
    }
    for shim in gone { dismiss(shim, services) }
    for shim in gone { await state.withLock { $0.leaving[shim.id] }?.value }
  }

  /// Sees it off with all that it made. Its own work, unless it has been killed.
  func dismiss(_ shim: StartedShim, _ services: EngineServices) {
    state.withLock { state in
      state.leaving[shim.id] = Task {
        shim.connection.close()
        let plugged = shim.takePlugged()
        if let plugged { try? await services.lifecycle.run { services.networks.unplug(plugged, of: shim.id) } }
        let reaping = ShimReaper.reap(
          shim.process, startTime: shim.startTime, child: true, logger: services.logger)
        if await !reaping.value {
          let cgroup = LostSandbox.cgroup(ofStandby: shim.id, services)
          try? await services.blocking.run { try LostSandbox.removeCgroup(cgroup, services) }
        }
        // Empty, and of an instance that is created already it is made anew.
        _ = rmdir(services.paths.instance(shim.id).runDirectory)
        forget(shim.id)
      }
    }
  }

  private func forget(_ id: String) { state.withLock { _ = $0.leaving.removeValue(forKey: id) } }
}
