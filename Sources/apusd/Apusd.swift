import ArgumentParser
import DockerAPI
import Engine
import Errors
import Glibc
import Logging

// malloc.h is not part of the C library's module. Integers only: both languages pass them alike.
@_silgen_name("mallopt") private func mallopt(_ parameter: Int32, _ value: Int32) -> Int32

/// The daemon's command line.
@main
struct Apusd: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apusd", abstract: "The Apus daemon: containers and virtual machines behind the Docker Engine API.",
    version: "apusd \(ApusVersion.current)", subcommands: [RegistryCommand.self])

  @Option(help: "Where state lives that survives a reboot: images, containers, volumes.")
  var root = EngineConfiguration.standardRoot

  @Option(help: "Where state lives that does not: sockets, mounts, generated files.")
  var runDir = "/run/apus"

  @Option(
    help: "The unix socket to listen on (default: apus.sock in the run directory; under systemd, what it passes).")
  var socket: String?

  @Option(help: "The group that may use the socket (default: apus, else docker, where there is one).")
  var group: String?

  @Option(help: "How much to log: trace, debug, info, notice, warning, error or critical.")
  var logLevel = LogLevel.info

  @Option(help: "The parent of every container's cgroup, relative to each hierarchy's root.")
  var cgroupParent = "apus"

  @Option(help: "The apus-runtime executable (default: beside apusd, else in ../libexec).")
  var runtime: String?

  @OptionGroup(title: "Images") var images: ImageOptions

  /// The registry's options are read by itself: the daemon has some of the same name, and would take them.
  static func main() {
    let words = Array(CommandLine.arguments.dropFirst())
    if words.first == "registry" { RegistryCommand.main(Array(words.dropFirst())) } else { main(words) }
  }

  /// Synchronous: the main thread does nothing but wait for signals, and costs nothing while it does.
  mutating func run() throws {
    try CommandFailure.reported { () throws(ApusError) in try serve() }
  }

  private func serve() throws(ApusError) {
    let signals = try TerminationSignals()
    prepareProcess()
    let level = logLevel.value
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = level
      return handler
    }
    let daemon = Daemon(
      configuration: EngineConfiguration(
        root: try absolute(root), runDirectory: try absolute(runDir), runtimePath: try RuntimePath.find(runtime),
        cgroupParent: cgroupParent, images: images.settings, layerStore: images.layerStore),
      socket: try absolute(socket ?? runDir + "/apus.sock"), group: group, logger: Logger(label: "apusd"))
    try daemon.run(until: signals)
  }

  /// A client that goes away is an error of one write, not the end of the daemon; and memory that many threads have
  /// used goes back to the system rather than to an arena of each.
  private func prepareProcess() {
    signal(SIGPIPE, SIG_IGN)
    umask(0o022)
    let trimThreshold: Int32 = -1
    let arenaMax: Int32 = -8
    _ = mallopt(trimThreshold, 256 << 10)
    _ = mallopt(arenaMax, 2)
  }

  private func absolute(_ path: String) throws(ApusError) -> String {
    guard path.hasPrefix("/") else { throw ApusError(.invalidArgument, "\(path) must be an absolute path") }
    return path
  }
}

/// swift-log's levels as an option's values.
enum LogLevel: String, ExpressibleByArgument, CaseIterable {
  case trace, debug, info, notice, warning, error, critical

  var value: Logger.Level { Logger.Level(rawValue: rawValue) ?? .info }
}
