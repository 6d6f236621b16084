import ArgumentParser
import Errors

/// What `inspect` can look for.
enum ObjectKind: String, Sendable, CaseIterable {
  case container, image, network, volume

  /// For sentences.
  static let names = "container, image, network or volume"

  func target(_ name: String, size: Bool) -> String {
    switch self {
    case .container: Target.container(name, "json", [("size", Target.flag(size))])
    case .image: Target.path(["images", name, "json"])
    case .network: Target.path(["networks", name])
    case .volume: Target.path(["volumes", name])
    }
  }
}

/// The options of every `inspect`.
struct InspectOptions: ParsableArguments {
  @Option(name: .shortAndLong, help: .init("Show by a Go template, or 'json'.", valueName: "template"))
  var format: String?
  @Flag(help: "Show as JSON on one line.")
  var json = false

  func run(_ names: [String], kinds: [ObjectKind], size: Bool, _ client: Client) throws {
    var found: [JSON] = []
    var status: Int32 = 0
    for name in names {
      do {
        found.append(try Self.object(name, kinds, client, size: size))
      } catch let failure as APIFailure {
        Console.warn("apus: " + Failure.sentence(failure))
        status = 1
      }
    }
    switch json ? "json" : format {
    case nil: try Console.printLine(JSON.array(found).text(.indented))
    case "json": try Console.printLine(JSON.array(found).text())
    case .some(let format):
      let template = try Template(Listing.unescape(format))
      for value in found { try Console.printLine(try TemplateEvaluator.apply(template, to: value)) }
    }
    try ExitStatus.end(status)
  }

  private static func object(_ name: String, _ kinds: [ObjectKind], _ client: Client, size: Bool) throws -> JSON {
    for kind in kinds {
      do {
        return try client.request("GET", kind.target(name, size: size))
      } catch let failure as APIFailure where kinds.count > 1 && [400, 404].contains(failure.status) {
        continue
      }
    }
    throw APIFailure(status: 404, message: "No such object: \(name)")
  }
}

struct InspectCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show everything about containers, images, networks and volumes.",
    discussion: """
      apus inspect --format '{{.State.Pid}}' web
      apus inspect --format '{{json .Mounts}}' web
      """)
  static let flags = "size s"

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: InspectOptions
  @Option(
    help: .init("Look for this kind only: \(ObjectKind.names).", valueName: "kind"),
    completion: .list(ObjectKind.allCases.map(\.rawValue)))
  var type: String?
  @Flag(name: .shortAndLong, help: "Show the sizes of containers.")
  var size = false
  @Argument(help: .init(valueName: "name"), completion: .containers)
  var names: [String]

  func run() throws {
    var kinds = ObjectKind.allCases
    if let type {
      guard let kind = ObjectKind(rawValue: type) else {
        throw UsageError("Option --type wants \(ObjectKind.names), not '\(type)'.")
      }
      kinds = [kind]
    }
    try options.run(names, kinds: kinds, size: size, try client())
  }
}

struct ContainerInspectCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show everything about containers.")
  static let flags = "size s"

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: InspectOptions
  @Flag(name: .shortAndLong, help: "Show the sizes of containers.")
  var size = false
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var names: [String]

  func run() throws { try options.run(names, kinds: [.container], size: size, try client()) }
}

struct ImageInspectCommand: Verb {
  static let configuration = CommandConfiguration(commandName: "inspect", abstract: "Show everything about images.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: InspectOptions
  @Argument(help: .init(valueName: "image"), completion: .images)
  var names: [String]

  func run() throws { try options.run(names, kinds: [.image], size: false, try client()) }
}

struct VolumeInspectCommand: Verb {
  static let configuration = CommandConfiguration(commandName: "inspect", abstract: "Show everything about volumes.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: InspectOptions
  @Argument(help: .init(valueName: "volume"), completion: .volumes)
  var names: [String]

  func run() throws { try options.run(names, kinds: [.volume], size: false, try client()) }
}

struct NetworkInspectCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show everything about networks.",
    discussion: "apus network inspect --format '{{range .IPAM.Config}}{{.Subnet}} {{end}}' backend")
  static let flags = "verbose v"

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: InspectOptions
  @Flag(name: .shortAndLong, help: .hidden)
  var verbose = false
  @Argument(help: .init(valueName: "network"), completion: .networks)
  var names: [String]

  func run() throws { try options.run(names, kinds: [.network], size: false, try client()) }
}
