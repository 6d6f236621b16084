import ArgumentParser
import Glibc

/// What a shell may offer for an argument: the names the daemon has.
extension CompletionKind {
  static var containers: CompletionKind {
    .custom { _, _, _ in
      ask("/containers/json?all=1").flatMap { $0["Names"].strings }.map { String($0.drop { $0 == "/" }) }
    }
  }

  static var runningContainers: CompletionKind {
    .custom { _, _, _ in
      ask("/containers/json").flatMap { $0["Names"].strings }.map { String($0.drop { $0 == "/" }) }
    }
  }

  static var images: CompletionKind {
    .custom { _, _, _ in ask("/images/json").flatMap { $0["RepoTags"].strings } }
  }

  static var volumes: CompletionKind {
    .custom { _, _, _ in ask("/volumes", "Volumes").compactMap { $0["Name"].string } }
  }

  /// The ones without a daemon too, for where none runs.
  static var networks: CompletionKind {
    .custom { _, _, _ in
      let names = ask("/networks").compactMap { $0["Name"].string }
      return names.isEmpty ? ["bridge", "host", "none"] : names
    }
  }

  /// A list from a daemon that runs; completing a word does not start one, and says nothing when it fails.
  private static func ask(_ target: String, _ member: String? = nil) -> [JSON] {
    guard
      let endpoint = try? Endpoint.resolve(host: nil, environment: getenv("APUS_HOST").map { String(cString: $0) }),
      let socket = try? Socket(path: endpoint.path)
    else { return [] }
    let client = Client(endpoint: endpoint)
    let connection = Connection(socket: socket)
    guard (try? client.open("GET", target, on: connection)) != nil, let answer = try? client.answer(on: connection)
    else { return [] }
    return (member.map { answer[$0] } ?? answer).elements
  }
}

struct CompletionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "completion", abstract: "Print the completion script of a shell.",
    discussion: """
      source <(apus completion bash)
      apus completion fish > ~/.config/fish/completions/apus.fish
      """)

  @Argument(help: "bash, zsh or fish.", completion: .list(["bash", "zsh", "fish"]))
  var shell: String

  func run() throws {
    guard let kind = CompletionShell(rawValue: shell) else {
      throw UsageError("There is no completion for '\(shell)', only for bash, zsh and fish.")
    }
    try Console.print(Apus.completionScript(for: kind))
  }
}
