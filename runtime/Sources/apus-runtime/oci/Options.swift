import Errors

/// One option of the command line, by all its names without dashes; the first is the long one.
struct Option: Sendable {
  enum Kind: Sendable { case flag, value, list }

  let names: [String]
  let kind: Kind
  let help: String

  init(_ name: String, kind: Kind = .value, _ help: String) {
    (names, self.kind, self.help) = ([name], kind, help)
  }

  init(_ name: String, _ short: String, kind: Kind = .value, _ help: String) {
    (names, self.kind, self.help) = ([name, short], kind, help)
  }

  var usage: String {
    let dashed = names.map { ($0.count == 1 ? "-" : "--") + $0 + (kind == .flag ? "" : " value") }
    return dashed.joined(separator: ", ")
  }
}

/// Why a command line could not be understood: its usage is shown.
struct UsageError: Error { let reason: String }

/// A command line, read as runc's is: `-name` and `--name`, `--name=value` and `--name value`; `--` ends the options.
struct Options: Sendable {
  private var values: [String: [String]] = [:]
  private(set) var arguments: [String] = []

  /// - Parameter anywhere: options may follow arguments, where what is not a known one is an argument.
  init(_ line: some Sequence<String>, known: [Option], anywhere: Bool = false) throws(UsageError) {
    var rest = Array(line)[...]
    while let word = rest.popFirst() {
      if word == "--" {
        arguments += rest
        return
      }
      guard word.hasPrefix("-"), word != "-" else {
        arguments.append(word)
        guard anywhere else {
          arguments += rest
          return
        }
        continue
      }
      let text = word.hasPrefix("--") ? word.dropFirst(2) : word.dropFirst()
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts.first ?? "")
      guard let option = known.first(where: { $0.names.contains(name) }) else {
        guard arguments.isEmpty else {
          arguments.append(word)
          continue
        }
        throw UsageError(reason: "flag provided but not defined: -\(name)")
      }
      var value = parts.count > 1 ? String(parts[1]) : nil
      if option.kind == .flag {
        guard let set = Self.boolean(value ?? "true") else {
          throw UsageError(reason: "invalid boolean value \"\(value ?? "")\" for -\(name): parse error")
        }
        value = set ? "true" : nil
        values[option.names[0]] = set ? ["true"] : nil
        continue
      }
      if value == nil { value = rest.popFirst() }
      guard let value else { throw UsageError(reason: "flag needs an argument: -\(name)") }
      if option.kind == .list {
        values[option.names[0], default: []].append(value)
      } else {
        values[option.names[0]] = [value]
      }
    }
  }

  private static func boolean(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": true
    case "0", "f", "F", "false", "FALSE", "False": false
    default: nil
    }
  }

  func has(_ name: String) -> Bool { values[name] != nil }
  /// The last value given; an empty one is none.
  func value(_ name: String) -> String? { values[name]?.last.flatMap { $0.isEmpty ? nil : $0 } }
  func list(_ name: String) -> [String] { values[name] ?? [] }

  /// A whole number.
  func number<Number: FixedWidthInteger>(_ name: String, _: Number.Type = Number.self) throws(ApusError) -> Number? {
    guard let text = value(name) else { return nil }
    guard let number = Number(text) else {
      throw ApusError(.invalidArgument, "invalid value \"\(text)\" for --\(name): it has to be a whole number")
    }
    return number
  }
}
