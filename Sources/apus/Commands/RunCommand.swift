import ArgumentParser
import Errors
import Glibc

struct RunCommand: CreatesContainer {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run a program in a new container.",
    usage: "apus run [<options>] <image> [<command> [<argument> ...]]",
    discussion: """
      apus run -it --rm debian:12 bash
      apus run -d --name web --memory 256m --restart on-failure:3 -v data:/data image
      apus run --rm -v $PWD:/src -w /src -u $(id -u) image make
      """, helpNames: .long)
  static let flags = CreateOptions.flags + " detach d sig-proxy"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Run in the background and print the container's id.")
  var detach = false
  @Option(help: .init("Keys that leave the container running, instead of ctrl-p,ctrl-q.", valueName: "keys"))
  var detachKeys: String?
  @Flag(inversion: .prefixedNo, help: "Hand signals on to the program.")
  var sigProxy = true
  @OptionGroup var options: CreateOptions
  @Argument(
    help: .init("The image, and the program in it with its arguments.", valueName: "image"), completion: .images)
  var words: [String]

  func run() throws {
    try ContainerRun(
      frequent: options.frequent, rare: options.rare, detaches: detach, detachKeys: detachKeys,
      proxiesSignals: sigProxy, words: words
    ).run(client())
  }
}

/// `run` with nothing but frequent options. Never named by anybody: the program tries it first, and reads the words as
/// ``RunCommand`` where they are more than this knows.
struct FrequentRunCommand: ParsableCommand {
  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong)
  var detach = false
  @OptionGroup var frequent: FrequentOptions
  @Argument var words: [String]

  func run() throws {
    try ContainerRun(frequent: frequent, rare: nil, detaches: detach, words: words).run(connection.client())
  }
}

/// A new container, from its options to its exit status.
struct ContainerRun {
  let frequent: FrequentOptions
  let rare: RareOptions?
  let detaches: Bool
  var detachKeys: String?
  var proxiesSignals = true
  let words: [String]

  func run(_ client: Client) throws {
    let terminal = frequent.process.tty
    let streams = try CreateRequest.attachedStreams(frequent, rare)
    if detaches, rare?.attach.isEmpty == false { throw UsageError("Options --detach and --attach exclude each other.") }
    if terminal, !detaches, streams.contains("stdin"), !Console.isTerminal(0) { throw ExitStatus.noTerminal }
    if let detachKeys { _ = try DetachKeys(detachKeys) }
    let id = try ContainerCreation(client: client, frequent: frequent, rare: rare, connections: detaches ? 0 : 2)
      .create(words, detached: detaches)
    let start = { try ContainerCreation.start(id, client) }
    if detaches {
      try start()
      return try Console.printLine(id)
    }
    let status = try Foreground(
      client: client, id: id, terminal: terminal, streams: streams, detachKeys: detachKeys,
      proxiesSignals: proxiesSignals, condition: frequent.rm ? "removed" : "next-exit", start: start
    ).run()
    try ExitStatus.end(status)
  }
}

struct CreateCommand: CreatesContainer {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Create a container without starting it.",
    usage: "apus create [<options>] <image> [<command> [<argument> ...]]",
    discussion: "apus create --name job image ./work && apus start -a job", helpNames: .long)
  static let flags = CreateOptions.flags

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: CreateOptions
  @Argument(
    help: .init("The image, and the program in it with its arguments.", valueName: "image"), completion: .images)
  var words: [String]

  func run() throws {
    let creation = ContainerCreation(client: try client(), frequent: options.frequent, rare: options.rare)
    try Console.printLine(try creation.create(words, detached: false))
  }
}

/// Creates containers, and starts them with the exit statuses a shell would give.
struct ContainerCreation {
  let client: Client
  let frequent: FrequentOptions
  /// Nil where none of them was given.
  let rare: RareOptions?
  /// How many more connections will be needed at once.
  var connections = 0

  /// Creates the container, pulling its image when that is missing, and returns its id.
  ///
  /// - Parameter words: the image, then the command.
  func create(_ words: [String], detached: Bool) throws -> String {
    let image = words[0]
    let size = frequent.process.tty ? Console.size() ?? Console.size(of: 0) : nil
    let body = try CreateRequest.body(
      frequent, rare, image: image, command: Array(words.dropFirst()), detached: detached, consoleSize: size)
    if let cidfile = rare?.cidfile, access(cidfile, F_OK) == 0 {
      throw ExitStatus(
        status: 125, message: "The file \(cidfile) for the container's id exists already; remove it, or name another.")
    }
    guard ["always", "missing", "never"].contains(policy) else {
      throw UsageError("Option --pull wants always, missing or never, not '\(policy)'.")
    }
    do {
      let answer = try post(body, image)
      for warning in answer["Warnings"].strings { Console.warn("Warning: \(warning)") }
      let id = answer["Id"].string ?? ""
      if let cidfile = rare?.cidfile { try LocalFile.create(cidfile, Array(id.utf8)) }
      return id
    } catch let failure as APIFailure {
      throw ExitStatus(status: 125, message: Failure.sentence(failure))
    } catch let error as ApusError {
      throw ExitStatus(status: 125, message: error.message)
    } catch let exit as ExitStatus {
      throw ExitStatus(status: 125, message: exit.message)
    }
  }

  /// When to pull the image.
  private var policy: String { rare?.pull ?? "missing" }

  private func post(_ body: JSON, _ image: String) throws -> JSON {
    let target = Target.path(
      ["containers", "create"], [("name", frequent.name), ("platform", rare?.platform)])
    let pull = ImagePull(client: client, reference: image, platform: rare?.platform)
    let quiet = rare?.quiet ?? false
    if policy == "always" { try pull.run(quiet: quiet, output: 2) }
    do {
      return try client.request("POST", target, body: body, preparing: connections)
    } catch let failure as APIFailure where failure.isMissingImage && policy == "missing" {
      if !quiet { Console.warn("The image '\(image)' is not here; pulling it.") }
      try pull.run(quiet: quiet, output: 2)
      return try client.request("POST", target, body: body)
    }
  }

  static func start(_ id: String, _ client: Client) throws {
    do {
      try client.request("POST", Target.container(id, "start"))
    } catch let failure as APIFailure {
      throw ExitStatus(status: failure.startStatus, message: Failure.sentence(failure))
    }
  }
}

extension ExitStatus {
  static let noTerminal = ExitStatus(
    status: 1, message: "Option --tty needs a terminal, and standard input is none; leave out -t.")
}

extension APIFailure {
  var isMissingImage: Bool { status == 404 && message.lowercased().contains("no such image") }

  /// 127 when the program is not there, 126 when it cannot be executed, 125 for anything else.
  var startStatus: Int32 {
    let message = message.lowercased()
    if ["executable file not found", "no such file or directory"].contains(where: { message.contains($0) }) {
      return 127
    }
    if ["permission denied", "is a directory", "exec format error"].contains(where: { message.contains($0) }) {
      return 126
    }
    return 125
  }
}
