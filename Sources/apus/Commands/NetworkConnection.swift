import ArgumentParser
import Errors

struct NetworkConnectCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "connect", abstract: "Put a container into one more network, at once where it runs.",
    discussion: """
      apus network connect backend web
      apus network connect --alias db --ip 10.9.0.7 backend postgres
      """)

  @OptionGroup var connection: ConnectionOptions
  @Option(help: .init("IPv4 address.", valueName: "address"))
  var ip: String?
  @Option(help: .init("IPv6 address.", valueName: "address"))
  var ip6: String?
  @Option(help: .init("Link-local address.", valueName: "address"))
  var linkLocalIp: [String] = []
  @Option(help: .init("Ethernet address.", valueName: "address"))
  var macAddress: String?
  @Option(help: .init("Another name on the network.", valueName: "name"))
  var alias: [String] = []
  @Option(
    help: .init("Know another container by a name of one's own.", valueName: "container[:alias]"),
    completion: .containers)
  var link: [String] = []
  @Option(help: .init("Option of the driver.", valueName: "key=value"))
  var driverOpt: [String] = []
  @Option(help: .init("The network with the highest one has the default route.", valueName: "number"))
  var gwPriority: Int?
  @Option(
    help: .init("Most traffic each way, in bits a second.", valueName: "ingress=10mbit,egress=5mbit"))
  var networkRate: String?
  @Argument(help: .init(valueName: "network"), completion: .networks)
  var network: String
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var container: String

  func run() throws {
    try client().request("POST", Target.path(["networks", network, "connect"]), body: try body())
  }

  func body() throws -> JSON {
    var attachment = NetworkAttachment(name: network)
    attachment.ipv4 = ip
    attachment.ipv6 = ip6
    attachment.linkLocal = linkLocalIp.flatMap(FieldList.split)
    attachment.mac = macAddress
    attachment.aliases = alias.flatMap(FieldList.split)
    attachment.links = link
    attachment.driverOptions = driverOpt.flatMap(FieldList.split)
    attachment.gatewayPriority = gwPriority
    if let networkRate { attachment.driverOptions += try NetworkRate.driverOptions(networkRate) }
    try attachment.check()
    for text in link { try CreateRequest.checkLink(text) }
    return ["Container": .string(container), "EndpointConfig": attachment.settings]
  }
}

struct NetworkDisconnectCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "disconnect", abstract: "Take a container out of a network, at once where it runs.",
    discussion: "apus network disconnect backend web")
  static let flags = "force f"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Even if the container does not answer, or is gone.")
  var force = false
  @Argument(help: .init(valueName: "network"), completion: .networks)
  var network: String
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var container: String

  func run() throws {
    try client().request(
      "POST", Target.path(["networks", network, "disconnect"]),
      body: ["Container": .string(container), "Force": .bool(force)])
  }
}
