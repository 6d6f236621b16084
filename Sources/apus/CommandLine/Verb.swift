import ArgumentParser
import Errors
import Glibc

/// A command that talks to the daemon.
protocol Verb: ParsableCommand {
  /// The options that take no value, by their long and short names, divided by spaces.
  ///
  /// ``DockerSyntax`` has to know them before the command is parsed; a test compares them with the declarations.
  static var flags: String { get }
  var connection: ConnectionOptions { get }
}

extension Verb {
  static var flags: String { "" }

  /// The daemon this command is for.
  func client() throws -> Client { try connection.client() }
}

/// Where the daemon is. Part of every command, so that `apus ps --host …` and `apus --host … ps` are the same.
struct ConnectionOptions: ParsableArguments {
  @Option(help: .init("The daemon's socket.", valueName: "unix://path", visibility: .hidden))
  var host: String?

  func client() throws -> Client {
    let environment = getenv("APUS_HOST").map { String(cString: $0) }
    return Client(endpoint: try Endpoint.resolve(host: host, environment: environment))
  }
}

/// The command line itself is wrong: exit status 125.
struct UsageError: Error, Sendable {
  let message: String

  init(_ message: String) { self.message = message }
}

/// Ends the program with a status, after an optional message on standard error.
struct ExitStatus: Error, Sendable {
  let status: Int32
  var message: String?

  /// Throws unless the status is 0.
  static func end(_ status: Int32) throws {
    if status != 0 { throw ExitStatus(status: status) }
  }
}
