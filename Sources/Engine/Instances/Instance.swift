import Errors
import FoundationEssentials
import ImageSpec
import Layers
import Logging

/// One instance: its record, its sandbox when it runs, and everything that can be done to it.
///
/// The actor protects the state. Whole lifecycle operations, which suspend, exclude each other by ``lifecycle``; what
/// must get through while one of them waits (signals, attach, exec, wait) does not take it.
public actor Instance {
  public nonisolated let id: String
  public nonisolated let paths: InstancePaths
  nonisolated let services: EngineServices
  nonisolated let lifecycle = LifecycleLock()

  var current: InstanceRecord
  /// What holds the running sandbox; nil when there is none.
  var sandbox: RunningSandbox?
  /// The end of the last sandbox, as long as something of it may still be there.
  var leaving: Task<Void, Never>?
  /// Counts starts, so that a late word from an earlier shim is not taken for one of the present one.
  var generation: UInt64 = 0
  var waits: [ExitWait] = []
  /// Attaches that wait for the start.
  var waitingSessions: [AttachSession] = []
  var backoff = RestartBackoff()
  /// Sleeps until the restart policy starts the instance again.
  var restartTask: Task<Void, Never>?
  /// The coming exit is the user's doing: the restart policy does not apply.
  var stopRequested = false
  /// A start by the user follows the coming exit: `removeOnExit` does not apply.
  var restartRequested = false
  var healthTask: Task<Void, Never>?

  init(record: InstanceRecord, services: EngineServices) {
    id = record.id
    paths = services.paths.instance(record.id)
    current = record
    self.services = services
  }

  /// What the instance is now.
  public var record: InstanceRecord { current }

  /// Whether there are processes.
  var isUp: Bool { current.state.status == .running || current.state.status == .paused }

  nonisolated var logger: Logger { services.logger }

  func save() { services.store.note(current.state, of: id) }

  /// The execs of this life of the instance, running or not, in no order.
  public nonisolated var execIDs: [String] { services.index.execs(of: id).map(\.id) }

  /// Tells the world, with the attributes that Docker's container events have.
  func publish(_ action: String, _ more: [String: String] = [:]) {
    var attributes = current.resolved.labels
    attributes["image"] = current.configuration.image
    attributes["name"] = current.name
    attributes.merge(more) { $1 }
    services.events.publish(
      EngineEvent(kind: "container", action: action, subject: id, attributes: attributes, time: Date()))
  }

  /// The connection to the running sandbox.
  ///
  /// - Throws: `conflict` with Docker's wording where it does not run.
  func running() throws -> RunningSandbox {
    guard let sandbox, isUp else { throw ApusError(.conflict, "container \(id) is not running") }
    return sandbox
  }
}

/// What the engine holds for a sandbox that is up.
struct RunningSandbox: Sendable {
  var connection: ShimConnection
  /// Keeps the image's layers mounted.
  var lease: LayerLease
  var shimPID: Int32
  var shimStartTime: UInt64
  /// This daemon started the shim and has to wait for its process.
  var isChild: Bool
}
