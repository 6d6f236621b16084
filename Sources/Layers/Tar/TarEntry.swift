import Errors

/// One entry of a tar archive, whichever of the formats (ustar, GNU, PAX) said it. Names are bytes: nothing says that
/// they are UTF-8.
struct TarEntry {
  enum Kind: Sendable { case regular, hardLink, symbolicLink, characterDevice, blockDevice, directory, fifo }

  var kind = Kind.regular
  /// As it is in the archive: neither cleaned nor checked.
  var path: [UInt8] = []
  /// Of symbolic links: the text. Of hard links: a path of the archive.
  var linkTarget: [UInt8] = []
  /// Permission bits, with set-id and sticky; no type.
  var mode: UInt16 = 0
  var uid: UInt32 = 0
  var gid: UInt32 = 0
  /// Bytes a reader of the file sees; of a sparse file, holes included.
  var size: Int64 = 0
  var modifiedSeconds: Int64 = 0
  var modifiedNanoseconds: UInt32 = 0
  var deviceMajor: UInt32 = 0
  var deviceMinor: UInt32 = 0
  var isSparse = false
  var attributes: [(name: [UInt8], value: [UInt8])] = []

  /// For error sentences: bounded, and printable whatever it contains.
  var displayPath: String { Self.display(path) }

  static func display(_ path: [UInt8]) -> String {
    let text = String(decoding: path.prefix(200), as: UTF8.self)
    return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "?" : $0 }))
  }
}

/// What becomes of the entries. Calls come in the archive's order: `begin`, for files any number of `data` and `hole`,
/// `end`.
protocol TarSink: AnyObject {
  func begin(_ entry: TarEntry) throws(ApusError)
  func data(_ bytes: UnsafeRawBufferPointer) throws(ApusError)
  func hole(_ count: Int64) throws(ApusError)
  func end() throws(ApusError)
}

/// The numbers of a tar header.
enum TarNumber {
  /// Octal text, or base-256 (GNU) when the first bit is set.
  static func field(_ bytes: UnsafeRawBufferPointer.SubSequence) -> Int64? {
    guard let first = bytes.first else { return nil }
    return first & 0x80 != 0 ? binary(bytes) : octal(bytes)
  }

  private static func binary(_ bytes: UnsafeRawBufferPointer.SubSequence) -> Int64? {
    // Two's complement, big endian; the first bit marks the form and the next is the sign.
    let negative = bytes[bytes.startIndex] & 0x40 != 0
    var value: Int64 = negative ? -1 : 0
    for (index, byte) in bytes.enumerated() {
      let digit = index == 0 ? (negative ? byte | 0x80 : byte & 0x7f) : byte
      let (high, overflow) = value.multipliedReportingOverflow(by: 256)
      if overflow { return nil }
      value = high | Int64(digit)
    }
    return value
  }

  private static func octal(_ bytes: UnsafeRawBufferPointer.SubSequence) -> Int64? {
    var value: Int64 = 0
    var started = false
    var ended = false
    for byte in bytes {
      switch byte {
      case 0x30...0x37:
        if ended || value >> 60 != 0 { return nil }
        started = true
        value = value << 3 | Int64(byte - 0x30)
      case 0x20, 0:
        if started { ended = true }
      default:
        return nil
      }
    }
    return value
  }

  /// A decimal integer, nothing else.
  static func decimal(_ text: ArraySlice<UInt8>) -> Int64? {
    let negative = text.first == 0x2d
    let digits = negative ? text.dropFirst() : text
    guard !digits.isEmpty, digits.count <= 19 else { return nil }
    var value: Int64 = 0
    for byte in digits {
      guard (0x30...0x39).contains(byte) else { return nil }
      let (high, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = high.addingReportingOverflow(Int64(byte - 0x30))
      if overflow || overflow2 { return nil }
      value = sum
    }
    return negative ? -value : value
  }

  /// Seconds with an optional fraction, of which nine digits count: whole seconds rounded down, and nanoseconds.
  static func time(_ text: ArraySlice<UInt8>) -> (seconds: Int64, nanoseconds: UInt32)? {
    let negative = text.first == 0x2d
    guard let dot = text.firstIndex(of: 0x2e) else { return decimal(text).map { ($0, 0) } }
    let whole = text[..<dot]
    guard var seconds = whole.elementsEqual([0x2d]) || whole.isEmpty ? 0 : decimal(whole) else { return nil }
    var nanoseconds: UInt32 = 0
    for (index, byte) in text[text.index(after: dot)...].enumerated() {
      guard (0x30...0x39).contains(byte) else { return nil }
      if index < 9 { nanoseconds = nanoseconds * 10 + UInt32(byte - 0x30) }
    }
    for _ in min(text.endIndex - dot - 1, 9)..<9 { nanoseconds *= 10 }
    if negative, nanoseconds > 0 {
      guard seconds > Int64.min else { return nil }
      seconds -= 1
      nanoseconds = 1_000_000_000 - nanoseconds
    }
    return (seconds, nanoseconds)
  }
}
