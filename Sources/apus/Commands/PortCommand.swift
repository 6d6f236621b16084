import ArgumentParser
import Errors

struct PortCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "port", abstract: "Show where the ports of a container are published.",
    discussion: """
      apus port web
      apus port web 53/udp
      """)

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init(valueName: "container"), completion: .runningContainers)
  var name: String
  @Argument(help: .init("A port of the container, to show where that is published.", valueName: "port[/protocol]"))
  var port: String?

  func run() throws {
    let wanted = try port.map(Self.wanted)
    let published = PublishedPort.all(
      try client().request("GET", Target.container(name, "json"))["NetworkSettings"]["Ports"])
    guard let wanted else {
      return try Console.print(published.map { "\($0.inside) -> \($0.outside)\n" }.joined())
    }
    let found = published.filter { $0.inside == wanted }
    guard !found.isEmpty else {
      throw ExitStatus(
        status: 1, message: "The port \(wanted) of \(name) is not published; 'apus port \(name)' lists those that are.")
    }
    try Console.print(found.map { $0.outside + "\n" }.joined())
  }

  /// `80` as `80/tcp`.
  private static func wanted(_ text: String) throws -> String {
    guard let ports = try? PortArgument.exposed(text), ports.count == 1 else {
      throw UsageError("'\(text)' is not a port; write it as 80 or 53/udp.")
    }
    return ports[0]
  }
}

/// A line of `port`.
struct PublishedPort {
  /// `80/tcp`
  let inside: String
  /// `0.0.0.0:8080`
  let outside: String

  /// - Parameter ports: of the network settings: an array of bindings for each port, or null where it is only exposed.
  static func all(_ ports: JSON) -> [PublishedPort] {
    ports.members.flatMap { port in
      port.value.elements.map { binding in
        let address = binding["HostIp"].string ?? "", number = binding["HostPort"].string ?? ""
        let outside = address.contains(":") ? "[\(address)]:\(number)" : "\(address):\(number)"
        let key = (number: Int(port.key.prefix { $0 != "/" }) ?? 0, isV6: address.contains(":") ? 1 : 0)
        return (key, PublishedPort(inside: port.key, outside: outside))
      }
    }.sorted { left, right in
      let (leftKey, rightKey) = (left.0, right.0)
      return (leftKey.number, left.1.inside, leftKey.isV6, left.1.outside)
        < (rightKey.number, right.1.inside, rightKey.isV6, right.1.outside)
    }.map(\.1)
  }
}
