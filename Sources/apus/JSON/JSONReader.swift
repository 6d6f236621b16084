import Errors

/// Reads one JSON value from bytes (RFC 8259). What it reads comes from a socket, so depth is bounded; sizes are
/// bounded by whoever read the bytes.
struct JSONReader {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0
  private static let deepest = 128

  static func read(_ bytes: [UInt8]) throws(ApusError) -> JSON {
    do {
      return try bytes.withUnsafeBufferPointer { buffer in
        var reader = JSONReader(bytes: buffer)
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.position == buffer.count else { throw reader.malformed("more text after the value") }
        return value
      }
    } catch let error as ApusError {
      throw error
    } catch {
      throw ApusError(.internal, "Cannot read the daemon's answer as JSON.", cause: error)
    }
  }

  private init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  private func malformed(_ what: String) -> ApusError {
    ApusError(.invalidArgument, "Not valid JSON at byte \(position): \(what).")
  }

  private mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return
      }
    }
  }

  private mutating func value(depth: Int) throws(ApusError) -> JSON {
    guard depth < Self.deepest else { throw malformed("nested too deeply") }
    skipSpace()
    guard position < bytes.count else { throw malformed("the text ends where a value should be") }
    switch bytes[position] {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: return try number()
    }
  }

  private mutating func literal(_ word: StaticString, _ value: JSON) throws(ApusError) -> JSON {
    let length = word.utf8CodeUnitCount
    guard position + length <= bytes.count else { throw malformed("unknown word") }
    for offset in 0..<length where bytes[position + offset] != word.utf8Start[offset] {
      throw malformed("unknown word")
    }
    position += length
    return value
  }

  private mutating func number() throws(ApusError) -> JSON {
    let start = position
    scan: while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
        UInt8(ascii: "e"), UInt8(ascii: "E"):
        position += 1
      default: break scan
      }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    guard Double(text) != nil else { throw malformed("expected a value") }
    return .number(text)
  }

  private mutating func array(depth: Int) throws(ApusError) -> JSON {
    position += 1
    var values: [JSON] = []
    skipSpace()
    if position < bytes.count, bytes[position] == UInt8(ascii: "]") {
      position += 1
      return .array(values)
    }
    while true {
      values.append(try value(depth: depth + 1))
      skipSpace()
      guard position < bytes.count else { throw malformed("an array is not closed") }
      let next = bytes[position]
      position += 1
      if next == UInt8(ascii: "]") { return .array(values) }
      guard next == UInt8(ascii: ",") else { throw malformed("expected a comma or ]") }
    }
  }

  private mutating func object(depth: Int) throws(ApusError) -> JSON {
    position += 1
    var members: [JSON.Member] = []
    skipSpace()
    if position < bytes.count, bytes[position] == UInt8(ascii: "}") {
      position += 1
      return .object(members)
    }
    while true {
      skipSpace()
      guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { throw malformed("expected a name") }
      let key = try string()
      skipSpace()
      guard position < bytes.count, bytes[position] == UInt8(ascii: ":") else { throw malformed("expected a colon") }
      position += 1
      members.append(JSON.Member(key: key, value: try value(depth: depth + 1)))
      skipSpace()
      guard position < bytes.count else { throw malformed("an object is not closed") }
      let next = bytes[position]
      position += 1
      if next == UInt8(ascii: "}") { return .object(members) }
      guard next == UInt8(ascii: ",") else { throw malformed("expected a comma or }") }
    }
  }

  private mutating func string() throws(ApusError) -> String {
    position += 1
    let start = position
    // The common string has no escape: one pass, one copy.
    while position < bytes.count, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\") {
      position += 1
    }
    guard position < bytes.count else { throw malformed("a string is not closed") }
    if bytes[position] == UInt8(ascii: "\"") {
      let text = String(decoding: bytes[start..<position], as: UTF8.self)
      position += 1
      return text
    }
    var text = Array(bytes[start..<position])
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"): try escape(into: &text)
      default: text.append(byte)
      }
    }
    throw malformed("a string is not closed")
  }

  private mutating func escape(into text: inout [UInt8]) throws(ApusError) {
    guard position < bytes.count else { throw malformed("a string is not closed") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "u"):
      var unit = try hexadecimal()
      if (0xD800..<0xDC00).contains(unit), position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
        bytes[position + 1] == UInt8(ascii: "u")
      {
        position += 2
        let low = try hexadecimal()
        unit = (0xDC00..<0xE000).contains(low) ? 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD
      }
      text.append(contentsOf: Array(String(Unicode.Scalar(unit) ?? "\u{FFFD}").utf8))
    default: throw malformed("unknown escape")
    }
  }

  private mutating func hexadecimal() throws(ApusError) -> UInt32 {
    guard position + 4 <= bytes.count,
      let value = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
    else { throw malformed("expected four hexadecimal digits") }
    position += 4
    return value
  }
}
