/// Headers of the tar archives that `save` writes: regular files and directories, owned by root, without times, so that
/// the same images always give the same bytes.
enum ArchiveHeader {
  static let end = [UInt8](repeating: 0, count: 1024)

  static func file(_ name: String, size: Int64) -> [UInt8] {
    long(name) + block(name, size: size, type: 0x30, mode: "0000644")
  }

  static func directory(_ name: String) -> [UInt8] { block(name, size: 0, type: 0x35, mode: "0000755") }

  /// Zeros after a file of that size.
  static func padding(_ size: Int64) -> [UInt8] { [UInt8](repeating: 0, count: Int((512 - size % 512) % 512)) }

  /// A PAX record in front of names that the header has no room for (SHA-512 digests).
  private static func long(_ name: String) -> [UInt8] {
    guard name.utf8.count > 100 else { return [] }
    let text = " path=\(name)\n"
    // The length counts its own digits.
    var length = text.utf8.count
    while String(length).utf8.count + text.utf8.count != length { length = String(length).utf8.count + text.utf8.count }
    let record = Array("\(length)\(text)".utf8)
    return block("././@PaxHeader", size: Int64(record.count), type: 0x78, mode: "0000644") + record
      + padding(Int64(record.count))
  }

  private static func block(_ name: String, size: Int64, type: UInt8, mode: String) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 512)
    func put(_ text: some Sequence<UInt8>, at offset: Int) {
      for (index, byte) in text.enumerated() { bytes[offset + index] = byte }
    }
    func octal(_ value: Int64, width: Int) -> [UInt8] {
      let digits = Array(String(value, radix: 8).utf8)
      return [UInt8](repeating: 0x30, count: max(0, width - digits.count)) + digits
    }
    put(name.utf8.prefix(100), at: 0)
    put(mode.utf8, at: 100)
    put(octal(0, width: 7), at: 108)
    put(octal(0, width: 7), at: 116)
    if size < 1 << 33 {
      put(octal(size, width: 11), at: 124)
    } else {
      // Base-256 (GNU), which every reader of big archives knows.
      bytes[124] = 0x80
      for index in 0..<8 { bytes[128 + index] = UInt8(truncatingIfNeeded: size >> (56 - 8 * Int64(index))) }
    }
    put(octal(0, width: 11), at: 136)
    bytes[156] = type
    put("ustar\u{0}00".utf8, at: 257)
    put([UInt8](repeating: 0x20, count: 8), at: 148)
    let sum = bytes.reduce(Int64(0)) { $0 + Int64($1) }
    put(octal(sum, width: 6) + [0, 0x20], at: 148)
    return bytes
  }
}
