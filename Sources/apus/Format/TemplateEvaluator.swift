import Errors

/// Applies a ``Template`` to a value.
struct TemplateEvaluator {
  private var output = ""
  private var variables: [String: JSON]
  private let strict: Bool

  /// - Parameter strict: whether a field that an object lacks is an error, as it is for the rows of a list, where
  ///   the fields are known; what `inspect` shows leaves fields out.
  static func apply(_ template: Template, to value: JSON, strict: Bool = false) throws(ApusError) -> String {
    var evaluator = TemplateEvaluator(variables: ["$": value], strict: strict)
    try evaluator.run(template.nodes, dot: value)
    return evaluator.output
  }

  private init(variables: [String: JSON], strict: Bool) {
    self.variables = variables
    self.strict = strict
  }

  private mutating func run(_ nodes: [Template.Node], dot: JSON) throws(ApusError) {
    for node in nodes {
      switch node {
      case .text(let text): output += text
      case .output(let pipeline): output += Self.text(try value(of: pipeline, dot: dot))
      case .assign(let name, let pipeline): variables[name] = try value(of: pipeline, dot: dot)
      case .branch(let condition, let then, let otherwise):
        try run(Self.isTrue(try value(of: condition, dot: dot)) ? then : otherwise, dot: dot)
      case .with(let condition, let then, let otherwise):
        let value = try value(of: condition, dot: dot)
        if Self.isTrue(value) { try run(then, dot: value) } else { try run(otherwise, dot: dot) }
      case .range(let key, let name, let over, let body, let otherwise):
        let items = Self.items(try value(of: over, dot: dot))
        if items.isEmpty { try run(otherwise, dot: dot) }
        for item in items {
          if let key { variables[key] = item.key }
          if let name { variables[name] = item.value }
          try run(body, dot: item.value)
        }
      }
    }
  }

  /// What `range` visits: elements by number, members in the order of their names.
  private static func items(_ value: JSON) -> [(key: JSON, value: JSON)] {
    switch value {
    case .array(let values): return values.enumerated().map { (JSON($0.offset), $0.element) }
    case .object(let members): return members.sorted { $0.key < $1.key }.map { (.string($0.key), $0.value) }
    default: return []
    }
  }

  private mutating func value(of pipeline: Template.Pipeline, dot: JSON) throws(ApusError) -> JSON {
    var previous: JSON?
    for command in pipeline.commands {
      previous = try value(of: command, dot: dot, last: previous)
    }
    return previous ?? .null
  }

  private mutating func value(of command: [Template.Operand], dot: JSON, last: JSON?) throws(ApusError) -> JSON {
    guard let first = command.first else { return .null }
    if case .function(let name) = first {
      var arguments: [JSON] = []
      for operand in command.dropFirst() { arguments.append(try value(of: operand, dot: dot)) }
      if let last { arguments.append(last) }
      return try TemplateFunctions.call(name, arguments)
    }
    // {{.Label "key"}}, as Docker's rows have it, reads a member of .Labels.
    if case .field(["Label"]) = first, command.count == 2, let key = try value(of: command[1], dot: dot).string {
      return Self.label(key, in: dot)
    }
    guard command.count == 1 else { throw TemplateParser.failure("a field takes no arguments") }
    return try value(of: first, dot: dot)
  }

  private static func label(_ key: String, in dot: JSON) -> JSON {
    for pair in (dot["Labels"].string ?? "").split(separator: ",") where pair.hasPrefix(key + "=") {
      return .string(String(pair.dropFirst(key.count + 1)))
    }
    return ""
  }

  private mutating func value(of operand: Template.Operand, dot: JSON) throws(ApusError) -> JSON {
    switch operand {
    case .dot: return dot
    case .literal(let value): return value
    case .field(let path): return try member(path, of: dot)
    case .variable(let name, let path):
      guard let value = variables[name] else { throw TemplateParser.failure("there is no variable \(name)") }
      return try member(path, of: value)
    case .group(let pipeline, let path): return try member(path, of: try value(of: pipeline, dot: dot))
    case .function(let name): return try TemplateFunctions.call(name, [])
    }
  }

  private func member(_ path: [String], of value: JSON) throws(ApusError) -> JSON {
    var value = value
    for name in path {
      guard case .object(let members) = value else {
        if value.isNull { return .null }
        throw TemplateParser.failure("there is no field .\(name) here")
      }
      guard
        let found = members.first(where: { $0.key == name })
          ?? members.first(where: { $0.key.lowercased() == name.lowercased() })
      else {
        if strict {
          let nearest = Suggestion.nearest(to: name, among: members.map(\.key))
          throw TemplateParser.failure("there is no field .\(name)" + (nearest.map { ", did you mean .\($0)?" } ?? ""))
        }
        return .null
      }
      value = found.value
    }
    return value
  }

  static func isTrue(_ value: JSON) -> Bool {
    switch value {
    case .null: false
    case .bool(let value): value
    case .number: value.double != 0
    case .string(let text): !text.isEmpty
    case .array(let values): !values.isEmpty
    case .object(let members): !members.isEmpty
    }
  }

  /// A value as Go prints it.
  static func text(_ value: JSON) -> String {
    switch value {
    case .null: "<no value>"
    case .bool(let value): value ? "true" : "false"
    case .number(let text): text
    case .string(let text): text
    case .array(let values): "[" + values.map(Self.text).joined(separator: " ") + "]"
    case .object(let members):
      "map[" + members.sorted { $0.key < $1.key }.map { "\($0.key):\(Self.text($0.value))" }.joined(separator: " ")
        + "]"
    }
  }
}

/// The functions a template may call.
enum TemplateFunctions {
  static func call(_ name: String, _ arguments: [JSON]) throws(ApusError) -> JSON {
    func argument(_ position: Int) throws(ApusError) -> JSON {
      guard arguments.indices.contains(position) else {
        throw TemplateParser.failure("\(name) needs more arguments")
      }
      return arguments[position]
    }
    func text(_ position: Int) throws(ApusError) -> String { TemplateEvaluator.text(try argument(position)) }
    switch name {
    case "json": return .string(try argument(0).text())
    case "upper": return .string(try text(0).uppercased())
    case "lower": return .string(try text(0).lowercased())
    case "title":
      let words = try text(0)
      return .string(words.prefix(1).uppercased() + words.dropFirst())
    case "join": return .string(try argument(0).elements.map(TemplateEvaluator.text).joined(separator: try text(1)))
    case "split":
      let separator = try text(1)
      guard let character = separator.first, separator.count == 1 else {
        throw TemplateParser.failure("split takes one character to split at")
      }
      return JSON(try text(0).split(separator: character, omittingEmptySubsequences: false).map(String.init))
    case "println": return .string(arguments.map(TemplateEvaluator.text).joined(separator: " ") + "\n")
    case "print": return .string(arguments.map(TemplateEvaluator.text).joined())
    case "printf": return .string(try format(try text(0), Array(arguments.dropFirst())))
    case "truncate": return .string(String(try text(0).prefix(Int(try argument(1).int ?? 0))))
    case "pad":
      let before = Int(try argument(1).int ?? 0), after = Int(try argument(2).int ?? 0)
      return .string(
        String(repeating: " ", count: max(0, min(before, 1000))) + (try text(0))
          + String(repeating: " ", count: max(0, min(after, 1000))))
    case "len":
      switch try argument(0) {
      case .array(let values): return JSON(values.count)
      case .object(let members): return JSON(members.count)
      case .string(let text): return JSON(text.utf8.count)
      default: return 0
      }
    case "index":
      var value = try argument(0)
      for key in arguments.dropFirst() {
        if let position = key.int {
          value = value.elements.indices.contains(Int(position)) ? value.elements[Int(position)] : .null
        } else {
          value = value[key.string ?? ""]
        }
      }
      return value
    case "not": return .bool(!TemplateEvaluator.isTrue(try argument(0)))
    case "and":
      let last = try argument(arguments.count - 1)
      return arguments.first { !TemplateEvaluator.isTrue($0) } ?? last
    case "or":
      let last = try argument(arguments.count - 1)
      return arguments.first { TemplateEvaluator.isTrue($0) } ?? last
    case "eq": return .bool(arguments.dropFirst().contains(try argument(0)))
    case "ne": return .bool(try argument(0) != argument(1))
    case "lt": return .bool(try compare(argument(0), argument(1)) < 0)
    case "le": return .bool(try compare(argument(0), argument(1)) <= 0)
    case "gt": return .bool(try compare(argument(0), argument(1)) > 0)
    case "ge": return .bool(try compare(argument(0), argument(1)) >= 0)
    default: throw TemplateParser.failure("there is no function \(name)")
    }
  }

  private static func compare(_ left: JSON, _ right: JSON) -> Int {
    if let left = left.double, let right = right.double { return left < right ? -1 : left > right ? 1 : 0 }
    let left = TemplateEvaluator.text(left), right = TemplateEvaluator.text(right)
    return left < right ? -1 : left > right ? 1 : 0
  }

  /// `%s`, `%v`, `%d`, `%q` and `%%`, with a width and a minus sign; what templates for tables use.
  private static func format(_ pattern: String, _ arguments: [JSON]) throws(ApusError) -> String {
    var result = ""
    var rest = pattern[...]
    var arguments = arguments[...]
    while let character = rest.popFirst() {
      guard character == "%" else {
        result.append(character)
        continue
      }
      if rest.first == "%" {
        rest.removeFirst()
        result.append("%")
        continue
      }
      let width = rest.prefix { $0 == "-" || $0.isNumber }
      rest = rest.dropFirst(width.count)
      guard let verb = rest.popFirst(), "svdqtf".contains(verb), let argument = arguments.popFirst() else {
        throw TemplateParser.failure("printf has a verb without an argument, or one that is not known here")
      }
      let text = verb == "q" ? JSON.string(TemplateEvaluator.text(argument)).text() : TemplateEvaluator.text(argument)
      let padding = String(
        repeating: " ", count: max(0, min(1000, Int(width.drop { $0 == "-" }) ?? 0) - text.count))
      result += width.hasPrefix("-") ? text + padding : padding + text
    }
    return result
  }
}
