/// Writes values as JSON in the order in which their types declare their members, as Go does: what a user sees of
/// `inspect` begins with what matters. Dictionaries are sorted by key.
///
/// One pass into one buffer; no tree is built.
public enum WireEncoder {
  /// - Throws: `EncodingError` for a number that JSON cannot say.
  public static func encode(_ value: some Encodable) throws -> [UInt8] {
    let output = WireOutput()
    try output.write(value, path: [])
    return output.bytes
  }
}

/// A dictionary whose order is ours to choose.
private protocol WireDictionary {
  func write(to output: WireOutput, path: [any CodingKey]) throws
}

extension Dictionary: WireDictionary where Key == String, Value: Encodable {
  fileprivate func write(to output: WireOutput, path: [any CodingKey]) throws {
    output.bytes.append(UInt8(ascii: "{"))
    var first = true
    for key in keys.sorted() {
      if !first { output.bytes.append(UInt8(ascii: ",")) }
      first = false
      output.write(key)
      output.bytes.append(UInt8(ascii: ":"))
      if let value = self[key] { try output.write(value, path: path) }
    }
    output.bytes.append(UInt8(ascii: "}"))
  }
}

/// The growing text. One value at a time is written by one caller.
private final class WireOutput {
  var bytes: [UInt8] = []

  init() { bytes.reserveCapacity(1_024) }

  func write(_ value: some Encodable, path: [any CodingKey]) throws {
    switch value {
    case let text as String: write(text)
    case let flag as Bool: write(flag ? "true" : "false" as StaticString)
    case let number as Int: write(number)
    case let number as UInt64: write(number)
    case let dictionary as any WireDictionary: try dictionary.write(to: self, path: path)
    default:
      let encoder = WireValueEncoder(output: self, codingPath: path)
      try value.encode(to: encoder)
      encoder.finish()
    }
  }

  func write(_ literal: StaticString) {
    literal.withUTF8Buffer { bytes.append(contentsOf: $0) }
  }

  func write(_ number: some FixedWidthInteger) {
    var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
    withUnsafeMutableBytes(of: &digits) { buffer in
      var position = buffer.count
      var rest = UInt64(number.magnitude)
      repeat {
        position -= 1
        buffer[position] = UInt8(ascii: "0") + UInt8(rest % 10)
        rest /= 10
      } while rest > 0
      if number < 0 {
        position -= 1
        buffer[position] = UInt8(ascii: "-")
      }
      bytes.append(contentsOf: buffer[position...])
    }
  }

  func write(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    var text = text
    text.withUTF8 { utf8 in
      var clean = 0
      for (index, byte) in utf8.enumerated()
      where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
        bytes.append(contentsOf: utf8[clean..<index])
        clean = index + 1
        escape(byte)
      }
      bytes.append(contentsOf: utf8[clean...])
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private func escape(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""): write("\\\"" as StaticString)
    case UInt8(ascii: "\\"): write("\\\\" as StaticString)
    case UInt8(ascii: "\n"): write("\\n" as StaticString)
    case UInt8(ascii: "\r"): write("\\r" as StaticString)
    case UInt8(ascii: "\t"): write("\\t" as StaticString)
    default:
      write("\\u00" as StaticString)
      for digit in [byte >> 4, byte & 15] {
        bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      }
    }
  }
}

/// One value on its way: nothing yet, an object, an array, or a plain value.
private final class WireValueEncoder: Encoder {
  let output: WireOutput
  let codingPath: [any CodingKey]
  let userInfo: [CodingUserInfoKey: Any] = [:]
  private var closing: UInt8?
  private var empty = true

  init(output: WireOutput, codingPath: [any CodingKey]) {
    self.output = output
    self.codingPath = codingPath
  }

  /// Asked for again by a type that embeds another, whose members then follow in the same object.
  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    open(UInt8(ascii: "{"), UInt8(ascii: "}"))
    return KeyedEncodingContainer(WireObject(encoder: self))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    open(UInt8(ascii: "["), UInt8(ascii: "]"))
    return WireArray(encoder: self)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { WireSingle(encoder: self) }

  private func open(_ opening: UInt8, _ closing: UInt8) {
    guard self.closing == nil else { return }
    self.closing = closing
    output.bytes.append(opening)
  }

  func separate() {
    if !empty { output.bytes.append(UInt8(ascii: ",")) }
    empty = false
  }

  func finish() {
    if let closing { output.bytes.append(closing) }
  }
}

private struct WireObject<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let encoder: WireValueEncoder
  var codingPath: [any CodingKey] { encoder.codingPath }

  private func begin(_ key: Key) {
    encoder.separate()
    encoder.output.write(key.stringValue)
    encoder.output.bytes.append(UInt8(ascii: ":"))
  }

  func encodeNil(forKey key: Key) {
    begin(key)
    encoder.output.write("null" as StaticString)
  }

  func encode(_ value: some Encodable, forKey key: Key) throws {
    begin(key)
    try encoder.output.write(value, path: codingPath + [key])
  }

  // The types of this API encode their members whole.
  func nestedContainer<NestedKey: CodingKey>(
    keyedBy keyType: NestedKey.Type, forKey key: Key
  ) -> KeyedEncodingContainer<NestedKey> {
    preconditionFailure("nested containers are not used by the types of the API")
  }

  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    preconditionFailure("nested containers are not used by the types of the API")
  }

  func superEncoder() -> any Encoder { encoder }
  func superEncoder(forKey key: Key) -> any Encoder { encoder }
}

private struct WireArray: UnkeyedEncodingContainer {
  let encoder: WireValueEncoder
  var codingPath: [any CodingKey] { encoder.codingPath }
  private(set) var count = 0

  init(encoder: WireValueEncoder) { self.encoder = encoder }

  mutating func encodeNil() {
    count += 1
    encoder.separate()
    encoder.output.write("null" as StaticString)
  }

  mutating func encode(_ value: some Encodable) throws {
    count += 1
    encoder.separate()
    try encoder.output.write(value, path: codingPath)
  }

  func nestedContainer<NestedKey: CodingKey>(keyedBy keyType: NestedKey.Type) -> KeyedEncodingContainer<NestedKey> {
    preconditionFailure("nested containers are not used by the types of the API")
  }

  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
    preconditionFailure("nested containers are not used by the types of the API")
  }

  func superEncoder() -> any Encoder { encoder }
}

private struct WireSingle: SingleValueEncodingContainer {
  let encoder: WireValueEncoder
  var codingPath: [any CodingKey] { encoder.codingPath }

  func encodeNil() { encoder.output.write("null" as StaticString) }
  func encode(_ value: Bool) { encoder.output.write(value ? "true" : "false" as StaticString) }
  func encode(_ value: String) { encoder.output.write(value) }
  func encode(_ value: Double) throws { try real(value) }
  func encode(_ value: Float) throws { try real(Double(value)) }
  func encode(_ value: Int) { encoder.output.write(value) }
  func encode(_ value: Int8) { encoder.output.write(value) }
  func encode(_ value: Int16) { encoder.output.write(value) }
  func encode(_ value: Int32) { encoder.output.write(value) }
  func encode(_ value: Int64) { encoder.output.write(value) }
  func encode(_ value: UInt) { encoder.output.write(value) }
  func encode(_ value: UInt8) { encoder.output.write(value) }
  func encode(_ value: UInt16) { encoder.output.write(value) }
  func encode(_ value: UInt32) { encoder.output.write(value) }
  func encode(_ value: UInt64) { encoder.output.write(value) }
  func encode(_ value: some Encodable) throws { try encoder.output.write(value, path: codingPath) }

  private func real(_ value: Double) throws {
    guard value.isFinite else {
      throw EncodingError.invalidValue(
        value, EncodingError.Context(codingPath: codingPath, debugDescription: "JSON has no such number"))
    }
    if let whole = Int(exactly: value) {
      encoder.output.write(whole)
    } else {
      encoder.output.bytes.append(contentsOf: "\(value)".utf8)
    }
  }
}
