import Errors
import Glibc
import Linux
import RuntimeSpec

extension Command {
  static let events = Command(
    name: "events", summary: "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
    options: [
      Option("interval", "set the stats collection interval (default: 5s)"),
      Option("stats", kind: .flag, "display the container's stats then exit"),
    ]
  ) { (invocation) throws(ApusError) in
    let text = invocation.options.value("interval") ?? "5s"
    guard let interval = Duration.milliseconds(text), interval > 0 else {
      throw ApusError(.invalidArgument, "duration interval must be greater than 0, as in 500ms or 5s, not \"\(text)\"")
    }
    let stored = try StoredContainer(invocation.id, root: invocation.global.root)
    guard try stored.status() != .stopped else {
      throw ApusError(.conflict, "container with id \(invocation.id) is not running")
    }
    let cgroups = try stored.record.cgroups
    let path = stored.record.cgroupPath
    if invocation.options.has("stats") {
      say(Event.statistics(try cgroups.statistics(path), id: invocation.id))
      return 0
    }
    let process = try stored.open()
    let memory = try cgroups.oomEvents(path)
    var kills = cgroups.oomKills(path)
    var rest = interval
    while true {
      var waits = [
        pollfd(fd: process.processDescriptor.raw, events: Int16(POLLIN), revents: 0),
        pollfd(fd: memory.raw, events: Int16(POLLIN), revents: 0),
      ]
      let began = Duration.monotonic()
      let ready = poll(&waits, 2, Int32(clamping: rest))
      rest = max(0, rest - Int(Duration.monotonic() - began))
      if waits[1].revents != 0 {
        var buffer = [UInt8](repeating: 0, count: 4096)
        _ = read(memory.raw, &buffer, buffer.count)
        let now = cgroups.oomKills(path)
        if now != kills { say(Event.outOfMemory(id: invocation.id)) }
        kills = now
      }
      if waits[0].revents != 0 { return 0 }
      if ready == 0 {
        say(Event.statistics(try cgroups.statistics(path), id: invocation.id))
        rest = interval
      }
    }
  }
}

/// Spans of time.
enum Duration {
  /// `500ms`, `5s`, `1.5m`, `2h`; nil for anything else.
  static func milliseconds(_ text: String) -> Int? {
    for (unit, factor) in [("ms", 1.0), ("s", 1000), ("m", 60_000), ("h", 3_600_000)] where text.hasSuffix(unit) {
      guard let number = Double(text.dropLast(unit.count)), number >= 0, number * factor < 1e12 else { return nil }
      return Int(number * factor)
    }
    return nil
  }

  /// Milliseconds of a clock that only goes forward.
  static func monotonic() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }
}
