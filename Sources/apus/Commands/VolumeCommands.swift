import ArgumentParser
import Errors

struct VolumeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "volume", abstract: "Volumes.",
    subcommands: [
      VolumeCreateCommand.self, VolumeLsCommand.self, VolumeInspectCommand.self, VolumeRmCommand.self,
      VolumePruneCommand.self,
    ])
}

struct VolumeCreateCommand: Verb {
  static let configuration = CommandConfiguration(commandName: "create", abstract: "Make a volume.")

  @OptionGroup var connection: ConnectionOptions
  @Option(name: .shortAndLong, help: .init("Driver of the volume.", valueName: "driver"))
  var driver = "local"
  @Option(help: .init("Set a label.", valueName: "key=value"))
  var label: [String] = []
  @Option(name: .shortAndLong, help: .init("Option of the driver.", valueName: "key=value"))
  var opt: [String] = []
  @Argument(help: .init(valueName: "name"))
  var name: String?

  func run() throws {
    var body: JSON = ["Driver": .string(driver)]
    if let name { body["Name"] = .string(name) }
    if !label.isEmpty { body["Labels"] = .object(CreateRequest.members(label)) }
    if !opt.isEmpty { body["DriverOpts"] = .object(CreateRequest.members(opt)) }
    try Console.printLine(try client().request("POST", "/volumes/create", body: body)["Name"].string ?? "")
  }
}

struct VolumeLsCommand: Verb {
  static let configuration = CommandConfiguration(commandName: "ls", abstract: "List volumes.", aliases: ["list"])
  static let flags = "quiet q"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Show names only.")
  var quiet = false
  @Option(
    name: .shortAndLong, help: .init("Show those that match: name, label, driver, dangling.", valueName: "key=value"))
  var filter: [String] = []
  @OptionGroup var format: FormatOptions

  func run() throws {
    let answer = try client().request("GET", Target.path(["volumes"], [("filters", try Target.filters(filter))]))
    let volumes = answer["Volumes"].elements.sorted { ($0["Name"].string ?? "") < ($1["Name"].string ?? "") }
    let rows = volumes.map { volume -> JSON in
      let labels = volume["Labels"].members.map { "\($0.key)=\($0.value.string ?? "")" }.sorted()
      let size = volume["UsageData"]["Size"].int ?? -1
      return [
        "Driver": volume["Driver"], "Labels": .string(labels.joined(separator: ",")),
        "Mountpoint": volume["Mountpoint"], "Name": volume["Name"], "Scope": volume["Scope"],
        "Size": .string(size < 0 ? "N/A" : Humanize.size(size)),
      ]
    }
    try Listing(columns: [("Driver", "DRIVER"), ("Name", "VOLUME NAME")])
      .show(rows, format, quiet: quiet && format.text == nil ? "Name" : nil)
  }
}

struct VolumeRmCommand: Verb {
  static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove volumes.", aliases: ["remove"])
  static let flags = "force f"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "No failure when it is not there.")
  var force = false
  @Argument(help: .init(valueName: "volume"), completion: .volumes)
  var names: [String]

  func run() throws {
    try EachObject(client: client()).run(names, "DELETE") {
      Target.path(["volumes", $0], [("force", Target.flag(force))])
    }
  }
}

struct VolumePruneCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "prune", abstract: "Remove volumes that no container uses.")
  static let flags = "all a force f"

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: PruneOptions
  @Flag(name: .shortAndLong, help: "Named ones too.")
  var all = false

  func run() throws {
    try options.confirm("This removes every \(all ? "" : "anonymous ")volume that no container uses, with its data.")
    let filters = (all ? ["all=true"] : []) + options.filter
    let answer = try client().request(
      "POST", Target.path(["volumes", "prune"], [("filters", try Target.filters(filters))]))
    try PruneOptions.report(answer, list: "VolumesDeleted", title: "Deleted volumes")
  }
}

/// What all `prune` verbs do alike.
struct PruneOptions: ParsableArguments {
  @Flag(name: .shortAndLong, help: "Do not ask.")
  var force = false
  @Option(help: .init("Remove those that match: until, label.", valueName: "key=value"))
  var filter: [String] = []

  /// Asks, unless told not to. No ends the program with status 1.
  func confirm(_ warning: String) throws {
    if force { return }
    try Console.printLine(warning)
    if try !Console.confirm("Go on?") { throw ExitStatus(status: 1) }
  }

  static func report(_ answer: JSON, list: String, title: String) throws {
    try show(answer, list: list, title: title)
    try Console.printLine("Total reclaimed space: \(Humanize.size(answer["SpaceReclaimed"].int ?? 0))")
  }

  static func show(_ answer: JSON, list: String, title: String) throws {
    let deleted = answer[list].elements.compactMap { entry in
      entry.string ?? entry["Untagged"].string.map { "untagged: \($0)" }
        ?? entry["Deleted"].string.map { "deleted: \($0)" }
    }
    if !deleted.isEmpty { try Console.print("\(title):\n" + deleted.map { $0 + "\n" }.joined() + "\n") }
  }
}
