import ArgumentParser
import Errors

struct PsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "ps", abstract: "List containers.",
    discussion: """
      apus ps -a
      apus ps -q --filter label=app=web
      apus ps --format '{{.Names}} {{.Status}}'
      """)
  static let flags = PsOptions.flags

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: PsOptions

  func run() throws { try options.run(client()) }
}

/// `ps` by the name it has among its kind.
struct ContainerLsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "ls", abstract: "List containers.", aliases: ["list", "ps"])
  static let flags = PsOptions.flags

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: PsOptions

  func run() throws { try options.run(client()) }
}

struct PsOptions: ParsableArguments {
  static let flags = "all a quiet q no-trunc size s latest l"

  @Flag(name: .shortAndLong, help: "Show stopped ones too.")
  var all = false
  @Flag(name: .shortAndLong, help: "Show ids only.")
  var quiet = false
  @Flag(help: "Do not shorten.")
  var noTrunc = false
  @Flag(name: .shortAndLong, help: "Show sizes.")
  var size = false
  @Flag(name: .shortAndLong, help: "Show the newest only, whatever its state.")
  var latest = false
  @Option(
    name: [.customShort("n"), .long],
    help: .init("Show so many of the newest, whatever their state.", valueName: "number"))
  var last: Int?
  @Option(
    name: .shortAndLong,
    help: .init(
      "Show those that match: status, name, label, id, ancestor, exited, volume, network, publish, ….",
      valueName: "key=value"))
  var filter: [String] = []
  @OptionGroup var format: FormatOptions

  func run(_ client: Client) throws {
    let limit = latest ? 1 : last
    let withSize = size || format.template?.contains(".Size") == true
    let query = [
      ("all", Target.flag(all || limit != nil)), ("limit", limit.map { String($0) }), ("size", Target.flag(withSize)),
      ("filters", try Target.filters(filter)),
    ]
    let containers = try client.request("GET", Target.path(["containers", "json"], query))
    let rows = containers.elements.map { PsRow.row($0, full: noTrunc) }
    try PsRow.listing(size: size).show(rows, format, quiet: quiet && format.text == nil ? "ID" : nil)
  }
}

/// A line of `ps`.
enum PsRow {
  static func listing(size: Bool) -> Listing {
    Listing(
      columns: [
        ("ID", "CONTAINER ID"), ("Image", "IMAGE"), ("Command", "COMMAND"), ("RunningFor", "CREATED"),
        ("Status", "STATUS"), ("Ports", "PORTS"), ("Names", "NAMES"),
      ] + (size ? [("Size", "SIZE")] : []),
      others: [("CreatedAt", "CREATED AT"), ("Size", "SIZE"), ("LocalVolumes", "LOCAL VOLUMES")])
  }

  static func row(_ container: JSON, full: Bool) -> JSON {
    let id = container["Id"].string ?? ""
    let created = container["Created"].int ?? 0
    let command = container["Command"].string ?? ""
    let names = container["Names"].strings.map { $0.hasPrefix("/") ? String($0.dropFirst()) : $0 }
    let labels = container["Labels"].members.map { "\($0.key)=\($0.value.string ?? "")" }.sorted()
    let mounts = container["Mounts"].elements.map { mount in
      let name = mount["Name"].string ?? ""
      return name.isEmpty ? mount["Source"].string ?? "" : name
    }
    let image = container["Image"].string ?? ""
    return [
      "Command": .string("\"" + (full ? command : Humanize.ellipsis(command, 20)) + "\""),
      "CreatedAt": .string(Timestamp.local(created)),
      "ID": .string(full ? id : Humanize.shortID(id)),
      "Image": .string(full || !image.hasPrefix("sha256:") ? image : Humanize.shortID(image)),
      "Labels": .string(labels.joined(separator: ",")),
      "LocalVolumes": .string(String(container["Mounts"].elements.filter { $0["Driver"].string == "local" }.count)),
      "Mounts": .string(mounts.map { full ? $0 : Humanize.ellipsis($0, 15) }.joined(separator: ",")),
      "Names": .string(names.joined(separator: ",")),
      "Networks": .string(container["NetworkSettings"]["Networks"].members.map(\.key).sorted().joined(separator: ",")),
      "Ports": .string(PortList.text(container["Ports"].elements)),
      "RunningFor": .string(Humanize.ago(created)),
      "Size": .string(size(container)),
      "State": container["State"],
      "Status": container["Status"],
    ]
  }

  private static func size(_ container: JSON) -> String {
    let writable = Humanize.size(container["SizeRw"].int ?? 0)
    guard let total = container["SizeRootFs"].int, total > 0 else { return writable }
    return "\(writable) (virtual \(Humanize.size(total)))"
  }
}
