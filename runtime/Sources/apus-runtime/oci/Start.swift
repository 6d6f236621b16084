import Container
import Errors
import Linux
import RuntimeSpec

extension Command {
  static let start = Command(
    name: "start", summary: "executes the user defined process in a created container"
  ) { (invocation) throws(ApusError) in
    let stored = try StoredContainer(invocation.id, root: invocation.global.root, locked: true)
    let status = try stored.status()
    switch status {
    case .created: break
    case .stopped: throw ApusError(.conflict, "cannot start a container that has stopped")
    case .running: throw ApusError(.conflict, "cannot start an already running container")
    default: throw ApusError(.conflict, "cannot start a container in the \(status.rawValue) state")
    }
    let notify = try NotifySocket(in: stored.directory)
    defer {
      stored.directory.unlink(StateDirectory.report)
      stored.directory.unlink(StateDirectory.startGate)
    }
    try Handover.release(
      at: stored.directory.descriptor.raw, start: StateDirectory.startGate, report: StateDirectory.report)
    Hooks.runPoststart(try stored.hooks(), of: stored.record, log: invocation.log)
    guard let notify else { return 0 }
    // Whoever pauses or deletes it must not wait until it is ready.
    stored.directory.unlock()
    notify.wait(for: stored.record.pid, log: invocation.log)
    return 0
  }
}
