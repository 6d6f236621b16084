import Errors

/// Properties of a container's unit that its annotations ask for: `org.systemd.property.NAME`, with a value in the text
/// form of GVariant, as runc and crun take them.
extension SystemdProperty {
  private static let prefix = "org.systemd.property."

  /// - Parameter annotations: all of the container's.
  public static func annotated(_ annotations: [String: String]) throws(ApusError) -> [SystemdProperty] {
    var properties: [SystemdProperty] = []
    for (key, text) in annotations.sorted(by: { $0.key < $1.key }) where key.hasPrefix(prefix) {
      let name = String(key.dropFirst(prefix.count))
      let isName =
        name.utf8.count > 2 && name.utf8.allSatisfy { (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) }
      guard isName, let value = GVariantText.value(text) else {
        throw ApusError(
          .invalidArgument,
          "annotations: \(key) is no property of a unit with a value such as true, uint64 5, 'text' or ['a', 'b']")
      }
      guard name.hasSuffix("Sec"), !name.hasSuffix("USec") else {
        properties.append(SystemdProperty(name, value))
        continue
      }
      // As in unit files; by D-Bus all times are microseconds.
      guard let seconds = value.count, let time = UInt64(exactly: seconds)?.multipliedReportingOverflow(by: 1_000_000),
        !time.overflow
      else { throw ApusError(.invalidArgument, "annotations: \(key) is not a number of seconds") }
      properties.append(SystemdProperty("\(name.dropLast(3))USec", .uint64(time.partialValue)))
    }
    return properties
  }
}

extension DBusValue {
  /// A whole number of any type.
  fileprivate var count: Int64? {
    switch self {
    case .byte(let number): Int64(number)
    case .int32(let number): Int64(number)
    case .uint32(let number): Int64(number)
    case .int64(let number): number
    case .uint64(let number): Int64(exactly: number)
    default: nil
    }
  }
}

/// The part of GVariant's text form that properties of units are made of: truth values, numbers with or without a type
/// in front, quoted texts, and lists of texts.
enum GVariantText {
  static func value(_ text: String) -> DBusValue? {
    let text = trimmed(text[...])
    switch text {
    case "true": return .boolean(true)
    case "false": return .boolean(false)
    default: break
    }
    if text.first == "[" { return list(text) }
    if let (string, rest) = quoted(text) { return trimmed(rest).isEmpty ? .string(string) : nil }
    let words = text.split(separator: " ")
    if words.count == 1 { return Int32(words[0]).map { .int32($0) } ?? Double(words[0]).map { .double($0) } }
    guard words.count == 2 else { return nil }
    switch words[0] {
    case "byte": return UInt8(words[1]).map { .byte($0) }
    case "int32": return Int32(words[1]).map { .int32($0) }
    case "uint32": return UInt32(words[1]).map { .uint32($0) }
    case "int64": return Int64(words[1]).map { .int64($0) }
    case "uint64": return UInt64(words[1]).map { .uint64($0) }
    case "double": return Double(words[1]).map { .double($0) }
    case "boolean": return words[1] == "true" ? .boolean(true) : words[1] == "false" ? .boolean(false) : nil
    default: return nil
    }
  }

  private static func list(_ text: Substring) -> DBusValue? {
    var strings: [String] = []
    var rest = trimmed(text.dropFirst())
    while rest.first != "]" {
      guard let (string, after) = quoted(rest) else { return nil }
      strings.append(string)
      rest = trimmed(after)
      guard rest.first == "," else { break }
      rest = trimmed(rest.dropFirst())
    }
    guard rest == "]" else { return nil }
    return .strings(strings)
  }

  /// A text in single or double quotes, and what follows it.
  private static func quoted(_ text: Substring) -> (String, Substring)? {
    guard let quote = text.first, quote == "'" || quote == "\"" else { return nil }
    var string = ""
    var rest = text.dropFirst()
    while let character = rest.popFirst() {
      if character == quote { return (string, rest) }
      guard character == "\\" else {
        string.append(character)
        continue
      }
      guard let escaped = rest.popFirst() else { return nil }
      string.append(escaped == "n" ? "\n" : escaped == "t" ? "\t" : escaped)
    }
    return nil
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop { $0 == " " }
    while text.last == " " { text.removeLast() }
    return text
  }
}
