import Errors
import Linux

extension Command {
  static let pause = Command(
    name: "pause", summary: "pause suspends all processes inside the container"
  ) { (invocation) throws(ApusError) in
    let stored = try StoredContainer(invocation.id, root: invocation.global.root, locked: true)
    let status = try stored.status()
    guard status == .running || status == .created else {
      throw ApusError(.conflict, "container not running or created: \(status.rawValue)")
    }
    try stored.record.cgroups.freeze(stored.record.cgroupPath)
    return 0
  }
}
