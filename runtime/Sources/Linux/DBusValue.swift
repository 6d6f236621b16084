import Errors

/// A value of the D-Bus type system (D-Bus specification, Type System); of its types those that systemd's manager uses.
public indirect enum DBusValue: Sendable, Equatable {
  case byte(UInt8)
  case boolean(Bool)
  case int32(Int32)
  case uint32(UInt32)
  case int64(Int64)
  case uint64(UInt64)
  case double(Double)
  case string(String)
  case objectPath(String)
  case signature(String)
  /// The signature is that of the elements: an empty array has a type too.
  case array(String, [DBusValue])
  case structure([DBusValue])
  case variant(DBusValue)

  /// A list of strings.
  public static func strings(_ strings: [String]) -> DBusValue { .array("s", strings.map { .string($0) }) }

  /// A list of bytes.
  public static func bytes(_ bytes: [UInt8]) -> DBusValue { .array("y", bytes.map { .byte($0) }) }

  public var signature: String {
    switch self {
    case .byte: "y"
    case .boolean: "b"
    case .int32: "i"
    case .uint32: "u"
    case .int64: "x"
    case .uint64: "t"
    case .double: "d"
    case .string: "s"
    case .objectPath: "o"
    case .signature: "g"
    case .array(let element, _): "a\(element)"
    case .structure(let members): "(\(members.map(\.signature).joined()))"
    case .variant: "v"
    }
  }

  /// Of a string, an object's path or a signature.
  public var text: String? {
    switch self {
    case .string(let text), .objectPath(let text), .signature(let text): text
    default: nil
    }
  }

  /// What a variant holds; anything else is itself.
  public var content: DBusValue {
    if case .variant(let value) = self { return value.content }
    return self
  }
}

/// Values as bytes, in this machine's byte order (D-Bus specification, Marshaling). Positions count from the beginning
/// of the message, or of its body, which is aligned to 8.
struct DBusWriter {
  private(set) var bytes: [UInt8] = []

  mutating func write(_ value: DBusValue) {
    align(Self.alignment(of: value.signature.utf8.first ?? 0))
    switch value {
    case .byte(let number): bytes.append(number)
    case .boolean(let flag): append(UInt32(flag ? 1 : 0))
    case .int32(let number): append(number)
    case .uint32(let number): append(number)
    case .int64(let number): append(number)
    case .uint64(let number): append(number)
    case .double(let number): append(number.bitPattern)
    case .string(let text), .objectPath(let text):
      append(UInt32(text.utf8.count))
      bytes += Array(text.utf8) + [0]
    case .signature(let text): bytes += [UInt8(truncatingIfNeeded: text.utf8.count)] + Array(text.utf8) + [0]
    case .array(let element, let values):
      let start = bytes.count
      append(UInt32(0))
      // Not counted in the length, and there even where nothing follows.
      align(Self.alignment(of: element.utf8.first ?? 0))
      let first = bytes.count
      for value in values { write(value) }
      let length = UInt32(bytes.count - first)
      withUnsafeBytes(of: length) { bytes.replaceSubrange(start..<(start + 4), with: $0) }
    case .structure(let members): for member in members { write(member) }
    case .variant(let value):
      write(.signature(value.signature))
      write(value)
    }
  }

  mutating func align(_ boundary: Int) {
    while bytes.count % boundary != 0 { bytes.append(0) }
  }

  private mutating func append<Number: BitwiseCopyable>(_ number: Number) {
    withUnsafeBytes(of: number) { bytes += $0 }
  }

  static func alignment(of type: UInt8) -> Int {
    switch type {
    case UInt8(ascii: "y"), UInt8(ascii: "g"), UInt8(ascii: "v"): 1
    case UInt8(ascii: "x"), UInt8(ascii: "t"), UInt8(ascii: "d"), UInt8(ascii: "("), UInt8(ascii: "{"): 8
    default: 4
    }
  }
}

/// The way back. What is read comes from another process: every length is held against what is there, and nesting is
/// bounded.
struct DBusReader {
  private static let deepest = 16

  private let bytes: ArraySlice<UInt8>
  private var position: Int

  /// `bytes` begins on a boundary of 8 in its message.
  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  var rest: Int { bytes.endIndex - position }

  /// The values that a signature announces.
  mutating func read(_ signature: String) throws(ApusError) -> [DBusValue] {
    var types = Array(signature.utf8)[...]
    var values: [DBusValue] = []
    while !types.isEmpty {
      let type = try Self.next(&types)
      values.append(try value(type, depth: 0))
    }
    return values
  }

  private static func broken(_ what: String) -> ApusError {
    ApusError(.unavailable, "a message of D-Bus is not valid: \(what)")
  }

  /// Takes one complete type off the front.
  private static func next(_ types: inout ArraySlice<UInt8>, depth: Int = 0) throws(ApusError) -> ArraySlice<UInt8> {
    let whole = types
    guard depth < deepest, let first = types.popFirst() else { throw broken("its signature is cut off, or too deep") }
    switch first {
    case UInt8(ascii: "a"): _ = try next(&types, depth: depth + 1)
    case UInt8(ascii: "("), UInt8(ascii: "{"):
      let end = first == UInt8(ascii: "(") ? UInt8(ascii: ")") : UInt8(ascii: "}")
      while types.first != end { _ = try next(&types, depth: depth + 1) }
      types = types.dropFirst()
    case UInt8(ascii: ")"), UInt8(ascii: "}"): throw broken("its signature has an end without a beginning")
    default: break
    }
    return whole[..<types.startIndex]
  }

  private mutating func value(_ type: ArraySlice<UInt8>, depth: Int) throws(ApusError) -> DBusValue {
    guard depth < Self.deepest, let first = type.first else { throw Self.broken("it is nested too deep") }
    try align(DBusWriter.alignment(of: first))
    switch first {
    case UInt8(ascii: "y"): return .byte(try number())
    case UInt8(ascii: "b"): return .boolean(try number(UInt32.self) != 0)
    case UInt8(ascii: "i"): return .int32(try number())
    case UInt8(ascii: "u"), UInt8(ascii: "h"): return .uint32(try number())
    case UInt8(ascii: "x"): return .int64(try number())
    case UInt8(ascii: "t"): return .uint64(try number())
    case UInt8(ascii: "d"): return .double(Double(bitPattern: try number()))
    case UInt8(ascii: "s"): return .string(try text(length: Int(number(UInt32.self))))
    case UInt8(ascii: "o"): return .objectPath(try text(length: Int(number(UInt32.self))))
    case UInt8(ascii: "g"): return .signature(try text(length: Int(number(UInt8.self))))
    case UInt8(ascii: "a"): return try array(of: type.dropFirst(), depth: depth)
    case UInt8(ascii: "("), UInt8(ascii: "{"):
      var types = type.dropFirst().dropLast()
      var members: [DBusValue] = []
      while !types.isEmpty { members.append(try value(Self.next(&types), depth: depth + 1)) }
      return .structure(members)
    case UInt8(ascii: "v"):
      let signature = try text(length: Int(number(UInt8.self)))
      var types = Array(signature.utf8)[...]
      let type = try Self.next(&types)
      guard types.isEmpty else { throw Self.broken("a variant has more than one value") }
      return .variant(try value(type, depth: depth + 1))
    default: throw Self.broken("it has a value of an unknown type")
    }
  }

  private mutating func array(of element: ArraySlice<UInt8>, depth: Int) throws(ApusError) -> DBusValue {
    let length = Int(try number(UInt32.self))
    try align(DBusWriter.alignment(of: element.first ?? 0))
    guard length <= rest else { throw Self.broken("a list is longer than the message") }
    let end = position + length
    var values: [DBusValue] = []
    while position < end {
      let before = position
      values.append(try value(element, depth: depth + 1))
      // An empty structure would go on for ever.
      guard position > before else { throw Self.broken("an element of a list has no length") }
    }
    guard position == end else { throw Self.broken("a list ends in the middle of an element") }
    return .array(String(decoding: element, as: UTF8.self), values)
  }

  private mutating func text(length: Int) throws(ApusError) -> String {
    guard length < rest, bytes[position + length] == 0 else { throw Self.broken("a text has no end") }
    defer { position += length + 1 }
    return String(decoding: bytes[position..<(position + length)], as: UTF8.self)
  }

  private mutating func number<Number: FixedWidthInteger>(_: Number.Type = Number.self) throws(ApusError) -> Number {
    let size = MemoryLayout<Number>.size
    guard size <= rest else { throw Self.broken("it is cut off") }
    defer { position += size }
    return bytes[position..<(position + size)].withUnsafeBytes { $0.loadUnaligned(as: Number.self) }
  }

  private mutating func align(_ boundary: Int) throws(ApusError) {
    let over = (position - bytes.startIndex) % boundary
    guard over > 0 else { return }
    guard boundary - over <= rest else { throw Self.broken("it is cut off") }
    position += boundary - over
  }
}
