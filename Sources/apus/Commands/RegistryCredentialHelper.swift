import Errors
import Glibc

/// A program that keeps passwords: `docker-credential-NAME`, from `PATH` (docker/docker-credential-helpers).
struct CredentialHelper {
  let name: String
  /// The user name under which a helper keeps a token.
  private static let tokenUser = "<token>"
  private static let answerLimit = 1 << 20

  /// The account for a server; nil where the helper has none.
  /// - Throws: when the helper fails.
  func get(_ server: String) throws -> RegistryAccount? {
    let (status, output) = try run("get", input: server)
    let text = String(decoding: output, as: UTF8.self).trimmingSpace()
    guard status == 0 else {
      // The program says so on standard output, with a failure.
      if text.contains("credentials not found") || text.contains("no credentials server URL") { return nil }
      throw failure("get", text)
    }
    let answer = try JSONReader.read(output)
    guard let user = answer["Username"].string, let secret = answer["Secret"].string, !secret.isEmpty else {
      return nil
    }
    return RegistryAccount(user: user == Self.tokenUser ? "" : user, secret: secret, isToken: user == Self.tokenUser)
  }

  func store(_ account: RegistryAccount, for server: String) throws {
    let entry: JSON = [
      "ServerURL": .string(server), "Username": .string(account.isToken ? Self.tokenUser : account.user),
      "Secret": .string(account.secret),
    ]
    let (status, output) = try run("store", input: entry.text())
    guard status == 0 else { throw failure("store", String(decoding: output, as: UTF8.self).trimmingSpace()) }
  }

  func erase(_ server: String) throws {
    let (status, output) = try run("erase", input: server)
    let text = String(decoding: output, as: UTF8.self).trimmingSpace()
    guard status == 0 || text.contains("credentials not found") else { throw failure("erase", text) }
  }

  private func failure(_ verb: String, _ text: String) -> ApusError {
    ApusError(
      .unavailable,
      "The credential helper docker-credential-\(name) could not \(verb) the credentials: "
        + (text.isEmpty ? "it did not say why" : String(text.prefix(300))))
  }

  /// Runs the program with `input` on its standard input, to its end.
  private func run(_ verb: String, input: String) throws -> (status: Int32, output: [UInt8]) {
    // A name is no path: nothing beside the user's PATH is run.
    guard !name.contains("/") else {
      throw ApusError(.invalidArgument, "'\(name)' in \(DockerConfiguration.path) is no credential helper's name.")
    }
    let program = "docker-credential-\(name)"
    let (input, output) = (Array(input.utf8), try Pipe())
    let feed = try Pipe()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, feed.read, 0)
    posix_spawn_file_actions_adddup2(&actions, output.write, 1)
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), strdup(verb), nil]
    defer { for argument in arguments { free(argument) } }
    var child: pid_t = 0
    let result = posix_spawnp(&child, program, &actions, nil, &arguments, environ)
    guard result == 0 else {
      throw ApusError(
        .notFound,
        "The credential helper \(program), which \(DockerConfiguration.path) names, cannot be run: "
          + "\(String(cString: strerror(result))).")
    }
    output.closeWrite()
    feed.closeRead()
    // What it is told fits a pipe's buffer; a program that does not want it may be gone.
    let handler = signal(SIGPIPE, SIG_IGN)
    try? LocalFile.write(input[...], to: feed.write, named: program)
    signal(SIGPIPE, handler)
    feed.closeWrite()
    var bytes: [UInt8] = []
    var scratch = [UInt8](repeating: 0, count: 16 << 10)
    while bytes.count < Self.answerLimit {
      let count = scratch.withUnsafeMutableBytes { space in
        retrying { Glibc.read(output.read, space.baseAddress, space.count) }
      }
      guard count > 0 else { break }
      bytes += scratch[..<count]
    }
    output.closeRead()
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    return (status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F, bytes)
  }
}

/// Two ends, closed once each, at the latest with the last reference.
private final class Pipe {
  private(set) var read: Int32
  private(set) var write: Int32

  init() throws(ApusError) {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC) == 0 else { throw LocalFile.failure("make", "a pipe") }
    (read, write) = (ends[0], ends[1])
  }

  deinit {
    closeRead()
    closeWrite()
  }

  func closeRead() {
    if read >= 0 { close(read) }
    read = -1
  }

  func closeWrite() {
    if write >= 0 { close(write) }
    write = -1
  }
}
