import Errors
import Linux

extension Command {
  static let resume = Command(
    name: "resume", summary: "resumes all processes that have been previously paused"
  ) { (invocation) throws(ApusError) in
    let stored = try StoredContainer(invocation.id, root: invocation.global.root, locked: true)
    guard try stored.status() == .paused else { throw ApusError(.conflict, "container not paused") }
    try stored.record.cgroups.thaw(stored.record.cgroupPath)
    return 0
  }
}
