import ArgumentParser
import Errors
import Glibc

/// `apus registry serve`: the registry is in the daemon's program, which has what it takes to serve; this one becomes it.
struct RegistryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "registry", abstract: "A registry of this machine's own.", subcommands: [RegistryServeCommand.self])
}

struct RegistryServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Serve images to other machines (OCI distribution specification 1.1).",
    usage: "apus registry serve [<options>]",
    discussion: """
      apus registry serve --listen 127.0.0.1:5000 --root /srv/images
      apus registry serve --help
      """, helpNames: [])

  @Argument(parsing: .captureForPassthrough, help: "What 'apusd registry serve' takes.")
  var words: [String] = []

  func run() throws {
    guard let executable = DaemonLauncher.daemonExecutable() else {
      throw ApusError(.notFound, "There is no apusd beside this program, and the registry is part of it; install it.")
    }
    var arguments = ([executable, "registry", "serve"] + words).map { strdup($0) }
    arguments.append(nil)
    execv(executable, arguments)
    throw ApusError(
      .internal, "Cannot run \(executable): \(String(cString: strerror(errno))).")
  }
}
