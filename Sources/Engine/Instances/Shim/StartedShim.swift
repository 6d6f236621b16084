import Errors
import Glibc
import Linux
import Synchronization

/// A shim that has been started and waits for its orders.
final class StartedShim: Sendable {
  /// Of the instance it is for.
  let id: String
  let connection: ShimConnection
  let process: pid_t
  let startTime: UInt64
  private let relay: Relay
  /// What has been plugged ahead for the instance.
  private let plugged = Mutex<NetworkService.PluggedEndpoint?>(nil)

  /// Starts one, and makes the directory it will listen in. Blocks. Whatever fails, it ends by itself when its
  /// connection closes.
  init(id: String, services: EngineServices) throws {
    self.id = id
    let pair = try UnixSocket.pair(nonBlocking: true)
    process = try services.runtime.spawnShim(id: id, socket: pair.second.raw)
    let relay = Relay()
    self.relay = relay
    connection = ShimConnection(socket: pair.takeFirst(), reactor: services.reactor) { relay.tell($0) }
    do {
      startTime = try Processes.startTime(of: process)
      try Files.makeDirectory(services.paths.instance(id).runDirectory, mode: 0o711)
    } catch {
      connection.close()
      ShimReaper.reap(process, startTime: 0, child: true, logger: services.logger)
      throw error
    }
  }

  /// From here on events go to `listener`; if there has been one already, the connection is of no more use.
  func listen(_ listener: @escaping @Sendable (ShimConnection.Event) -> Void) { relay.listen(listener) }

  /// Something has been plugged ahead.
  var isPlugged: Bool { plugged.withLock { $0 != nil } }

  func setPlugged(_ endpoint: NetworkService.PluggedEndpoint) { plugged.withLock { $0 = endpoint } }

  /// Gives up what has been plugged ahead, to be used or released.
  func takePlugged() -> NetworkService.PluggedEndpoint? {
    plugged.withLock { plugged in
      defer { plugged = nil }
      return plugged
    }
  }

  /// What has been plugged ahead, if it is what the instance is to have; otherwise it is taken away. Blocks.
  func takePlugged(for record: InstanceRecord, _ services: EngineServices) -> NetworkService.PluggedEndpoint? {
    guard let endpoint = takePlugged() else { return nil }
    if record.configuration.network.usualNetworkID == endpoint.attached.endpoint.networkID { return endpoint }
    services.networks.unplug(endpoint, of: id)
    return nil
  }

  /// Nothing has been heard of its end.
  var isAlive: Bool { !relay.hasEnded }

  private final class Relay: Sendable {
    private struct State {
      var listener: (@Sendable (ShimConnection.Event) -> Void)?
      var hasEnded = false
    }
    private let state = Mutex(State())

    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    func tell(_ event: ShimConnection.Event) {
      let listener = state.withLock { state in
        if case .ended = event { state.hasEnded = true }
        return state.listener
      }
      listener?(event)
    }

    func listen(_ listener: @escaping @Sendable (ShimConnection.Event) -> Void) {
      let late = state.withLock { state in
        state.listener = listener
        return state.hasEnded
      }
      if late { listener(.ended(nil)) }
    }
  }
}

extension SocketPair {
  /// The first end; the second is closed.
  consuming func takeFirst() -> OwnedDescriptor { first }
}
