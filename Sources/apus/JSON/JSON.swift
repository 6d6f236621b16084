/// A JSON value that keeps what it was given: the order of an object's members and the spelling of its numbers.
///
/// The command line shows answers of the Engine API (`inspect`, `--format`, `--json`) without knowing every field,
/// so it works on values rather than on types; the types live with the daemon, and a test decodes what is sent here
/// with them. Reading takes tens of microseconds where a `Codable` reader takes most of a millisecond.
enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  /// The number as written.
  case number(String)
  case string(String)
  case array([JSON])
  case object([Member])

  struct Member: Sendable, Equatable {
    var key: String
    var value: JSON
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  init(stringLiteral value: String) { self = .string(value) }
  init(integerLiteral value: Int64) { self = .number(String(value)) }
  init(booleanLiteral value: Bool) { self = .bool(value) }
  init(arrayLiteral elements: JSON...) { self = .array(elements) }
  init(dictionaryLiteral elements: (String, JSON)...) {
    self = .object(elements.map { Member(key: $0.0, value: $0.1) })
  }
}

extension JSON {
  init(_ value: String) { self = .string(value) }
  init(_ value: Int64) { self = .number(String(value)) }
  init(_ value: Int) { self = .number(String(value)) }
  init(_ value: [String]) { self = .array(value.map { .string($0) }) }
  init(sorted values: [String: String]) {
    self = .object(values.sorted { $0.key < $1.key }.map { Member(key: $0.key, value: .string($0.value)) })
  }

  /// The member of an object; `.null` when this is not an object or has no such member.
  subscript(key: String) -> JSON {
    get {
      guard case .object(let members) = self else { return .null }
      return members.first { $0.key == key }?.value ?? .null
    }
    set {
      var members = self.members
      if let position = members.firstIndex(where: { $0.key == key }) {
        members[position].value = newValue
      } else {
        members.append(Member(key: key, value: newValue))
      }
      self = .object(members)
    }
  }

  var isNull: Bool { self == .null }

  var string: String? {
    if case .string(let value) = self { return value }
    return nil
  }

  var int: Int64? {
    guard case .number(let text) = self else { return nil }
    if let value = Int64(text) { return value }
    // 1e3 and 2.0 are integers too; anything out of range is not.
    return Double(text).flatMap { Int64(exactly: $0) }
  }

  var double: Double? {
    guard case .number(let text) = self else { return nil }
    return Double(text)
  }

  var bool: Bool? {
    if case .bool(let value) = self { return value }
    return nil
  }

  /// An array's elements; none for anything else.
  var elements: [JSON] {
    if case .array(let values) = self { return values }
    return []
  }

  /// An object's members; none for anything else.
  var members: [Member] {
    if case .object(let members) = self { return members }
    return []
  }

  /// The strings of an array of strings.
  var strings: [String] { elements.compactMap(\.string) }
}
