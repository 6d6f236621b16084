import FoundationEssentials
import ImageSpec
import NIOCore

/// One line of a json-file log: `{"log":"…\n","stream":"stdout","time":"…"}`.
enum LogLine {
  /// The entry, or nil where the line is none: half written before a crash, say.
  static func entry(_ line: UnsafeRawBufferPointer) -> LogEntry? {
    var scanner = Scanner(bytes: line)
    guard scanner.skip(0x7b) else { return nil }
    var text: [UInt8]?
    var stream: OutputStream?
    var timestamp: String?
    while true {
      guard let name = scanner.string(), scanner.skip(0x3a) else { return nil }
      if scanner.peek == 0x22 {
        guard let value = scanner.string() else { return nil }
        switch name.count {
        case 3 where name.elementsEqual("log".utf8): text = value
        case 6 where name.elementsEqual("stream".utf8):
          stream = value.elementsEqual("stderr".utf8) ? .stderr : .stdout
        case 4 where name.elementsEqual("time".utf8): timestamp = String(decoding: value, as: UTF8.self)
        default: break
        }
      } else if !scanner.skipValue() {
        return nil
      }
      if scanner.skip(0x2c) { continue }
      guard scanner.skip(0x7d) else { return nil }
      break
    }
    guard let text, let stream, let timestamp, let time = RFC3339.date(timestamp) else { return nil }
    return LogEntry(stream: stream, line: ByteBuffer(bytes: text), time: time, timestamp: timestamp)
  }

  /// When the line was written, without looking at what it says; nil where that is not where it is expected.
  static func time(_ line: UnsafeRawBufferPointer) -> Date? {
    let key = Array(#""time":""#.utf8)
    guard line.count > key.count + 22, line.hasSuffix(#""}"#.utf8) else { return nil }
    let end = line.count - 2
    // As long as a time with nanoseconds and an offset.
    for start in stride(from: end - 20, through: max(key.count, end - 35), by: -1)
    where line[start - key.count..<start].elementsEqual(key) {
      return RFC3339.date(String(decoding: line[start..<end], as: UTF8.self))
    }
    return nil
  }

  /// What little of JSON such lines are made of. Everything is within the line's bounds.
  private struct Scanner {
    let bytes: UnsafeRawBufferPointer
    var position = 0

    var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skip(_ byte: UInt8) -> Bool {
      guard peek == byte else { return false }
      position += 1
      return true
    }

    /// The bytes a string stands for. Unlike text of a specification it may contain NUL.
    mutating func string() -> [UInt8]? {
      guard skip(0x22) else { return nil }
      var result: [UInt8] = []
      var start = position
      while position < bytes.count {
        switch bytes[position] {
        case 0x22:
          result.append(contentsOf: bytes[start..<position])
          position += 1
          return result
        case 0x5c:
          result.append(contentsOf: bytes[start..<position])
          guard escape(&result) else { return nil }
          start = position
        default: position += 1
        }
      }
      return nil
    }

    private mutating func escape(_ result: inout [UInt8]) -> Bool {
      guard position + 1 < bytes.count else { return false }
      position += 2
      switch bytes[position - 1] {
      case 0x6e: result.append(0x0a)
      case 0x74: result.append(0x09)
      case 0x72: result.append(0x0d)
      case 0x62: result.append(0x08)
      case 0x66: result.append(0x0c)
      case 0x22, 0x5c, 0x2f: result.append(bytes[position - 1])
      case 0x75:
        guard var value = unit() else { return false }
        if value & 0xfc00 == 0xd800, position + 1 < bytes.count, bytes[position] == 0x5c, bytes[position + 1] == 0x75 {
          let before = position
          position += 2
          guard let low = unit() else { return false }
          if low & 0xfc00 == 0xdc00 {
            value = 0x10000 + (value & 0x3ff) << 10 + (low & 0x3ff)
          } else {
            position = before
          }
        }
        let scalar = Unicode.Scalar(value) ?? "\u{FFFD}"
        result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
      default: return false
      }
      return true
    }

    private mutating func unit() -> UInt32? {
      guard position + 4 <= bytes.count else { return nil }
      var value: UInt32 = 0
      for byte in bytes[position..<position + 4] {
        switch byte {
        case 0x30...0x39: value = value << 4 | UInt32(byte - 0x30)
        case 0x41...0x46: value = value << 4 | UInt32(byte - 0x41 + 10)
        case 0x61...0x66: value = value << 4 | UInt32(byte - 0x61 + 10)
        default: return nil
        }
      }
      position += 4
      return value
    }

    /// Steps over a value that is no string: other programs' logs have `"attrs":{…}`.
    mutating func skipValue() -> Bool {
      var depth = 0
      while let byte = peek {
        switch byte {
        case 0x22:
          guard string() != nil else { return false }
          continue
        case 0x7b, 0x5b: depth += 1
        case 0x7d, 0x5d:
          if depth == 0 { return true }
          depth -= 1
        case 0x2c where depth == 0: return true
        default: break
        }
        position += 1
      }
      return false
    }
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func hasSuffix(_ suffix: String.UTF8View) -> Bool {
    count >= suffix.count && self[(count - suffix.count)...].elementsEqual(suffix)
  }
}
