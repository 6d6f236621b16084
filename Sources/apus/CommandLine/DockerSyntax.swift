import ArgumentParser

/// What Docker's command line accepts and ArgumentParser does not, put into words that both understand.
///
/// Docker's options follow pflag: `-itv /a:/b` and `-eNAME=x` join letters and values, a value may begin with a dash
/// (`--memory-swap -1`), a flag may say `=false`, and after the image of `run` every word belongs to the program in the
/// container. Here each option becomes one word (`--volume=/a:/b`), and `--` stands before the first argument of a
/// command that hands the rest on.
struct DockerSyntax {
  /// The command that the words name, from the program down.
  private(set) var path: [any ParsableCommand.Type]
  /// Its options and arguments.
  private(set) var words: [String] = []
  /// Whether a word should have named a command and did not.
  private(set) var unknown: String?

  /// Flags whose `=false` says something; the others are off anyway.
  private static let invertible: Set<String> = ["sig-proxy", "pause", "human", "ipv4", "ipv6"]

  var command: any ParsableCommand.Type { path[path.count - 1] }

  /// What the user typed to get there, for messages.
  var spelled: String { path.map { $0.spelledName }.joined(separator: " ") }

  /// - Parameter words: the program's arguments, without its own name.
  init(_ words: [String], root: any ParsableCommand.Type) {
    path = [root]
    var rest = words[...]
    let host = Self.takeHost(&rest)
    if rest.first == "-v" { rest[rest.startIndex] = "--version" }
    while !command.configuration.subcommands.isEmpty, let word = rest.first, !word.hasPrefix("-") {
      guard let next = command.child(named: word) else {
        // ArgumentParser's own: `apus help run`.
        if word != "help" { unknown = word }
        break
      }
      rest.removeFirst()
      path.append(next)
    }
    guard unknown == nil, command.configuration.subcommands.isEmpty else {
      self.words = Array(rest)
      return
    }
    self.words = (host.map { ["--host=\($0)"] } ?? []) + Self.options(Array(rest), of: command)
  }

  /// `-H` and `--host` before the verb.
  private static func takeHost(_ words: inout ArraySlice<String>) -> String? {
    var host: String?
    while let word = words.first {
      if word == "-H" || word == "--host" {
        guard words.count > 1 else { return host }
        words.removeFirst()
        host = words.removeFirst()
      } else if word.hasPrefix("--host=") {
        host = String(words.removeFirst().dropFirst("--host=".count))
      } else if word.hasPrefix("-H") {
        host = String(words.removeFirst().dropFirst(2).drop { $0 == "=" })
      } else {
        return host
      }
    }
    return host
  }

  private static func options(_ words: [String], of command: any ParsableCommand.Type) -> [String] {
    let verb = command as? any Verb.Type
    var flags = Set((verb?.flags ?? "").split(separator: " ").map(String.init))
    flags.formUnion(["help", "json"])
    let handsOn = command is any HandsOnArguments.Type
    // -h is help, but for the commands that have a host name to set.
    if !(command is any CreatesContainer.Type) { flags.insert("h") }
    var result: [String] = []
    var rest = words[...]
    while let word = rest.popFirst() {
      if word == "--" { return result + ["--"] + rest }
      if word.hasPrefix("--") {
        let name = word.dropFirst(2).prefix { $0 != "=" }
        if flags.contains(String(name)) {
          if let flag = flag(word, name) { result.append(flag) }
        } else if let equals = word.firstIndex(of: "=") {
          result += option(String(word[..<equals]), word[word.index(after: equals)...])
        } else {
          result += rest.popFirst().map { option(word, $0[...]) } ?? [word]
        }
      } else if word.hasPrefix("-"), word.count > 1 {
        result += letters(word.dropFirst(), flags, &rest)
      } else if handsOn {
        return result + ["--", word] + rest
      } else {
        result.append(word)
      }
    }
    return result
  }

  /// An option with its value. An empty one, which takes the image's entrypoint away, has to be a word of its own.
  private static func option(_ name: String, _ value: Substring) -> [String] {
    value.isEmpty ? [name, ""] : ["\(name)=\(value)"]
  }

  private static func flag(_ word: String, _ name: Substring) -> String? {
    guard let equals = word.firstIndex(of: "=") else { return word }
    switch word[word.index(after: equals)...].lowercased() {
    case "true", "t", "1": return "--\(name)"
    case "false", "f", "0": return invertible.contains(String(name)) ? "--no-\(name)" : nil
    default: return word
    }
  }

  private static func letters(_ text: Substring, _ flags: Set<String>, _ rest: inout ArraySlice<String>) -> [String] {
    var result: [String] = []
    var letters = text
    while let letter = letters.popFirst() {
      if flags.contains(String(letter)) {
        if letters.first == "=" {
          let value = letters.dropFirst().lowercased()
          if ["true", "t", "1"].contains(value) { result.append("-\(letter)") }
          return result
        }
        result.append("-\(letter)")
        continue
      }
      if letters.isEmpty {
        result += rest.popFirst().map { option("-\(letter)", $0[...]) } ?? ["-\(letter)"]
      } else {
        result += option("-\(letter)", letters.first == "=" ? letters.dropFirst() : letters)
      }
      return result
    }
    return result
  }
}

/// A command whose options end at its first argument, because what follows is another program's command line.
protocol HandsOnArguments: Verb {}

/// A command with the options of a new container.
protocol CreatesContainer: HandsOnArguments {}

extension ParsableCommand {
  static var spelledName: String { configuration.commandName ?? String(describing: Self.self).lowercased() }

  static func child(named name: String) -> (any ParsableCommand.Type)? {
    configuration.subcommands.first { $0.spelledName == name || $0.configuration.aliases.contains(name) }
  }
}
