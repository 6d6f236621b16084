import Errors
import FoundationEssentials
import ImageSpec

/// Dockerfile instructions that change an image's configuration only (`docker import --change`, `docker commit
/// --change`; Dockerfile reference): CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER,
/// VOLUME, WORKDIR.
public enum DockerfileChanges {
  /// - Throws: `invalidArgument`, naming the instruction.
  public static func apply(_ changes: [String], to config: inout ImageConfiguration.Config) throws(ApusError) {
    // A CMD that comes with an ENTRYPOINT stays; one that was there before it goes with the old entrypoint.
    var commandSet = false
    for change in changes.flatMap(lines) {
      let line = change.trimmed
      guard !line.isEmpty, !line.hasPrefix("#") else { continue }
      let word = line.prefix { !$0.isWhitespace }
      let rest = String(line[word.endIndex...]).trimmed
      let name = word.uppercased()
      guard !rest.isEmpty else { throw invalid(line, "it needs an argument") }
      switch name {
      case "CMD":
        config.cmd = try command(rest, config, line)
        commandSet = true
      case "ENTRYPOINT":
        config.entrypoint = try command(rest, config, line)
        if !commandSet { config.cmd = nil }
      case "ENV":
        for (key, value) in try pairs(rest, line) {
          config.env = (config.env ?? []).filter { !$0.hasPrefix(key + "=") } + ["\(key)=\(value)"]
        }
      case "LABEL":
        for (key, value) in try pairs(rest, line) {
          config.labels = (config.labels ?? [:]).merging([key: value]) { $1 }
        }
      case "EXPOSE":
        for word in Words.split(rest) { config.exposedPorts = merged(config.exposedPorts, try ports(word, line)) }
      case "VOLUME":
        let paths = rest.hasPrefix("[") ? try array(rest, line) : Words.split(rest)
        guard paths.allSatisfy({ !$0.isEmpty }) else { throw invalid(line, "a path is empty") }
        config.volumes = merged(config.volumes, paths)
      case "USER":
        config.user = Words.split(rest).joined(separator: " ")
      case "WORKDIR":
        let path = Words.unquoted(rest)
        config.workingDir =
          path.hasPrefix("/") ? path : Self.join(config.workingDir.flatMap { $0.isEmpty ? nil : $0 } ?? "/", path)
      case "STOPSIGNAL":
        config.stopSignal = rest
      case "HEALTHCHECK":
        config.healthcheck = try healthCheck(rest, line)
      case "ONBUILD":
        let trigger = rest.prefix { !$0.isWhitespace }.uppercased()
        guard !["ONBUILD", "FROM", "MAINTAINER"].contains(trigger) else {
          throw invalid(line, "\(trigger) is not allowed as a trigger")
        }
        config.onBuild = (config.onBuild ?? []) + [rest]
      case "SHELL":
        config.shell = try array(rest, line)
      default:
        throw ApusError(.invalidArgument, "\(name) is not a valid change command")
      }
    }
  }

  // MARK: Arguments

  private static func lines(_ text: String) -> [String] {
    text.split(separator: "\n").map(String.init)
  }

  private static func invalid(_ line: String, _ why: String) -> ApusError {
    ApusError(.invalidArgument, "invalid change '\(line.prefix(100))': \(why)")
  }

  /// The exec form is a JSON array; anything else is for the shell.
  private static func command(
    _ text: String, _ config: ImageConfiguration.Config, _ line: String
  ) throws(ApusError) -> [String] {
    if text.hasPrefix("["), let words = try? JSONDecoder().decode([String].self, from: Data(text.utf8)) { return words }
    return (config.shell ?? ["/bin/sh", "-c"]) + [text]
  }

  private static func array(_ text: String, _ line: String) throws(ApusError) -> [String] {
    guard let words = try? JSONDecoder().decode([String].self, from: Data(text.utf8)), !words.isEmpty else {
      throw invalid(line, "expected a JSON array of strings, with double quotes")
    }
    return words
  }

  /// `k=v k2="v 2"`, or the old `k the whole rest`.
  private static func pairs(_ text: String, _ line: String) throws(ApusError) -> [(String, String)] {
    let words = Words.split(text)
    guard let first = words.first else { throw invalid(line, "it needs an argument") }
    guard first.contains("=") else {
      guard words.count > 1, let space = text.firstIndex(where: \.isWhitespace) else {
        throw invalid(line, "expected name=value")
      }
      return [(String(text[..<space]), String(text[space...]).trimmed)]
    }
    var result: [(String, String)] = []
    for word in words {
      guard let equals = word.firstIndex(of: "="), equals > word.startIndex else {
        throw invalid(line, "expected name=value, not '\(word.prefix(40))'")
      }
      result.append((String(word[..<equals]), String(word[word.index(after: equals)...])))
    }
    return result
  }

  /// `80`, `80/udp`, `8000-8010/tcp`.
  private static func ports(_ word: String, _ line: String) throws(ApusError) -> [String] {
    let parts = word.split(separator: "/", omittingEmptySubsequences: false)
    let kind = parts.count > 1 ? parts[1].lowercased() : "tcp"
    let range = parts[0].split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
    guard parts.count <= 2, ["tcp", "udp", "sctp"].contains(kind), (1...2).contains(range.count),
      let low = range[0], let high = range[range.count - 1], low > 0, low <= high
    else { throw invalid(line, "'\(word.prefix(40))' is no port") }
    return (low...high).map { "\($0)/\(kind)" }
  }

  private static func healthCheck(_ text: String, _ line: String) throws(ApusError) -> ImageConfiguration.HealthCheck {
    if text.uppercased() == "NONE" { return ImageConfiguration.HealthCheck(test: ["NONE"]) }
    var check = ImageConfiguration.HealthCheck()
    var rest = text
    while rest.hasPrefix("--") {
      let option = rest.prefix { !$0.isWhitespace }
      rest = String(rest[option.endIndex...]).trimmed
      let parts = option.dropFirst(2).split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { throw invalid(line, "'\(option)' has no value") }
      if parts[0] == "retries" {
        guard let count = Int(parts[1]), count >= 0 else { throw invalid(line, "'\(option)' is no count") }
        check.retries = count
        continue
      }
      guard let time = GoDuration.nanoseconds(String(parts[1])), time >= 0 else {
        throw invalid(line, "'\(option)' is no duration such as 30s")
      }
      switch parts[0] {
      case "interval": check.interval = time
      case "timeout": check.timeout = time
      case "start-period": check.startPeriod = time
      case "start-interval": check.startInterval = time
      default: throw invalid(line, "unknown option '\(option)'")
      }
    }
    let word = rest.prefix { !$0.isWhitespace }
    let command = String(rest[word.endIndex...]).trimmed
    guard word.uppercased() == "CMD", !command.isEmpty else {
      throw invalid(line, "expected CMD and a command, or NONE")
    }
    if command.hasPrefix("["), let words = try? JSONDecoder().decode([String].self, from: Data(command.utf8)) {
      check.test = ["CMD"] + words
    } else {
      check.test = ["CMD-SHELL", command]
    }
    return check
  }

  private static func merged(_ old: [String]?, _ new: [String]) -> [String] { Array(Set((old ?? []) + new)).sorted() }

  private static func join(_ base: String, _ path: String) -> String {
    var parts: [Substring] = []
    for part in (base + "/" + path).split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }
}

/// Words as a Dockerfile has them: separated by blanks, with quotes and backslashes.
enum Words {
  static func split(_ text: String) -> [String] {
    var words: [String] = []
    var current = ""
    var started = false
    var quote: Character?
    var escaped = false
    for character in text {
      if escaped {
        current.append(character)
        escaped = false
      } else if character == "\\", quote != "'" {
        escaped = true
        started = true
      } else if let open = quote {
        if character == open { quote = nil } else { current.append(character) }
      } else if character == "\"" || character == "'" {
        quote = character
        started = true
      } else if character.isWhitespace {
        if started { words.append(current) }
        current = ""
        started = false
      } else {
        current.append(character)
        started = true
      }
    }
    if started { words.append(current) }
    return words
  }

  static func unquoted(_ text: String) -> String { split(text).joined(separator: " ") }
}

/// Go's durations: `1m30s`, `500ms`, `1.5h`.
enum GoDuration {
  static func nanoseconds(_ text: String) -> Int64? {
    if text == "0" { return 0 }
    let units: [(String, Double)] = [
      ("ns", 1), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
    ]
    var rest = text[...]
    var total = 0.0
    guard !rest.isEmpty else { return nil }
    while !rest.isEmpty {
      let digits = rest.prefix { $0.isNumber || $0 == "." }
      guard let value = Double(digits) else { return nil }
      rest = rest[digits.endIndex...]
      let name = rest.prefix { !$0.isNumber && $0 != "." }
      guard let unit = units.first(where: { $0.0 == name }) else { return nil }
      rest = rest[name.endIndex...]
      total += value * unit.1
    }
    return total < 9e18 ? Int64(total) : nil
  }
}

extension String {
  /// Without blanks at either end.
  fileprivate var trimmed: String {
    var view = self[...]
    while let first = view.first, first.isWhitespace { view.removeFirst() }
    while let last = view.last, last.isWhitespace { view.removeLast() }
    return String(view)
  }
}
