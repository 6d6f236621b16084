import ArgumentParser
import Errors

struct StartCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "start", abstract: "Start containers that are stopped.",
    discussion: """
      apus start web
      apus start -ai job
      """)
  static let flags = "attach a interactive i sig-proxy"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Attach its output, and hand signals on.")
  var attach = false
  @Flag(name: .shortAndLong, help: "Attach standard input.")
  var interactive = false
  @Option(help: .init("Keys that leave the container running.", valueName: "keys"))
  var detachKeys: String?
  @Flag(inversion: .prefixedNo, help: .hidden)
  var sigProxy = true
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var names: [String]

  func run() throws {
    let client = try client()
    guard attach || interactive else {
      return try EachObject(client: client).run(names, "POST") { Target.container($0, "start") }
    }
    guard names.count == 1 else { throw UsageError("Only one container can be attached at a time.") }
    var attachment = try Attachment(client: client, name: names[0])
    attachment.detachKeys = detachKeys
    attachment.proxiesSignals = sigProxy
    try attachment.run(input: attachment.isRunning || interactive, starting: !attachment.isRunning)
  }
}

/// The options of `stop` and `restart`.
struct GraceOptions: ParsableArguments {
  @Option(
    name: [.customShort("t"), .long, .customLong("time")],
    help: .init("Seconds before the kill; -1 waits for ever.", valueName: "seconds"))
  var timeout: Int?
  @Option(name: .shortAndLong, help: .init("Signal to send instead of the container's own.", valueName: "signal"))
  var signal: String?

  func target(_ name: String, _ verb: String) -> String {
    Target.container(name, verb, [("t", timeout.map { String($0) }), ("signal", signal)])
  }
}

struct StopCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "stop", abstract: "Ask containers to stop, and kill them when they do not.",
    discussion: "apus stop -t 2 web db")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var grace: GraceOptions
  @Argument(help: .init(valueName: "container"), completion: .runningContainers)
  var names: [String]

  func run() throws { try EachObject(client: client()).run(names, "POST") { grace.target($0, "stop") } }
}

struct RestartCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "restart", abstract: "Stop containers and start them again.", discussion: "apus restart -t 2 web db")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var grace: GraceOptions
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var names: [String]

  func run() throws { try EachObject(client: client()).run(names, "POST") { grace.target($0, "restart") } }
}

struct KillCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "kill", abstract: "Send a signal to containers.",
    discussion: """
      apus kill web
      apus kill -s HUP web
      """)

  @OptionGroup var connection: ConnectionOptions
  @Option(name: .shortAndLong, help: .init("Signal to send.", valueName: "signal"))
  var signal = "KILL"
  @Argument(help: .init(valueName: "container"), completion: .runningContainers)
  var names: [String]

  func run() throws {
    try EachObject(client: client()).run(names, "POST") { Target.container($0, "kill", [("signal", signal)]) }
  }
}

struct PauseCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Freeze the processes of containers.")

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init(valueName: "container"), completion: .runningContainers)
  var names: [String]

  func run() throws { try EachObject(client: client()).run(names, "POST") { Target.container($0, "pause") } }
}

struct UnpauseCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "unpause", abstract: "Let frozen containers go on.")

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init(valueName: "container"), completion: .runningContainers)
  var names: [String]

  func run() throws { try EachObject(client: client()).run(names, "POST") { Target.container($0, "unpause") } }
}

struct RmCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "rm", abstract: "Remove containers.",
    discussion: """
      apus rm job
      apus rm -f $(apus ps -aq)
      """, aliases: ["remove"])
  static let flags = "force f volumes v"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Kill it first if it runs.")
  var force = false
  @Flag(name: .shortAndLong, help: "Remove its anonymous volumes too.")
  var volumes = false
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var names: [String]

  func run() throws {
    let query = [("force", Target.flag(force)), ("v", Target.flag(volumes))]
    try EachObject(client: client()).run(
      names, "DELETE", target: { Target.container($0, nil, query) },
      // What is to be gone by force and is gone already is no failure.
      failed: { _, failure in
        guard force, failure.status == 404 else { return false }
        Console.warn("apus: " + Failure.sentence(failure))
        return true
      })
  }
}

struct WaitCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "wait", abstract: "Wait until containers stop, and print their exit statuses.")

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init(valueName: "container"), completion: .runningContainers)
  var names: [String]

  func run() throws {
    try EachObject(client: client()).run(
      names, "POST", target: { Target.container($0, "wait") },
      shown: { _, answer in answer["StatusCode"].int.map { String($0) } })
  }
}

struct RenameCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "rename", abstract: "Give a container another name.")

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var name: String
  @Argument(help: .init(valueName: "new-name"))
  var newName: String

  func run() throws { try client().request("POST", Target.container(name, "rename", [("name", newName)])) }
}
