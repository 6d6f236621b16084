import ArgumentParser
import Errors

struct UpdateCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "update", abstract: "Change the limits and the published ports of containers.",
    discussion: """
      apus update --memory 512m --cpus 2 web
      apus update --publish 8443:443 --unpublish 8080:80 web
      """)

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var limits: UpdatableLimits
  @Option(help: .init("What to do when the program ends.", valueName: "policy"))
  var restart: String?
  @Option(
    name: .shortAndLong,
    help: .init("Publish one more port, at once where it runs.", valueName: "[[ip:]port:]port[/protocol]"))
  var publish: [String] = []
  @Option(
    help: .init(
      "Publish a port no longer; without a port of the host wherever it is published.",
      valueName: "[[ip:]port:]port[/protocol]"))
  var unpublish: [String] = []
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var names: [String]

  func run() throws {
    let body = try CreateRequest.update(limits, restart: restart, publish: publish, unpublish: unpublish)
    guard !body.members.isEmpty else { throw UsageError("Say what to change, such as --memory 512m.") }
    try EachObject(client: client()).run(
      names, "POST", body: body, target: { Target.container($0, "update") },
      shown: { name, answer in
        for warning in answer["Warnings"].strings { Console.warn("Warning: \(warning)") }
        return name
      })
  }
}
