import ArgumentParser
import Errors
import Glibc
import Logging
import RegistryServer
import Synchronization

/// `apusd registry`: a registry of one's own.
struct RegistryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "registry", abstract: "A registry of OCI images and artifacts.", subcommands: [RegistryServe.self])
}

/// `apusd registry serve`
struct RegistryServe: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serves a registry (OCI distribution specification 1.1) until it is told to end.",
    usage: "apus registry serve [<options>]",
    discussion: """
      Without --htpasswd everybody who reaches the address may push and delete. Passwords need TLS: without it they \
      are taken on the loopback interface alone.
      """)

  @Option(help: ArgumentHelp("The address to listen on; port 0 is any that is free.", valueName: "address:port"))
  var listen = "127.0.0.1:5000"

  @Option(help: "Where content is kept.")
  var root = "/var/lib/apus/registry"

  @Option(help: ArgumentHelp("The certificate chain, in PEM.", valueName: "file"))
  var tlsCert: String?

  @Option(help: ArgumentHelp("Its key, in PEM.", valueName: "file"))
  var tlsKey: String?

  @Option(
    help: ArgumentHelp("Who may use it: users and bcrypt hashes, as 'htpasswd -B' makes them.", valueName: "file"))
  var htpasswd: String?

  @Flag(help: "Take no pushes and no deletions.")
  var readOnly = false

  @Option(help: "How much to log: trace, debug, info, notice, warning, error or critical.")
  var logLevel = LogLevel.info

  mutating func run() throws {
    try CommandFailure.reported { () throws(ApusError) in try serve() }
  }

  private func serve() throws(ApusError) {
    let signals = try TerminationSignals()
    signal(SIGPIPE, SIG_IGN)
    umask(0o077)
    let level = logLevel.value
    LoggingSystem.bootstrap { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = level
      return handler
    }
    let configuration = try configuration()
    let server = try RegistryServer(configuration, logger: Logger(label: "registry"))
    let failure = Mutex<ApusError?>(nil)
    let ended = try Latch()
    let life = Task.detached {
      do {
        let port = try await server.listen()
        Logger(label: "registry").info("the registry listens on \(configuration.host):\(port)")
        await server.run()
      } catch {
        failure.withLock { $0 = (error as? ApusError) ?? ApusError(.internal, "the registry cannot start: \(error)") }
      }
      await server.shutdown()
      ended.open()
    }
    if signals.wait(or: ended) {
      life.cancel()
      // A second signal does not wait for anybody.
      _ = signals.wait(or: ended)
    }
    if let reason = failure.withLock({ $0 }) { throw reason }
  }

  private func configuration() throws(ApusError) -> RegistryServerConfiguration {
    guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]),
      (0...65_535).contains(port)
    else { throw ApusError(.invalidArgument, "--listen \(listen) is no address and port: expected 127.0.0.1:5000") }
    var host = String(listen[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    if host.isEmpty { host = "0.0.0.0" }
    guard root.hasPrefix("/") else { throw ApusError(.invalidArgument, "\(root) must be an absolute path") }
    var configuration = RegistryServerConfiguration(root: root, host: host, port: port)
    switch (tlsCert, tlsKey) {
    case (let certificate?, let key?): configuration.tls = (certificate, key)
    case (nil, nil): break
    default: throw ApusError(.invalidArgument, "--tls-cert and --tls-key are given together")
    }
    let isLocal = host == "localhost" || host.hasPrefix("127.") || host == "::1"
    guard htpasswd == nil || configuration.tls != nil || isLocal else {
      throw ApusError(
        .invalidArgument, "passwords would travel unprotected to \(listen): give --tls-cert and --tls-key as well")
    }
    configuration.htpasswd = htpasswd
    configuration.isReadOnly = readOnly
    return configuration
  }
}
