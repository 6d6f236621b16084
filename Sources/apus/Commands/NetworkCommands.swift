import ArgumentParser
import Errors

struct NetworkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "network", abstract: "Networks.",
    subcommands: [
      NetworkCreateCommand.self, NetworkLsCommand.self, NetworkInspectCommand.self, NetworkRmCommand.self,
      NetworkConnectCommand.self, NetworkDisconnectCommand.self, NetworkPruneCommand.self,
    ])
}

struct NetworkCreateCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make a network.",
    discussion: """
      apus network create backend
      apus network create --subnet 10.9.0.0/24 --subnet fd00:9::/64 --gateway 10.9.0.1 backend
      apus network create --internal --opt com.docker.network.bridge.enable_icc=false quiet
      apus network create -d macvlan -o parent=eth0 --subnet 192.168.1.0/24 lan
      """)
  static let flags = "internal attachable ipv4 no-ipv4 ipv6 no-ipv6 ingress config-only"

  @OptionGroup var connection: ConnectionOptions
  @Option(
    name: .shortAndLong, help: .init("Driver of the network.", valueName: "driver"),
    completion: .list(["bridge", "macvlan"]))
  var driver = "bridge"
  @Option(name: .shortAndLong, help: .init("Option of the driver.", valueName: "key=value"))
  var opt: [String] = []
  @Option(help: .init("Set a label.", valueName: "key=value"))
  var label: [String] = []
  @Flag(help: "Nothing gets out or in, but the host itself.")
  var `internal` = false
  @Flag(help: "Kept and shown; every network here can be joined.")
  var attachable = false
  @Flag(inversion: .prefixedNo, help: "Give addresses of IPv4.")
  var ipv4: Bool?
  @Flag(inversion: .prefixedNo, help: "Give addresses of IPv6.")
  var ipv6: Bool?
  @OptionGroup var addresses: AddressOptions
  @Flag(help: .hidden)
  var ingress = false
  @Flag(help: .hidden)
  var configOnly = false
  @Option(help: .hidden)
  var configFrom: String?
  @Option(help: .hidden)
  var scope: String?
  @Argument(help: .init(valueName: "name"))
  var name: String

  func run() throws {
    let answer = try client().request("POST", "/networks/create", body: try body())
    if let warning = answer["Warning"].string, !warning.isEmpty { Console.warn("Warning: \(warning)") }
    try Console.printLine(answer["Id"].string ?? "")
  }

  func body() throws -> JSON {
    var body: JSON = ["Name": .string(name), "Driver": .string(driver)]
    if self.internal { body["Internal"] = true }
    if attachable { body["Attachable"] = true }
    if ingress { body["Ingress"] = true }
    if configOnly { body["ConfigOnly"] = true }
    if let configFrom { body["ConfigFrom"] = ["Network": .string(configFrom)] }
    if let scope { body["Scope"] = .string(scope) }
    if let ipv4 { body["EnableIPv4"] = .bool(ipv4) }
    if let ipv6 { body["EnableIPv6"] = .bool(ipv6) }
    if let addresses = try addresses.body() { body["IPAM"] = addresses }
    if !opt.isEmpty { body["Options"] = .object(CreateRequest.members(opt)) }
    if !label.isEmpty { body["Labels"] = .object(CreateRequest.members(label)) }
    return body
  }
}

struct NetworkLsCommand: Verb {
  static let configuration = CommandConfiguration(commandName: "ls", abstract: "List networks.", aliases: ["list"])
  static let flags = "quiet q no-trunc"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Show ids only.")
  var quiet = false
  @Flag(help: "Do not shorten.")
  var noTrunc = false
  @Option(
    name: .shortAndLong,
    help: .init("Show those that match: name, id, driver, label, type, dangling, scope.", valueName: "key=value"))
  var filter: [String] = []
  @OptionGroup var format: FormatOptions

  func run() throws {
    let networks = try client().request("GET", Target.path(["networks"], [("filters", try Target.filters(filter))]))
    let rows = networks.elements.sorted { ($0["Name"].string ?? "") < ($1["Name"].string ?? "") }
      .map { Self.row($0, full: noTrunc) }
    let listing = Listing(
      columns: [("ID", "NETWORK ID"), ("Name", "NAME"), ("Driver", "DRIVER"), ("Scope", "SCOPE")],
      others: [("CreatedAt", "CREATED AT"), ("IPv4", "IPV4"), ("IPv6", "IPV6")])
    try listing.show(rows, format, quiet: quiet && format.text == nil ? "ID" : nil)
  }

  static func row(_ network: JSON, full: Bool) -> JSON {
    let id = network["Id"].string ?? ""
    let created = Timestamp.parse(network["Created"].string ?? "")?.seconds ?? 0
    let labels = network["Labels"].members.map { "\($0.key)=\($0.value.string ?? "")" }.sorted()
    /// Templates compare it with a word.
    func word(_ key: String, otherwise: Bool) -> JSON { (network[key].bool ?? otherwise) ? "true" : "false" }
    return [
      "CreatedAt": .string(Timestamp.local(created)),
      "Driver": network["Driver"],
      "ID": .string(full ? id : Humanize.shortID(id)),
      "IPv4": word("EnableIPv4", otherwise: true),
      "IPv6": word("EnableIPv6", otherwise: false),
      "Internal": word("Internal", otherwise: false),
      "Labels": .string(labels.joined(separator: ",")),
      "Name": network["Name"],
      "Scope": network["Scope"],
    ]
  }
}

struct NetworkRmCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "rm", abstract: "Remove networks.", aliases: ["remove"])
  static let flags = "force f"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "No failure when it is not there.")
  var force = false
  @Argument(help: .init(valueName: "network"), completion: .networks)
  var names: [String]

  func run() throws {
    try EachObject(client: client()).run(
      names, "DELETE", target: { Target.path(["networks", $0]) }, failed: { force && $1.status == 404 })
  }
}

struct NetworkPruneCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "prune", abstract: "Remove networks that no container is in.")
  static let flags = "force f"

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: PruneOptions

  func run() throws {
    try options.confirm("This removes every network that was made and that no container is in.")
    let answer = try client().request(
      "POST", Target.path(["networks", "prune"], [("filters", try Target.filters(options.filter))]))
    try PruneOptions.show(answer, list: "NetworksDeleted", title: "Deleted networks")
  }
}
