import Errors
import Linux

extension Command {
  static let delete = Command(
    name: "delete", summary: "delete any resources held by the container often used with detached container",
    options: [Option("force", "f", kind: .flag, "Forcibly deletes the container if it is still running (uses SIGKILL)")]
  ) { (invocation) throws(ApusError) in
    let force = invocation.options.has("force")
    let stored: StoredContainer
    do throws(ApusError) {
      stored = try StoredContainer(invocation.id, root: invocation.global.root, locked: true)
    } catch {
      guard force, error.code == .notFound else { throw error }
      // The directory of a creation that was killed before there was a process, or has just come to its end.
      if let remains = try? StateDirectory(opening: invocation.id, root: invocation.global.root) {
        try remains.lock()
        if let group = remains.notedGroup {
          // Fails where somebody else is in it.
          try? Cgroups.driver(of: group).remove(group)
        }
        try remains.remove()
      }
      return 0
    }
    let status = try stored.status()
    guard force || status == .stopped || status == .created else {
      throw ApusError(
        .conflict, "cannot delete container \(invocation.id) that is not stopped: \(status.rawValue)")
    }
    let hooks = try stored.hooks()
    if status != .stopped { try Deletion.kill(stored.record) }
    try Deletion.finish(stored.record, in: stored.directory, hooks: hooks, log: invocation.log)
    return 0
  }
}
