import ArgumentParser
import Errors

struct TopCommand: HandsOnArguments {
  static let configuration = CommandConfiguration(
    commandName: "top", abstract: "List the processes of a container.",
    usage: "apus top <container> [<ps option> ...]",
    discussion: """
      apus top web
      apus top web aux
      """)

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init("The container, and options of ps.", valueName: "container"), completion: .runningContainers)
  var words: [String]

  func run() throws {
    let options = words.dropFirst().joined(separator: " ")
    let answer = try client().request(
      "GET", Target.container(words[0], "top", [("ps_args", options.isEmpty ? nil : options)]))
    try Console.print(
      Table.text(headings: answer["Titles"].strings, rows: answer["Processes"].elements.map(\.strings)))
  }
}

struct DiffCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "diff", abstract: "List the files a container changed.")

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var name: String

  func run() throws {
    let letters = ["C", "A", "D"]
    let changes = try client().request("GET", Target.container(name, "changes"))
    try Console.print(
      changes.elements.map { change in
        let kind = Int(change["Kind"].int ?? 0)
        return "\(letters.indices.contains(kind) ? letters[kind] : "?") \(change["Path"].string ?? "")\n"
      }.joined())
  }
}

struct EventsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "events", abstract: "Show what happens, as it happens.",
    discussion: """
      apus events --since 10m --until 0s
      apus events --filter event=die --format '{{.Actor.Attributes.name}}'
      """)

  @OptionGroup var connection: ConnectionOptions
  @Option(help: .init("Begin with what happened after a time, or 10m ago.", valueName: "time"))
  var since: String?
  @Option(help: .init("End at a time.", valueName: "time"))
  var until: String?
  @Option(
    name: .shortAndLong,
    help: .init("Show those that match: event, type, container, image, label, ….", valueName: "key=value"))
  var filter: [String] = []
  @OptionGroup var format: FormatOptions

  func run() throws {
    let text = format.text == "json" ? "{{json .}}" : format.text
    let template = try text.map { try Template(Listing.unescape($0)) }
    let query = [
      ("since", try since.map(Timestamp.parameter)), ("until", try until.map(Timestamp.parameter)),
      ("filters", try Target.filters(filter)),
    ]
    try client().stream("GET", Target.path(["events"], query)) { event in
      if let template { return try Console.printLine(try TemplateEvaluator.apply(template, to: event)) }
      try Console.printLine(EventLine.text(event))
    }
  }
}

enum EventLine {
  static func text(_ event: JSON) -> String {
    let nanoseconds = event["timeNano"].int ?? (event["time"].int ?? 0) * 1_000_000_000
    let time = Timestamp.rfc3339(nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000)
    let attributes = event["Actor"]["Attributes"].members.sorted { $0.key < $1.key }
      .map { "\($0.key)=\($0.value.string ?? "")" }
    let line = [time, event["Type"].string ?? "", event["Action"].string ?? "", event["Actor"]["ID"].string ?? ""]
    return line.joined(separator: " ") + (attributes.isEmpty ? "" : " (\(attributes.joined(separator: ", ")))")
  }
}
