/// JSON text for people's eyes.
enum JSONText {
  /// Puts line breaks and indentation into compact, valid JSON, as Go's MarshalIndent does.
  static func indented(_ compact: [UInt8], by indentation: String) -> String {
    var output: [UInt8] = []
    output.reserveCapacity(compact.count * 2)
    let step = Array(indentation.utf8)
    var depth = 0
    func newLine() {
      output.append(UInt8(ascii: "\n"))
      for _ in 0..<depth { output += step }
    }
    var isInString = false
    var isEscaped = false
    for (index, byte) in compact.enumerated() {
      if isInString {
        output.append(byte)
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else {
          isInString = byte != UInt8(ascii: "\"")
        }
        continue
      }
      let next = index + 1 < compact.count ? compact[index + 1] : 0
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        output.append(byte)
        depth += 1
        // An empty one stays on its line.
        if next != byte + 2 { newLine() }
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        if index > 0, compact[index - 1] != byte - 2 { newLine() }
        output.append(byte)
      case UInt8(ascii: ","):
        output.append(byte)
        newLine()
      case UInt8(ascii: ":"): output += [byte, UInt8(ascii: " ")]
      default:
        isInString = byte == UInt8(ascii: "\"")
        output.append(byte)
      }
    }
    return String(decoding: output, as: UTF8.self)
  }
}
