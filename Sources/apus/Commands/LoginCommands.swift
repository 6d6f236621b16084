import ArgumentParser
import Errors
import Glibc

struct LoginCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "login", abstract: "Keep a user name and password for a registry.",
    discussion: """
      pass registry | apus login -u me --password-stdin registry.example.com

      The registry is asked whether it takes them. They are kept where docker keeps them: in ~/.docker/config.json, or in
      the credential helper that this file names.
      """)
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
    if password != nil, passwordStdin { throw UsageError("--password and --password-stdin are mutually exclusive.") }
    if passwordStdin, username?.isEmpty ?? true { throw UsageError("Must provide --username with --password-stdin.") }
    let name = RegistryLogin.registry(named: registry)
    if username == nil, password == nil, let kept = RegistryLogin.account(for: name) {
      try Console.printLine("Authenticating with existing credentials...")
      do {
        return try finish(kept, name)
      } catch let failure as APIFailure where failure.status == 401 {
        Console.warn("Login did not succeed, error: \(Failure.sentence(failure))")
      }
    }
    try finish(try ask(), name)
  }

  /// What was given on the command line, and what has to be asked for.
  private func ask() throws -> RegistryAccount {
    var account = RegistryAccount(user: username ?? "", secret: password ?? "")
    if passwordStdin {
      account.secret = String(decoding: try LocalFile.read("-", limit: 64 * 1024), as: UTF8.self)
      while account.secret.last?.isNewline == true { account.secret.removeLast() }
    } else if password != nil {
      Console.warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    }
    guard account.user.isEmpty || account.secret.isEmpty else { return account }
    guard !passwordStdin, Console.isTerminal(0) else {
      throw UsageError(
        account.user.isEmpty || !passwordStdin
          ? "Cannot perform an interactive login from a non TTY device: give --username and --password-stdin."
          : "Password required: there is nothing on standard input.")
    }
    if account.user.isEmpty {
      try Console.print("Username: ")
      account.user = (readLine() ?? "").trimmingSpace()
    }
    if account.secret.isEmpty {
      try Console.print("Password: ")
      account.secret = try Self.readSecret()
      try Console.print("\n")
    }
    guard !account.user.isEmpty else { throw UsageError("username is required.") }
    guard !account.secret.isEmpty else { throw UsageError("password is required.") }
    return account
  }

  /// Asks the registry, then keeps the account.
  private func finish(_ account: RegistryAccount, _ name: String) throws {
    var account = account
    let answer = try client().request("POST", "/auth", body: account.auth(for: name))
    if let token = answer["IdentityToken"].string, !token.isEmpty {
      account.secret = token
      account.isToken = true
    }
    if let file = try RegistryLogin.store(account, for: name) {
      Console.warn(
        """

        WARNING! Your credentials are stored unencrypted in '\(file)'.
        Configure a credential helper to remove this warning. See
        https://docs.docker.com/go/credential-store/

        """)
    }
    try Console.printLine(answer["Status"].string ?? "Login Succeeded")
  }

  /// A line that the terminal does not show.
  private static func readSecret() throws -> String {
    var mode = termios()
    guard tcgetattr(0, &mode) == 0 else { throw LocalFile.failure("set up", "the terminal") }
    var silent = mode
    silent.c_lflag &= ~tcflag_t(ECHO)
    tcsetattr(0, TCSAFLUSH, &silent)
    defer { tcsetattr(0, TCSAFLUSH, &mode) }
    return readLine() ?? ""
  }
}

struct LogoutCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "logout", abstract: "Forget the login for a registry.")

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init(valueName: "registry"))
  var registry = "docker.io"

  func run() throws {
    let name = RegistryLogin.registry(named: registry)
    let shown = name == "docker.io" ? RegistryLogin.hub : name
    if try RegistryLogin.erase(name) {
      try Console.printLine("Removing login credentials for \(shown)")
    } else {
      try Console.printLine("Not logged in to \(shown)")
    }
  }
}
