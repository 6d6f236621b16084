import CLinux
import Errors
import Linux
import RuntimeSpec

extension Command {
  static let run = Command(
    name: "run", summary: "create and run a container",
    options: Creation.options + [
      Option("detach", "d", kind: .flag, "detach from the container's process"),
      Option("keep", kind: .flag, "do not delete the container after it exits"),
      Option("no-subreaper", kind: .flag, "disable the use of the subreaper used to reap reparented processes"),
    ], failurePrefix: "apus-runtime run failed: ", entersContainers: true
  ) { (invocation) throws(ApusError) in
    let options = invocation.options
    if options.has("detach") {
      let creation = try Creation(invocation, detached: true, handsOver: false)
      let notify = try NotifySocket(in: creation.directory)
      try begin(creation, log: invocation.log)
      creation.directory.unlock()
      notify?.wait(for: creation.record.pid, log: invocation.log)
      return 0
    }
    let foreground = try Foreground(isSubreaper: !options.has("no-subreaper"))
    let creation = try Creation(invocation, detached: false, handsOver: false)
    let terminal = creation.container.takeTerminal()
    let notify = try NotifySocket(in: creation.directory, blocking: false)
    try begin(creation, log: invocation.log)
    // Whoever pauses or deletes it must not wait for its end.
    creation.directory.unlock()
    // Nor is there anything else to do now.
    clinux_forget_code()
    let status = try foreground.attend(creation.record.pid, terminal: terminal, also: notify?.descriptor) {
      notify?.passOn(log: invocation.log)
    }
    if !options.has("keep") {
      Deletion.end(creation.record, in: creation.directory, hooks: creation.bundle.spec.hooks, log: invocation.log)
    }
    return status
  }

  private static func begin(_ creation: Creation, log: Log) throws(ApusError) {
    do throws(ApusError) {
      try creation.container.start()
    } catch {
      Deletion.end(creation.record, in: creation.directory, hooks: creation.bundle.spec.hooks, log: log)
      throw error
    }
    Hooks.runPoststart(creation.bundle.spec.hooks, of: creation.record, log: log)
  }
}
