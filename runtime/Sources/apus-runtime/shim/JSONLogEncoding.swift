import Glibc

/// The text of Docker's json-file log: one JSON object per line of output.
enum JSONLogEncoding {
  /// Appends `{"log":"…","stream":"…","time":"…"}` and a line feed.
  static func append(
    _ text: UnsafeRawBufferPointer, stream: StaticString, nanoseconds: Int64, to output: inout [UInt8]
  ) {
    append(#"{"log":""#, to: &output)
    appendEscaped(text, to: &output)
    append(#"","stream":""#, to: &output)
    append(stream, to: &output)
    append(#"","time":""#, to: &output)
    appendTime(nanoseconds, to: &output)
    append("\"}\n", to: &output)
  }

  /// As Go's encoder does: control characters, quotes, `<`, `>`, `&` and the two line separators escaped, what is not
  /// UTF-8 replaced by U+FFFD.
  static func appendEscaped(_ text: UnsafeRawBufferPointer, to output: inout [UInt8]) {
    var copied = 0
    var index = 0
    func flush(upTo end: Int, _ output: inout [UInt8]) {
      if copied < end { output.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[copied..<end])) }
    }
    while index < text.count {
      let byte = text[index]
      if byte < 0x80 {
        if byte >= 0x20, byte != 0x22, byte != 0x5c, byte != 0x3c, byte != 0x3e, byte != 0x26 {
          index += 1
          continue
        }
        flush(upTo: index, &output)
        appendEscape(byte, to: &output)
        index += 1
        copied = index
        continue
      }
      let length = sequenceLength(text, at: index)
      if length == 0 {
        flush(upTo: index, &output)
        append("\\ufffd", to: &output)
        index += 1
        copied = index
      } else if length == 3, byte == 0xe2, text[index + 1] == 0x80, text[index + 2] | 1 == 0xa9 {
        flush(upTo: index, &output)
        append(text[index + 2] == 0xa8 ? "\\u2028" : "\\u2029", to: &output)
        index += 3
        copied = index
      } else {
        index += length
      }
    }
    flush(upTo: text.count, &output)
  }

  /// The length of the well-formed UTF-8 sequence (RFC 3629) at `index`, 0 when there is none.
  static func sequenceLength(_ text: UnsafeRawBufferPointer, at index: Int) -> Int {
    let first = text[index]
    let length: Int
    // The second byte's range keeps out overlong forms, surrogates and what is beyond U+10FFFF.
    var second: ClosedRange<UInt8> = 0x80...0xbf
    switch first {
    case 0x00...0x7f: return 1
    case 0xc2...0xdf: length = 2
    case 0xe0:
      length = 3
      second = 0xa0...0xbf
    case 0xed:
      length = 3
      second = 0x80...0x9f
    case 0xe1...0xef: length = 3
    case 0xf0:
      length = 4
      second = 0x90...0xbf
    case 0xf4:
      length = 4
      second = 0x80...0x8f
    case 0xf1...0xf3: length = 4
    default: return 0
    }
    guard index + length <= text.count, second.contains(text[index + 1]) else { return 0 }
    for following in index + 2..<index + max(length, 2) where text[following] & 0xc0 != 0x80 { return 0 }
    return length
  }

  /// Where to cut `text` so that a character that is not complete yet stays together: at most three bytes before its end.
  static func cut(_ text: UnsafeRawBufferPointer) -> Int {
    var index = text.count
    while index > 0, text.count - index < 3 {
      index -= 1
      let byte = text[index]
      if byte & 0xc0 == 0x80 { continue }
      let expected = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
      return index > 0 && expected > text.count - index ? index : text.count
    }
    return text.count
  }

  /// RFC 3339 in UTC with as many digits of the second's fraction as needed.
  static func appendTime(_ nanoseconds: Int64, to output: inout [UInt8]) {
    let seconds = nanoseconds / 1_000_000_000
    let (days, second) = (seconds / 86400, seconds % 86400)
    // Days since 1970 to a date, with years that begin in March so that the leap day comes last.
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    appendDigits(yearOfEra + era * 400 + (month <= 2 ? 1 : 0), 4, to: &output)
    output.append(UInt8(ascii: "-"))
    appendDigits(month, 2, to: &output)
    output.append(UInt8(ascii: "-"))
    appendDigits(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1, 2, to: &output)
    output.append(UInt8(ascii: "T"))
    appendDigits(second / 3600, 2, to: &output)
    output.append(UInt8(ascii: ":"))
    appendDigits(second / 60 % 60, 2, to: &output)
    output.append(UInt8(ascii: ":"))
    appendDigits(second % 60, 2, to: &output)
    var fraction = nanoseconds % 1_000_000_000
    if fraction != 0 {
      var width = 9
      while fraction % 10 == 0 {
        fraction /= 10
        width -= 1
      }
      output.append(UInt8(ascii: "."))
      appendDigits(fraction, width, to: &output)
    }
    output.append(UInt8(ascii: "Z"))
  }

  /// Nanoseconds since 1970.
  static var now: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  private static func appendEscape(_ byte: UInt8, to output: inout [UInt8]) {
    switch byte {
    case 0x22: append("\\\"", to: &output)
    case 0x5c: append("\\\\", to: &output)
    case 0x0a: append("\\n", to: &output)
    case 0x0d: append("\\r", to: &output)
    case 0x09: append("\\t", to: &output)
    default:
      let hexadecimal: StaticString = "0123456789abcdef"
      append("\\u00", to: &output)
      output.append(hexadecimal.utf8Start[Int(byte >> 4)])
      output.append(hexadecimal.utf8Start[Int(byte & 15)])
    }
  }

  private static func append(_ text: StaticString, to output: inout [UInt8]) {
    output.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  private static func appendDigits(_ value: Int64, _ width: Int, to output: inout [UInt8]) {
    var divisor: Int64 = 1
    for _ in 1..<width { divisor *= 10 }
    while divisor > 0 {
      output.append(UInt8(truncatingIfNeeded: value / divisor % 10) + 0x30)
      divisor /= 10
    }
  }
}
