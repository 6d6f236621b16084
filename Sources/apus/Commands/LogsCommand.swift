import ArgumentParser
import Errors

struct LogsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "logs", abstract: "Show what a container printed.",
    discussion: """
      apus logs -f --tail 20 web
      apus logs --since 10m web
      """)
  static let flags = "follow f timestamps t details"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Go on with what it prints from now on.")
  var follow = false
  @Flag(name: .shortAndLong, help: "Show when each line was printed.")
  var timestamps = false
  @Flag(help: "Show the attributes of each line.")
  var details = false
  @Option(help: .init("Show what came after a time, or 10m ago.", valueName: "time"))
  var since: String?
  @Option(help: .init("Show what came before a time, or 10m ago.", valueName: "time"))
  var until: String?
  @Option(name: [.customShort("n"), .long], help: .init("Show the last lines only.", valueName: "lines"))
  var tail = "all"
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var name: String

  func run() throws {
    let client = try client()
    // Whether the stream is divided into frames depends on the container's having a terminal.
    let terminal = try client.request("GET", Target.container(name, "json"))["Config"]["Tty"].bool == true
    let target = Target.container(
      name, "logs",
      [
        ("stdout", "1"), ("stderr", "1"), ("follow", Target.flag(follow)), ("timestamps", Target.flag(timestamps)),
        ("details", Target.flag(details)), ("tail", tail), ("since", try since.map(Timestamp.parameter)),
        ("until", try until.map(Timestamp.parameter)),
      ])
    let (_, connection) = try client.open("GET", target)
    var demultiplexer = StreamDemultiplexer()
    while let piece = try connection.receivePiece() {
      if terminal {
        try Console.write(piece[...], to: 1)
      } else {
        try demultiplexer.feed(piece) { try Console.write($0, to: $1) }
      }
    }
  }
}
