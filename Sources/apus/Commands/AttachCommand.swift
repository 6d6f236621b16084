import ArgumentParser
import Errors

struct AttachCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "attach", abstract: "Connect to the input and output of a running container.")
  static let flags = "no-stdin sig-proxy"

  @OptionGroup var connection: ConnectionOptions
  @Flag(help: "Do not attach standard input.")
  var noStdin = false
  @Option(help: .init("Keys that leave the container running, instead of ctrl-p,ctrl-q.", valueName: "keys"))
  var detachKeys: String?
  @Flag(inversion: .prefixedNo, help: "Hand signals on to the program.")
  var sigProxy = true
  @Argument(help: .init(valueName: "container"), completion: .runningContainers)
  var name: String

  func run() throws {
    var attachment = try Attachment(client: client(), name: name)
    guard attachment.isRunning else {
      throw ExitStatus(status: 1, message: "The container \(name) does not run; 'apus start -a \(name)' starts it.")
    }
    if attachment.isPaused {
      throw ExitStatus(status: 1, message: "The container \(name) is paused; 'apus unpause \(name)' lets it go on.")
    }
    attachment.detachKeys = detachKeys
    attachment.proxiesSignals = sigProxy
    try attachment.run(input: !noStdin, starting: false)
  }
}

/// The foreground of a container that exists.
struct Attachment {
  private let client: Client
  private let container: JSON
  var detachKeys: String?
  var proxiesSignals = true

  init(client: Client, name: String) throws {
    self.client = client
    container = try client.request("GET", Target.container(name, "json"))
  }

  var isRunning: Bool { container["State"]["Running"].bool == true }
  var isPaused: Bool { container["State"]["Paused"].bool == true }

  func run(input: Bool, starting: Bool) throws {
    if let detachKeys { _ = try DetachKeys(detachKeys) }
    let id = container["Id"].string ?? ""
    let takesInput = input && container["Config"]["OpenStdin"].bool == true
    let removes = starting && container["HostConfig"]["AutoRemove"].bool == true
    let status = try Foreground(
      client: client, id: id, terminal: container["Config"]["Tty"].bool == true,
      streams: takesInput ? ["stdin", "stdout", "stderr"] : ["stdout", "stderr"], detachKeys: detachKeys,
      proxiesSignals: proxiesSignals, condition: removes ? "removed" : "next-exit",
      start: starting ? { try ContainerCreation.start(id, client) } : nil
    ).run()
    try ExitStatus.end(status)
  }
}
