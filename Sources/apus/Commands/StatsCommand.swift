import ArgumentParser
import Errors
import Glibc

struct StatsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "stats", abstract: "Show what containers use of the machine.",
    discussion: """
      apus stats --no-stream
      apus stats web db
      """)
  static let flags = "all a no-stream no-trunc"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Show stopped ones too.")
  var all = false
  @Flag(help: "Show one reading and end.")
  var noStream = false
  @Flag(help: "Do not shorten ids.")
  var noTrunc = false
  @OptionGroup var format: FormatOptions
  @Argument(help: .init(valueName: "container"), completion: .runningContainers)
  var names: [String] = []

  func run() throws {
    let client = try client()
    let redraws = !noStream && Console.isTerminal(1) && format.text == nil
    // A rate needs two readings; the daemon keeps none for those who do not look.
    var previous = try StatsRow.readings(chosen(client), client)
    StatsRow.pause(noStream ? 0.5 : 1)
    while true {
      let names = try chosen(client)
      let current = try StatsRow.readings(names, client)
      let rows = names.compactMap { name in
        current[name].map { StatsRow.row(name, $0, before: previous[name], full: noTrunc) }
      }
      if redraws { try Console.print("\u{1B}[2J\u{1B}[H") }
      try StatsRow.listing.show(rows, format)
      if noStream { return }
      previous = current
      StatsRow.pause(1)
    }
  }

  private func chosen(_ client: Client) throws -> [String] {
    if !names.isEmpty { return names }
    return try client.request("GET", Target.path(["containers", "json"], [("all", Target.flag(all))]))
      .elements.compactMap { $0["Id"].string }
  }
}

/// Readings, and the rows made of them.
enum StatsRow {
  static let listing = Listing(
    columns: [
      ("ID", "CONTAINER ID"), ("Name", "NAME"), ("CPUPerc", "CPU %"), ("MemUsage", "MEM USAGE / LIMIT"),
      ("MemPerc", "MEM %"), ("NetIO", "NET I/O"), ("BlockIO", "BLOCK I/O"), ("PIDs", "PIDS"),
    ], others: [("Container", "CONTAINER")])

  static func pause(_ seconds: Double) { usleep(useconds_t(seconds * 1e6)) }

  static func readings(_ names: [String], _ client: Client) throws -> [String: JSON] {
    var result: [String: JSON] = [:]
    for name in names {
      do {
        result[name] = try client.request(
          "GET", Target.container(name, "stats", [("stream", "0"), ("one-shot", "1")]))
      } catch let failure as APIFailure where failure.status == 404 && names.count > 1 {
        // It went away between the list and the reading.
        continue
      }
    }
    return result
  }

  static func row(_ name: String, _ reading: JSON, before: JSON?, full: Bool) -> JSON {
    let id = reading["id"].string ?? name
    let memory = reading["memory_stats"]
    let cache = memory["stats"]["total_inactive_file"].int ?? memory["stats"]["inactive_file"].int ?? 0
    let usage = max(0, (memory["usage"].int ?? 0) - cache)
    let limit = memory["limit"].int ?? 0
    var received: Int64 = 0, sent: Int64 = 0
    for network in reading["networks"].members {
      received += network.value["rx_bytes"].int ?? 0
      sent += network.value["tx_bytes"].int ?? 0
    }
    var read: Int64 = 0, written: Int64 = 0
    for entry in reading["blkio_stats"]["io_service_bytes_recursive"].elements {
      switch entry["op"].string?.lowercased() {
      case "read": read += entry["value"].int ?? 0
      case "write": written += entry["value"].int ?? 0
      default: break
      }
    }
    let share = limit > 0 ? Double(usage) / Double(limit) * 100 : 0
    return [
      "BlockIO": .string("\(Humanize.size(read)) / \(Humanize.size(written))"),
      "CPUPerc": .string(Humanize.fixed(percent(reading, before), 2) + "%"),
      "Container": .string(name),
      "ID": .string(full ? id : Humanize.shortID(id)),
      "MemPerc": .string(Humanize.fixed(share, 2) + "%"),
      "MemUsage": .string("\(Humanize.binarySize(usage)) / \(Humanize.binarySize(limit))"),
      "Name": .string((reading["name"].string ?? name).drop { $0 == "/" }.description),
      "NetIO": .string("\(Humanize.size(received)) / \(Humanize.size(sent))"),
      "PIDs": .string(String(reading["pids_stats"]["current"].int ?? 0)),
    ]
  }

  /// CPU time of the container as a share of one CPU's.
  private static func percent(_ reading: JSON, _ before: JSON?) -> Double {
    let earlier = before?["cpu_stats"] ?? reading["precpu_stats"]
    let now = reading["cpu_stats"]
    let used = (now["cpu_usage"]["total_usage"].double ?? 0) - (earlier["cpu_usage"]["total_usage"].double ?? 0)
    let system = (now["system_cpu_usage"].double ?? 0) - (earlier["system_cpu_usage"].double ?? 0)
    guard used > 0, system > 0 else { return 0 }
    return used / system * (now["online_cpus"].double ?? 1) * 100
  }
}
