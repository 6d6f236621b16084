import Errors

/// Why a JSON text could not be read, and where in it. Becomes an ``ApusError`` at the outermost call.
public struct JSONError: Error, Sendable {
  public let reason: String
  /// Innermost first, because it is collected while the error travels outwards.
  private var components: [Component] = []

  private enum Component: Sendable {
    case member(String)
    case element(Int)
  }

  public init(_ reason: String) { self.reason = reason }

  /// The field as a user would write it: `process.rlimits[0].soft`. Empty for the text as a whole.
  public var path: String {
    var path = ""
    for component in components.reversed() {
      switch component {
      case .member(let name): path += path.isEmpty ? name : "." + name
      case .element(let index): path += "[\(index)]"
      }
    }
    return path
  }

  fileprivate func inside(member name: String) -> JSONError {
    var error = self
    // A hostile name would otherwise end up whole in a message and a log.
    error.components.append(
      .member(name.utf8.count > 64 ? String(decoding: name.utf8.prefix(64), as: UTF8.self) : name))
    return error
  }

  fileprivate func inside(element index: Int) -> JSONError {
    var error = self
    error.components.append(.element(index))
    return error
  }
}

/// What can be read from and written to JSON without reflection.
public protocol JSONValue: Sendable {
  init(reading reader: inout JSONReader) throws(JSONError)
  func write(to writer: inout JSONWriter)
}

/// A ``JSONValue`` written as an object whose members are the properties of a struct.
public protocol JSONObject: JSONValue {
  init()
  /// Reads the value of the member called `member`, or returns false to have an unknown member skipped.
  mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool
  func writeMembers(to writer: inout JSONWriter)
}

extension JSONObject {
  public init(reading reader: inout JSONReader) throws(JSONError) {
    var value = Self()
    try reader.object { (name, reader) throws(JSONError) in try value.readMember(name, from: &reader) }
    self = value
  }

  public func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writeMembers(to: &writer)
    writer.endObject()
  }

  /// Reads the whole text. Unknown members are ignored; a wrong type, an excess of depth or of elements, or anything
  /// after the value is an `invalidArgument` error that names the field.
  /// - Parameter subject: what the text is, for the sentence; "The container's specification".
  public init(json: [UInt8], subject: String = "The JSON text") throws(ApusError) {
    let result = json.withUnsafeBufferPointer { bytes -> Result<Self, JSONError> in
      var reader = JSONReader(bytes)
      do throws(JSONError) {
        let value = try Self(reading: &reader)
        try reader.end()
        return .success(value)
      } catch {
        return .failure(error)
      }
    }
    switch result {
    case .success(let value): self = value
    case .failure(let error):
      let field = error.path
      throw ApusError(
        .invalidArgument, "\(subject) is not valid: \(field.isEmpty ? "" : "\(field): ")\(error.reason).", cause: error)
    }
  }

  /// The value as JSON text in UTF-8. Members of maps are sorted, so equal values give equal bytes.
  public func json() -> [UInt8] {
    var writer = JSONWriter()
    write(to: &writer)
    return writer.bytes
  }
}

/// A pull reader of JSON text (RFC 8259) over borrowed bytes: one pass, no tree.
///
/// The text may come from anybody: depth and the number of elements are bounded, and strings may not contain NUL, which
/// would silently end them on their way into the kernel.
public struct JSONReader {
  static let maximumDepth = 64
  static let maximumElements = 65_536

  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0
  private var depth = 0

  /// The buffer must outlive the reader.
  public init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  // MARK: Structure

  /// Calls `member` for each member; it reads the value, or returns false to have it skipped.
  public mutating func object(
    _ member: (String, inout JSONReader) throws(JSONError) -> Bool
  ) throws(JSONError) {
    guard peek() == UInt8(ascii: "{") else { throw JSONError("must be an object") }
    try enter()
    defer { depth -= 1 }
    if peek() == UInt8(ascii: "}") { return position += 1 }
    var count = 0
    while true {
      count += 1
      guard count <= Self.maximumElements else { throw JSONError("has too many members") }
      guard peek() == UInt8(ascii: "\"") else { throw JSONError("a member's name is missing at byte \(position)") }
      let name = try string()
      guard peek() == UInt8(ascii: ":") else { throw JSONError("a colon is missing at byte \(position)") }
      position += 1
      do throws(JSONError) {
        if try !member(name, &self) { try skip() }
      } catch {
        throw error.inside(member: name)
      }
      if try !another(before: UInt8(ascii: "}")) { return }
    }
  }

  /// Calls `element` for each element; it must read it.
  public mutating func array(_ element: (inout JSONReader) throws(JSONError) -> Void) throws(JSONError) {
    guard peek() == UInt8(ascii: "[") else { throw JSONError("must be an array") }
    try enter()
    defer { depth -= 1 }
    if peek() == UInt8(ascii: "]") { return position += 1 }
    var count = 0
    while true {
      guard count < Self.maximumElements else { throw JSONError("has too many elements") }
      do throws(JSONError) { try element(&self) } catch { throw error.inside(element: count) }
      count += 1
      if try !another(before: UInt8(ascii: "]")) { return }
    }
  }

  /// Reads into `target`; `null` leaves it as it is, as Go's decoder does.
  public mutating func read<Value: JSONValue>(_ target: inout Value) throws(JSONError) {
    if try !null() { target = try Value(reading: &self) }
  }

  /// Reads into `target`; `null` is nil.
  public mutating func read<Value: JSONValue>(_ target: inout Value?) throws(JSONError) {
    target = try null() ? nil : try Value(reading: &self)
  }

  /// Requires that nothing but white space follows.
  public mutating func end() throws(JSONError) {
    guard peek() == nil else { throw JSONError("unexpected text at byte \(position)") }
  }

  /// Consumes `null` if it is next.
  public mutating func null() throws(JSONError) -> Bool {
    guard peek() == UInt8(ascii: "n") else { return false }
    try literal("null")
    return true
  }

  /// Consumes one value of any kind.
  public mutating func skip() throws(JSONError) {
    switch peek() {
    case UInt8(ascii: "{"): try object { (_, _) throws(JSONError) in false }
    case UInt8(ascii: "["): try array { (reader) throws(JSONError) in try reader.skip() }
    case UInt8(ascii: "\""): _ = try string()
    case UInt8(ascii: "t"): try literal("true")
    case UInt8(ascii: "f"): try literal("false")
    case UInt8(ascii: "n"): try literal("null")
    default: _ = try number()
    }
  }

  // MARK: Scalars

  public mutating func boolean() throws(JSONError) -> Bool {
    switch peek() {
    case UInt8(ascii: "t"):
      try literal("true")
      return true
    case UInt8(ascii: "f"):
      try literal("false")
      return false
    default: throw JSONError("must be true or false")
    }
  }

  public mutating func integer<Number: FixedWidthInteger>(_: Number.Type) throws(JSONError) -> Number {
    var mismatch: JSONError { JSONError("must be an integer from \(Number.min) to \(Number.max)") }
    guard let first = peek(), first == UInt8(ascii: "-") || (0x30...0x39).contains(first) else { throw mismatch }
    let text = try number()
    var value: Number = 0
    let negative = bytes[text.lowerBound] == UInt8(ascii: "-")
    for index in (negative ? text.lowerBound + 1 : text.lowerBound)..<text.upperBound {
      let byte = bytes[index]
      // A fraction or an exponent: Go refuses 1e3 and 1.0 for an integer too.
      guard (0x30...0x39).contains(byte) else { throw mismatch }
      let digit = Number(byte &- 0x30)
      let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow) =
        negative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
      guard !tooLarge, !overflow else { throw mismatch }
      value = sum
    }
    return value
  }

  public mutating func string() throws(JSONError) -> String {
    guard peek() == UInt8(ascii: "\"") else { throw JSONError("must be a string") }
    let (range, escaped) = try scanString()
    let text = UnsafeBufferPointer(rebasing: bytes[range])
    // Bytes that are not UTF-8 become U+FFFD, as in Go.
    return escaped ? try Self.unescape(text) : String(decoding: text, as: UTF8.self)
  }

  // MARK: Lexical level

  /// The next byte that is not white space, without consuming it.
  private mutating func peek() -> UInt8? {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0a, 0x0d: position += 1
      case let byte: return byte
      }
    }
    return nil
  }

  private mutating func enter() throws(JSONError) {
    depth += 1
    guard depth <= Self.maximumDepth else { throw JSONError("is nested deeper than \(Self.maximumDepth) levels") }
    position += 1
  }

  /// Consumes a comma (true) or the closing byte (false).
  private mutating func another(before close: UInt8) throws(JSONError) -> Bool {
    let byte = peek()
    guard byte == UInt8(ascii: ",") || byte == close else {
      throw JSONError(byte == nil ? "the text ends too early" : "a comma is missing at byte \(position)")
    }
    position += 1
    return byte != close
  }

  private mutating func literal(_ word: StaticString) throws(JSONError) {
    let expected = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
    guard bytes.count - position >= expected.count,
      bytes[position..<position + expected.count].elementsEqual(expected)
    else { throw JSONError("unexpected text at byte \(position)") }
    position += expected.count
  }

  /// Consumes a string; returns what is between the quotes and whether it contains escapes.
  private mutating func scanString() throws(JSONError) -> (Range<Int>, escaped: Bool) {
    position += 1
    let start = position
    var escaped = false
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        position += 1
        return (start..<position - 1, escaped)
      case UInt8(ascii: "\\"):
        escaped = true
        position += 2
      case 0..<0x20: throw JSONError("a string contains a control character at byte \(position)")
      default: position += 1
      }
    }
    throw JSONError("a string does not end")
  }

  /// Consumes a number (RFC 8259 section 6) and returns its bytes.
  private mutating func number() throws(JSONError) -> Range<Int> {
    let start = position
    func isDigit(_ index: Int) -> Bool { index < bytes.count && (0x30...0x39).contains(bytes[index]) }
    func digits(_ index: inout Int) -> Bool {
      let first = index
      while isDigit(index) { index += 1 }
      return index > first
    }
    var index = position
    if index < bytes.count, bytes[index] == UInt8(ascii: "-") { index += 1 }
    let leadingZero = isDigit(index) && bytes[index] == 0x30
    if leadingZero { index += 1 }
    var valid = leadingZero ? !isDigit(index) : digits(&index)
    if valid, index < bytes.count, bytes[index] == UInt8(ascii: ".") {
      index += 1
      valid = digits(&index)
    }
    if valid, index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") {
      index += 1
      if index < bytes.count, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") { index += 1 }
      valid = digits(&index)
    }
    guard valid else {
      throw JSONError(start >= bytes.count ? "the text ends too early" : "unexpected text at byte \(start)")
    }
    position = index
    return start..<index
  }

  private static func unescape(_ text: UnsafeBufferPointer<UInt8>) throws(JSONError) -> String {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var index = 0

    func codeUnit(at index: Int) -> UInt32? {
      guard index + 4 <= text.count else { return nil }
      var value: UInt32 = 0
      for byte in text[index..<index + 4] {
        switch byte {
        case 0x30...0x39: value = value << 4 | UInt32(byte - 0x30)
        case 0x41...0x46: value = value << 4 | UInt32(byte - 0x41 + 10)
        case 0x61...0x66: value = value << 4 | UInt32(byte - 0x61 + 10)
        default: return nil
        }
      }
      return value
    }

    while index < text.count {
      let byte = text[index]
      guard byte == UInt8(ascii: "\\") else {
        result.append(byte)
        index += 1
        continue
      }
      // The scanner steps over a backslash and its successor together, so the successor exists.
      index += 2
      switch text[index - 1] {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(text[index - 1])
      case UInt8(ascii: "b"): result.append(0x08)
      case UInt8(ascii: "f"): result.append(0x0c)
      case UInt8(ascii: "n"): result.append(0x0a)
      case UInt8(ascii: "r"): result.append(0x0d)
      case UInt8(ascii: "t"): result.append(0x09)
      case UInt8(ascii: "u"):
        guard var value = codeUnit(at: index) else { throw JSONError("a string contains a malformed \\u escape") }
        index += 4
        if value & 0xfc00 == 0xd800, index + 6 <= text.count, text[index] == UInt8(ascii: "\\"),
          text[index + 1] == UInt8(ascii: "u"), let low = codeUnit(at: index + 2), low & 0xfc00 == 0xdc00
        {
          value = 0x10000 + (value & 0x3ff) << 10 + (low & 0x3ff)
          index += 6
        }
        guard value != 0 else { throw JSONError("must not contain a NUL character") }
        // A lone surrogate has no scalar: U+FFFD, as in Go.
        result.append(contentsOf: UTF8.encode(Unicode.Scalar(value) ?? "\u{FFFD}") ?? UTF8.encodedReplacementCharacter)
      default: throw JSONError("a string contains an unknown escape")
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
