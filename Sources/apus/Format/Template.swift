import Errors

/// The part of Go's template language that `--format` needs: fields, `range`, `if`, `with`, variables, pipes, and the
/// functions Docker offers (`json`, `join`, `split`, `upper`, `lower`, `title`, `len`, `index`, `printf`, `println`,
/// `eq` and its kin, `and`, `or`, `not`, `truncate`, `pad`).
struct Template: Sendable {
  indirect enum Node: Sendable {
    case text(String)
    case output(Pipeline)
    case assign(String, Pipeline)
    case range(key: String?, value: String?, over: Pipeline, body: [Node], otherwise: [Node])
    case branch(Pipeline, then: [Node], otherwise: [Node])
    case with(Pipeline, then: [Node], otherwise: [Node])
  }

  /// Commands joined by `|`: the result of one is the last argument of the next.
  struct Pipeline: Sendable {
    var commands: [[Operand]]
  }

  indirect enum Operand: Sendable {
    case dot
    case field([String])
    case variable(String, [String])
    case literal(JSON)
    case function(String)
    case group(Pipeline, [String])
  }

  let nodes: [Node]

  init(_ text: String) throws(ApusError) {
    var parser = TemplateParser(text)
    nodes = try parser.parse()
  }

  /// The names of the fields of the value itself that the template shows, in order: the headings of a table.
  var fields: [String] {
    nodes.compactMap { node in
      guard case .output(let pipeline) = node else { return nil }
      for command in pipeline.commands {
        for operand in command {
          if case .field(let path) = operand, let first = path.last { return first }
          // {{.Label "name"}} is headed by the name of the label.
        }
      }
      return nil
    }
  }
}

/// Turns a template's text into nodes.
struct TemplateParser {
  private enum Piece {
    case text(String)
    case action([Token])
  }

  enum Token: Equatable {
    case word(String)
    case string(String)
    case number(String)
    case symbol(String)
  }

  private var pieces: ArraySlice<Piece> = []
  private let source: String

  init(_ source: String) { self.source = source }

  mutating func parse() throws(ApusError) -> [Template.Node] {
    pieces = try Self.split(source)[...]
    let (nodes, end) = try block()
    if let end { throw Self.failure("{{\(end)}} without a beginning") }
    return nodes
  }

  static func failure(_ what: String) -> ApusError {
    ApusError(.invalidArgument, "The template given with --format is not valid: \(what).")
  }

  /// Nodes up to the end, or to a lone `end` or `else`.
  private mutating func block() throws(ApusError) -> ([Template.Node], end: String?) {
    var nodes: [Template.Node] = []
    while let piece = pieces.popFirst() {
      guard case .action(let tokens) = piece else {
        if case .text(let text) = piece { nodes.append(.text(text)) }
        continue
      }
      guard let first = tokens.first else { throw Self.failure("empty action") }
      let rest = Array(tokens.dropFirst())
      switch first {
      case .word("end"), .word("else"):
        // `else if` is kept for the caller by putting its condition back as a piece of its own.
        if rest.first == .word("if") { pieces = ([.action(rest)] + Array(pieces))[...] }
        if case .word(let word) = first { return (nodes, rest.isEmpty ? word : "else if") }
      case .word("if"): nodes.append(try branch(rest) { .branch($0, then: $1, otherwise: $2) })
      case .word("with"): nodes.append(try branch(rest) { .with($0, then: $1, otherwise: $2) })
      case .word("range"): nodes.append(try range(rest))
      default:
        if case .word(let name) = first, name.hasPrefix("$"),
          rest.first == .symbol(":=") || rest.first == .symbol("=")
        {
          nodes.append(.assign(name, try pipeline(Array(rest.dropFirst()))))
        } else {
          nodes.append(.output(try pipeline(tokens)))
        }
      }
    }
    return (nodes, nil)
  }

  private mutating func bodies() throws(ApusError) -> ([Template.Node], [Template.Node]) {
    let (body, end) = try block()
    switch end {
    case "end": return (body, [])
    case "else":
      let (otherwise, end) = try block()
      guard end == "end" else { throw Self.failure("missing {{end}}") }
      return (body, otherwise)
    case "else if":
      guard case .action(let tokens)? = pieces.popFirst() else { throw Self.failure("missing {{end}}") }
      return (body, [try branch(Array(tokens.dropFirst())) { .branch($0, then: $1, otherwise: $2) }])
    default: throw Self.failure("missing {{end}}")
    }
  }

  private mutating func branch(
    _ tokens: [Token], _ make: (Template.Pipeline, [Template.Node], [Template.Node]) -> Template.Node
  ) throws(ApusError) -> Template.Node {
    let condition = try pipeline(tokens)
    let (body, otherwise) = try bodies()
    return make(condition, body, otherwise)
  }

  private mutating func range(_ tokens: [Token]) throws(ApusError) -> Template.Node {
    var tokens = tokens
    var names: [String] = []
    if let position = tokens.firstIndex(of: .symbol(":=")) {
      for case .word(let name) in tokens[..<position] { names.append(name) }
      tokens.removeFirst(position + 1)
    }
    let over = try pipeline(tokens)
    let (body, otherwise) = try bodies()
    return .range(
      key: names.count > 1 ? names[0] : nil, value: names.last, over: over, body: body, otherwise: otherwise)
  }

  // MARK: Actions

  private func pipeline(_ tokens: [Token]) throws(ApusError) -> Template.Pipeline {
    var rest = tokens[...]
    let result = try Self.pipeline(&rest)
    if !rest.isEmpty { throw Self.failure("unbalanced parentheses") }
    return result
  }

  private static func pipeline(_ tokens: inout ArraySlice<Token>) throws(ApusError) -> Template.Pipeline {
    var commands: [[Template.Operand]] = [[]]
    while let token = tokens.first {
      if token == .symbol(")") { break }
      tokens.removeFirst()
      if token == .symbol("|") {
        commands.append([])
        continue
      }
      let operand: Template.Operand
      switch token {
      case .symbol("("):
        let inner = try pipeline(&tokens)
        guard tokens.popFirst() == .symbol(")") else { throw failure("a parenthesis is not closed") }
        var path: [String] = []
        if case .word(let next)? = tokens.first, next.hasPrefix("."), next.count > 1 {
          path = Self.path(next)
          tokens.removeFirst()
        }
        operand = .group(inner, path)
      case .symbol(let symbol): throw failure("unexpected \(symbol)")
      case .string(let text): operand = .literal(.string(text))
      case .number(let text): operand = .literal(.number(text))
      case .word(let word): operand = Self.operand(word)
      }
      commands[commands.count - 1].append(operand)
    }
    if commands.contains(where: \.isEmpty) { throw failure("an empty command in a pipe") }
    return Template.Pipeline(commands: commands)
  }

  private static func operand(_ word: String) -> Template.Operand {
    switch word {
    case ".": return .dot
    case "true": return .literal(true)
    case "false": return .literal(false)
    case "nil": return .literal(.null)
    default: break
    }
    if word.hasPrefix(".") { return .field(path(word)) }
    if word.hasPrefix("$") {
      let parts = word.split(separator: ".").map(String.init)
      return .variable(parts[0], Array(parts.dropFirst()))
    }
    return .function(word)
  }

  private static func path(_ word: String) -> [String] { word.split(separator: ".").map(String.init) }

  // MARK: Words

  private static func split(_ source: String) throws(ApusError) -> [Piece] {
    var pieces: [Piece] = []
    var rest = source[...]
    var trimNext = false
    func trimmed(_ text: Substring, start: Bool, end: Bool) -> String {
      var text = text
      if start { text = text.drop { $0.isWhitespace } }
      if end { while text.last?.isWhitespace == true { text.removeLast() } }
      return String(text)
    }
    while let open = rest.firstRange(ofText: "{{") {
      let text = rest[..<open]
      var action = rest[rest.index(open, offsetBy: 2)...]
      let trimBefore = action.hasPrefix("- ")
      if trimBefore { action = action.dropFirst(2) }
      pieces.append(.text(trimmed(text, start: trimNext, end: trimBefore)))
      let (tokens, after) = try words(action)
      trimNext = tokens.trim
      rest = after
      // A comment has no words.
      if !tokens.list.isEmpty { pieces.append(.action(tokens.list)) }
    }
    pieces.append(.text(trimmed(rest, start: trimNext, end: false)))
    return pieces
  }

  private static func words(_ source: Substring) throws(ApusError) -> ((list: [Token], trim: Bool), Substring) {
    var rest = source
    var tokens: [Token] = []
    if rest.drop(while: \.isWhitespace).hasPrefix("/*") {
      guard let end = rest.firstRange(ofText: "}}") else { throw failure("an action is not closed with }}") }
      return (([], false), rest[rest.index(end, offsetBy: 2)...])
    }
    while let character = rest.first {
      if rest.hasPrefix("}}") { return ((tokens, false), rest.dropFirst(2)) }
      if rest.hasPrefix(" -}}") { return ((tokens, true), rest.dropFirst(4)) }
      if character.isWhitespace {
        rest.removeFirst()
      } else if character == "\"" || character == "`" {
        rest.removeFirst()
        tokens.append(.string(try text(&rest, quote: character)))
      } else if character == "(" || character == ")" || character == "|" || character == "," {
        rest.removeFirst()
        if character != "," { tokens.append(.symbol(String(character))) }
      } else if rest.hasPrefix(":=") || character == "=" {
        let symbol = character == "=" ? "=" : ":="
        rest.removeFirst(symbol.count)
        tokens.append(.symbol(symbol))
      } else {
        let word = rest.prefix { !$0.isWhitespace && !"()|,}\"`=".contains($0) }
        guard !word.isEmpty else { throw failure("unexpected \(character)") }
        rest.removeFirst(word.count)
        let isNumber = word.first?.isNumber == true || (word.first == "-" && word.count > 1)
        tokens.append(isNumber ? .number(String(word)) : .word(String(word)))
      }
    }
    throw failure("an action is not closed with }}")
  }

  private static func text(_ rest: inout Substring, quote: Character) throws(ApusError) -> String {
    var text = ""
    while let character = rest.popFirst() {
      if character == quote { return text }
      if character == "\\", quote == "\"", let next = rest.popFirst() {
        switch next {
        case "n": text.append("\n")
        case "t": text.append("\t")
        default: text.append(next)
        }
      } else {
        text.append(character)
      }
    }
    throw failure("a string is not closed")
  }
}

extension Substring {
  /// Where `text` begins first.
  func firstRange(ofText text: String) -> Index? {
    var position = startIndex
    while position < endIndex {
      if self[position...].hasPrefix(text) { return position }
      position = index(after: position)
    }
    return nil
  }
}
