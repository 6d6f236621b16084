import Errors
import Glibc
import Linux

extension Command {
  static let kill = Command(
    name: "kill", summary: "kill sends the specified signal (default: SIGTERM) to the container's init process",
    usage: "<container-id> [signal]",
    options: [Option("all", "a", kind: .flag, "send the specified signal to all processes inside the container")],
    arguments: 1...2
  ) { (invocation) throws(ApusError) in
    let text = invocation.options.arguments.dropFirst().first ?? "SIGTERM"
    guard let signal = text == "0" ? 0 : Signal.number(named: text) else {
      throw ApusError(.invalidArgument, "unknown signal \"\(text)\"")
    }
    let stored = try StoredContainer(invocation.id, root: invocation.global.root)
    let all = invocation.options.has("all")
    if try stored.status() == .stopped {
      guard all else { throw ApusError(.conflict, "container not running") }
      // Without a process namespace others can be there without the first one.
      let cgroups = try stored.record.cgroups
      if signal == SIGKILL {
        try cgroups.killAll(stored.record.cgroupPath)
      } else {
        for process in try cgroups.processes(stored.record.cgroupPath) {
          try Processes.send(signal: signal, toProcess: process)
        }
      }
      return 0
    }
    let container = try stored.open()
    guard try container.signal(signal, all: all) || all else {
      throw ApusError(.conflict, "container not running")
    }
    // A signal that ends it ends a paused container only when it can run again.
    if signal == SIGKILL, try stored.status() == .paused { try container.resume() }
    return 0
  }
}
