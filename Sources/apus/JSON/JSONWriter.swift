/// How JSON is written for a reader: on one line for programs, indented for people.
enum JSONLayout {
  case compact
  case indented
}

extension JSON {
  /// The value as UTF-8 bytes.
  func bytes(_ layout: JSONLayout = .compact) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(512)
    write(to: &output, layout: layout, level: 0)
    return output
  }

  /// The value as text.
  func text(_ layout: JSONLayout = .compact) -> String { String(decoding: bytes(layout), as: UTF8.self) }

  private func write(to output: inout [UInt8], layout: JSONLayout, level: Int) {
    switch self {
    case .null: output.append(contentsOf: "null".utf8)
    case .bool(let value): output.append(contentsOf: (value ? "true" : "false").utf8)
    case .number(let text): output.append(contentsOf: text.utf8)
    case .string(let text): Self.write(text, to: &output)
    case .array(let values):
      Self.writeList(values, open: "[", close: "]", to: &output, layout: layout, level: level) { value, output in
        value.write(to: &output, layout: layout, level: level + 1)
      }
    case .object(let members):
      Self.writeList(members, open: "{", close: "}", to: &output, layout: layout, level: level) { member, output in
        Self.write(member.key, to: &output)
        output.append(UInt8(ascii: ":"))
        if layout == .indented { output.append(0x20) }
        member.value.write(to: &output, layout: layout, level: level + 1)
      }
    }
  }

  private static func writeList<Element>(
    _ list: [Element], open: Unicode.Scalar, close: Unicode.Scalar, to output: inout [UInt8], layout: JSONLayout,
    level: Int, element write: (Element, inout [UInt8]) -> Void
  ) {
    output.append(UInt8(ascii: open))
    for (position, element) in list.enumerated() {
      if position > 0 { output.append(UInt8(ascii: ",")) }
      if layout == .indented { newLine(&output, level + 1) }
      write(element, &output)
    }
    if layout == .indented, !list.isEmpty { newLine(&output, level) }
    output.append(UInt8(ascii: close))
  }

  private static func newLine(_ output: inout [UInt8], _ level: Int) {
    output.append(0x0A)
    output.append(contentsOf: repeatElement(0x20, count: level * 4))
  }

  private static func write(_ text: String, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): output.append(contentsOf: "\\\"".utf8)
      case UInt8(ascii: "\\"): output.append(contentsOf: "\\\\".utf8)
      case 0x0A: output.append(contentsOf: "\\n".utf8)
      case 0x0D: output.append(contentsOf: "\\r".utf8)
      case 0x09: output.append(contentsOf: "\\t".utf8)
      case 0..<0x20:
        let digits = String(byte, radix: 16)
        output.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
      default: output.append(byte)
      }
    }
    output.append(UInt8(ascii: "\""))
  }
}
