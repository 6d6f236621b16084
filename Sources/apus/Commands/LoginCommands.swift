import ArgumentParser
import Errors

struct LoginCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "login", abstract: "Keep a user name and password for a registry.",
    discussion: "pass registry | apus login -u me --password-stdin registry.example.com")
  static let flags = "password-stdin"

  @OptionGroup var connection: ConnectionOptions
  @Option(name: .shortAndLong, help: .init("User name.", valueName: "name"))
  var username: String?
  @Option(
    name: .shortAndLong,
    help: .init("Password; other users may see it, so prefer --password-stdin.", valueName: "text"))
  var password: String?
  @Flag(help: "Read the password from standard input.")
  var passwordStdin = false
  @Argument(help: .init(valueName: "registry"))
  var registry = "docker.io"

  func run() throws {
    guard let username else { throw UsageError("Say who you are with --username.") }
    var secret = password ?? ""
    if passwordStdin {
      secret = String(decoding: try LocalFile.read("-", limit: 64 * 1024), as: UTF8.self)
      while secret.last?.isNewline == true { secret.removeLast() }
    }
    guard !secret.isEmpty else { throw UsageError("Give the password by --password-stdin.") }
    let name = RegistryLogin.registry(of: registry + "/")
    try RegistryLogin.store((username, secret), for: name)
    try Console.printLine("Kept the login for \(name) in \(RegistryLogin.path).")
  }
}

struct LogoutCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "logout", abstract: "Forget the login for a registry.")

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init(valueName: "registry"))
  var registry = "docker.io"

  func run() throws {
    let name = RegistryLogin.registry(of: registry + "/")
    try RegistryLogin.store(nil, for: name)
    try Console.printLine("Forgot the login for \(name).")
  }
}
