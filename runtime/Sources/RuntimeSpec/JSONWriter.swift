/// Appends JSON text to a byte array; keeps track of commas, not of nesting.
public struct JSONWriter: Sendable {
  public private(set) var bytes: [UInt8] = []
  private var needsComma = false

  public init() { bytes.reserveCapacity(512) }

  // MARK: Structure

  public mutating func beginObject() { open(UInt8(ascii: "{")) }
  public mutating func endObject() { close(UInt8(ascii: "}")) }
  public mutating func beginArray() { open(UInt8(ascii: "[")) }
  public mutating func endArray() { close(UInt8(ascii: "]")) }

  /// Writes a member's name; a value must follow.
  public mutating func name(_ name: String) {
    string(name)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  /// Writes a member, whatever its value.
  public mutating func put<Value: JSONValue>(_ name: String, _ value: Value) {
    self.name(name)
    value.write(to: &self)
  }

  /// Writes a member unless it is nil.
  public mutating func putIfSet<Value: JSONValue>(_ name: String, _ value: Value?) {
    if let value { put(name, value) }
  }

  public mutating func putIfSet(_ name: String, _ value: String) {
    if !value.isEmpty { put(name, value) }
  }

  public mutating func putIfSet(_ name: String, _ value: Bool) {
    if value { put(name, value) }
  }

  public mutating func putIfSet<Number: FixedWidthInteger & JSONValue>(_ name: String, _ value: Number) {
    if value != 0 { put(name, value) }
  }

  public mutating func putIfSet<Element: JSONValue>(_ name: String, _ value: [Element]) {
    if !value.isEmpty { put(name, value) }
  }

  public mutating func putIfSet<Element: JSONValue>(_ name: String, _ value: [String: Element]) {
    if !value.isEmpty { put(name, value) }
  }

  // MARK: Scalars

  public mutating func boolean(_ value: Bool) { raw(value ? "true" : "false") }

  public mutating func integer<Number: FixedWidthInteger>(_ value: Number) {
    separate()
    var magnitude = value.magnitude
    var digits = InlineDigits()
    repeat {
      let (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: 10)
      digits.push(UInt8(truncatingIfNeeded: remainder) + 0x30)
      magnitude = quotient
    } while magnitude != 0
    if value < 0 { bytes.append(UInt8(ascii: "-")) }
    while let digit = digits.pop() { bytes.append(digit) }
  }

  public mutating func string(_ value: String) {
    separate()
    bytes.append(UInt8(ascii: "\""))
    var value = value
    value.withUTF8 { text in
      var start = 0
      for (index, byte) in text.enumerated() where byte < 0x20 || byte == 0x22 || byte == 0x5c {
        bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[start..<index]))
        start = index + 1
        escape(byte)
      }
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[start...]))
    }
    bytes.append(UInt8(ascii: "\""))
  }

  // MARK: Lexical level

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    needsComma = true
  }

  private mutating func open(_ byte: UInt8) {
    separate()
    bytes.append(byte)
    needsComma = false
  }

  private mutating func close(_ byte: UInt8) {
    bytes.append(byte)
    needsComma = true
  }

  private mutating func raw(_ word: StaticString) {
    separate()
    bytes.append(contentsOf: UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
  }

  private mutating func escape(_ byte: UInt8) {
    bytes.append(UInt8(ascii: "\\"))
    switch byte {
    case 0x0a: bytes.append(UInt8(ascii: "n"))
    case 0x0d: bytes.append(UInt8(ascii: "r"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    case 0x22, 0x5c: bytes.append(byte)
    default:
      let hex: StaticString = "0123456789abcdef"
      bytes.append(contentsOf: [0x75, 0x30, 0x30])
      bytes.append(hex.utf8Start[Int(byte >> 4)])
      bytes.append(hex.utf8Start[Int(byte & 15)])
    }
  }
}

/// The digits of a number from the last to the first, without an allocation: 20 are enough for 64 bits, one nibble each.
private struct InlineDigits {
  private var low: UInt64 = 0
  private var high: UInt64 = 0
  private var count = 0

  mutating func push(_ digit: UInt8) {
    high = high << 4 | low >> 60
    low = low << 4 | UInt64(digit & 15)
    count += 1
  }

  mutating func pop() -> UInt8? {
    guard count > 0 else { return nil }
    let digit = UInt8(low & 15) + 0x30
    low = low >> 4 | high << 60
    high >>= 4
    count -= 1
    return digit
  }
}
