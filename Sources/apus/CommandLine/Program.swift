import ArgumentParser
import Errors
import Glibc

/// The program from its words to its exit status.
enum Program {
  /// - Parameter words: the arguments, without the program's name.
  static func run(_ words: [String]) -> Int32 {
    // A reader that left ends the program, quietly.
    signal(SIGPIPE, SIG_DFL)
    EarlyConnection.make(for: words)
    let syntax = DockerSyntax(words, root: Apus.self)
    do {
      if let unknown = syntax.unknown { throw unknownCommand(unknown, syntax) }
      // Parsing with the command alone spares building the tree of all commands, which is most of the time.
      var command = try parse(syntax)
      try command.run()
      return 0
    } catch {
      return report(error, syntax)
    }
  }

  private static func parse(_ syntax: DockerSyntax) throws -> any ParsableCommand {
    guard syntax.command.configuration.subcommands.isEmpty else {
      return try Apus.parseAsRoot(syntax.path.dropFirst().map { $0.spelledName } + syntax.words)
    }
    // Where help is asked for the parser answers with a command for that, which is the full one's to give.
    if syntax.command == RunCommand.self,
      let command = (try? FrequentRunCommand.parseAsRoot(syntax.words)) as? FrequentRunCommand
    {
      return command
    }
    return try syntax.command.parseAsRoot(syntax.words)
  }

  private static func unknownCommand(_ word: String, _ syntax: DockerSyntax) -> UsageError {
    let names = syntax.command.configuration.subcommands
      .filter { $0.configuration.shouldDisplay }
      .flatMap { [$0.spelledName] + $0.configuration.aliases }
    let suggestion = Suggestion.nearest(to: word, among: names).map { "; did you mean '\($0)'?" } ?? "."
    return UsageError("'\(word)' is not a command of \(syntax.spelled)\(suggestion)")
  }

  private static func report(_ error: any Error, _ syntax: DockerSyntax) -> Int32 {
    if let (message, status) = Failure.describe(error) {
      let hint = error is UsageError ? " See '\(syntax.spelled) --help'." : ""
      if let message { Console.warn("apus: " + message + hint) }
      return status
    }
    // The rest is ArgumentParser's. Help is asked for from the whole tree, which names the command in full.
    if Apus.exitCode(for: error) == .success {
      let isLeaf = syntax.command.configuration.subcommands.isEmpty
      let text = isLeaf ? Apus.helpMessage(for: syntax.command) : Apus.fullMessage(for: error)
      _ = try? Console.printLine(text)
      return 0
    }
    Console.warn("apus: \(Failure.sentence(syntax.command.message(for: error))) See '\(syntax.spelled) --help'.")
    return 125
  }
}
