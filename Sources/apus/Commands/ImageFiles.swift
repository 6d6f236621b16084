import ArgumentParser
import Errors
import Glibc

struct SaveCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "save", abstract: "Write images to a tar archive.",
    discussion: """
      apus save -o debian.tar debian:12
      apus save app | ssh host apus load
      """)

  @OptionGroup var connection: ConnectionOptions
  @Option(
    name: .shortAndLong, help: .init("Write to a file instead of standard output.", valueName: "file"),
    completion: .file())
  var output: String?
  @Option(help: .init("Platform to save.", valueName: "os/arch"))
  var platform: String?
  @Argument(help: .init(valueName: "image"), completion: .images)
  var names: [String]

  func run() throws {
    let query = names.map { ("names", Optional($0)) } + [("platform", platform)]
    try Download.run(client(), Target.path(["images", "get"], query), to: output)
  }
}

struct ExportCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Write a container's files to a tar archive.",
    discussion: "apus export -o files.tar web")

  @OptionGroup var connection: ConnectionOptions
  @Option(
    name: .shortAndLong, help: .init("Write to a file instead of standard output.", valueName: "file"),
    completion: .file())
  var output: String?
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var name: String

  func run() throws { try Download.run(client(), Target.container(name, "export"), to: output) }
}

struct LoadCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "load", abstract: "Read images from a tar archive.",
    discussion: """
      apus load -i debian.tar
      apus load < debian.tar
      """)
  static let flags = "quiet q"

  @OptionGroup var connection: ConnectionOptions
  @Option(
    name: .shortAndLong, help: .init("Read from a file instead of standard input.", valueName: "file"),
    completion: .file())
  var input = "-"
  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false
  @Option(help: .init("Platform to load.", valueName: "os/arch"))
  var platform: String?

  func run() throws {
    let client = try client()
    let target = Target.path(["images", "load"], [("quiet", quiet ? "1" : "0"), ("platform", platform)])
    var progress = Progress(output: 1, quiet: false)
    let connection = try Upload(client: client).post(target, from: input)
    try client.lines(of: connection) { message in
      // What was loaded is the result, not progress.
      if quiet, message["stream"].isNull, message["error"].isNull { return }
      try progress.show(message)
    }
    try progress.finish()
  }
}

struct ImportCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Make an image of a tar archive of a root directory.",
    discussion: """
      apus import root.tar base:1
      tar -C root -c . | apus import - base:1
      """)

  @OptionGroup var connection: ConnectionOptions
  @Option(
    name: .shortAndLong,
    help: .init("Apply a Dockerfile instruction, such as 'CMD [\"sh\"]'.", valueName: "instruction"))
  var change: [String] = []
  @Option(name: .shortAndLong, help: .init("Comment of the image.", valueName: "text"))
  var message: String?
  @Option(help: .init("Platform of the image.", valueName: "os/arch"))
  var platform: String?
  @Argument(help: .init("The archive; - is standard input.", valueName: "file"), completion: .file())
  var source: String
  @Argument(help: .init(valueName: "name[:tag]"))
  var name: String?

  func run() throws {
    let reference = name.map { ImagePull.split($0) }
    let isRemote = source.hasPrefix("http://") || source.hasPrefix("https://")
    let target = Target.path(
      ["images", "create"],
      [
        ("fromSrc", isRemote ? source : "-"), ("repo", reference?.name), ("tag", reference?.tag), ("message", message),
        ("platform", platform),
      ] + change.map { ("changes", $0) })
    let client = try client()
    var progress = Progress(output: 1, quiet: false)
    let connection =
      isRemote ? try client.open("POST", target).connection : try Upload(client: client).post(target, from: source)
    try client.lines(of: connection) { try progress.show($0) }
    try progress.finish()
  }
}

struct CommitCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "commit", abstract: "Make an image of what a container changed.",
    discussion: "apus commit -m 'with tools' -c 'CMD [\"bash\"]' work tools:1")
  static let flags = "pause p"

  @OptionGroup var connection: ConnectionOptions
  @Option(name: .shortAndLong, help: .init("Author of the image.", valueName: "name"))
  var author: String?
  @Option(
    name: .shortAndLong,
    help: .init("Apply a Dockerfile instruction, such as 'CMD [\"sh\"]'.", valueName: "instruction"))
  var change: [String] = []
  @Option(name: .shortAndLong, help: .init("Comment of the image.", valueName: "text"))
  var message: String?
  @Flag(name: .shortAndLong, inversion: .prefixedNo, help: "Freeze the container meanwhile.")
  var pause = true
  @Argument(help: .init(valueName: "container"), completion: .containers)
  var container: String
  @Argument(help: .init(valueName: "name[:tag]"))
  var name: String?

  func run() throws {
    let reference = name.map { ImagePull.split($0) }
    let target = Target.path(
      ["commit"],
      [
        ("container", container), ("repo", reference?.name), ("tag", reference?.tag), ("comment", message),
        ("author", author), ("pause", pause ? "1" : "0"),
      ] + change.map { ("changes", $0) })
    // The body may replace the configuration; without one the container's own is used.
    try Console.printLine(try client().request("POST", target)["Id"].string ?? "")
  }
}

struct BootstrapCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "bootstrap", abstract: "Make an image from a distribution's own packages.",
    discussion: """
      apus image bootstrap debian:12
      apus image bootstrap debian:trixie --include curl,git
      """)
  static let flags = "init force f quiet q"

  @OptionGroup var connection: ConnectionOptions
  @Option(help: .init("Install more packages.", valueName: "package,…"))
  var include: [String] = []
  @Flag(name: .customLong("init"), help: "Make one that boots systemd.")
  var boots = false
  @Flag(name: .shortAndLong, help: "Make it again though it is here.")
  var force = false
  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false
  @Argument(help: .init("Distribution and release.", valueName: "debian:release"))
  var reference: String

  func run() throws {
    let packages = include.joined(separator: ",")
    let target = Target.path(
      ["apus", "v1", "images", "bootstrap"],
      [
        ("reference", reference), ("include", packages.isEmpty ? nil : packages), ("init", Target.flag(boots)),
        ("force", Target.flag(force)),
      ])
    var progress = Progress(output: 1, quiet: quiet)
    try client().stream("POST", target) { try progress.show($0) }
    try progress.finish()
  }
}

/// A response's body into a file or standard output.
enum Download {
  static func run(_ client: Client, _ target: String, to file: String?) throws {
    let output = file ?? "-"
    if output == "-", Console.isTerminal(1) {
      throw ExitStatus(
        status: 1, message: "An archive is not for a terminal; name a file with -o, or redirect the output.")
    }
    let (_, connection) = try client.open("GET", target)
    if output == "-" {
      while let piece = try connection.receivePiece() { try Console.write(piece[...], to: 1) }
      return
    }
    // A file that is complete or not there: half an archive under its final name would be taken for a whole one.
    let temporary = output + ".\(getpid()).part"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw LocalFile.failure("create", temporary) }
    defer { close(descriptor) }
    do {
      while let piece = try connection.receivePiece() {
        try LocalFile.write(piece[...], to: descriptor, named: temporary)
      }
      guard Glibc.rename(temporary, output) == 0 else { throw LocalFile.failure("write", output) }
    } catch {
      unlink(temporary)
      throw error
    }
  }
}
