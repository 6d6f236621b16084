import Glibc

/// One entry of a tar archive (POSIX.1-2017, pax).
struct TarEntry: Sendable {
  enum Kind: UInt8, Sendable {
    case file = 0x30
    case hardLink = 0x31
    case symbolicLink = 0x32
    case characterDevice = 0x33
    case blockDevice = 0x34
    case directory = 0x35
    case fifo = 0x36
  }

  var kind: Kind
  var name: String
  var target = ""
  var mode: UInt32 = 0o644
  var owner: UInt32 = 0
  var group: UInt32 = 0
  var size: Int64 = 0
  var modified: Int64 = 0
  var device: (major: UInt32, minor: UInt32) = (0, 0)
}

/// Makes the bytes of entries.
enum TarWriter {
  /// The header of an entry: with what a plain header cannot hold put into a pax header before it.
  static func header(_ entry: TarEntry) -> [UInt8] {
    var records: [(String, String)] = []
    if entry.name.utf8.count > 100 { records.append(("path", entry.name)) }
    if entry.target.utf8.count > 100 { records.append(("linkpath", entry.target)) }
    if entry.size > 0o77_777_777_777 { records.append(("size", String(entry.size))) }
    if entry.owner > 0o7_777_777 { records.append(("uid", String(entry.owner))) }
    if entry.group > 0o7_777_777 { records.append(("gid", String(entry.group))) }
    var bytes: [UInt8] = []
    if !records.isEmpty {
      let body = records.flatMap { record($0.0, $0.1) }
      var extended = TarEntry(kind: .file, name: "pax_header")
      extended.size = Int64(body.count)
      bytes += block(extended, type: UInt8(ascii: "x")) + body + padding(body.count)
    }
    return bytes + block(entry, type: entry.kind.rawValue)
  }

  /// Zeros up to the next block.
  static func padding(_ size: Int) -> [UInt8] { [UInt8](repeating: 0, count: (512 - size % 512) % 512) }

  /// What ends an archive.
  static let end = [UInt8](repeating: 0, count: 1024)

  /// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
  private static func record(_ key: String, _ value: String) -> [UInt8] {
    let rest = " \(key)=\(value)\n"
    var length = rest.utf8.count + 1
    while String(length).utf8.count + rest.utf8.count != length { length = String(length).utf8.count + rest.utf8.count }
    return Array((String(length) + rest).utf8)
  }

  private static func block(_ entry: TarEntry, type: UInt8) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ offset: Int, _ width: Int) {
      for (position, byte) in text.utf8.prefix(width).enumerated() { block[offset + position] = byte }
    }
    func octal(_ value: UInt64, _ offset: Int, _ width: Int) {
      let digits = String(value, radix: 8)
      let text = digits.utf8.count < width ? digits : String(repeating: "7", count: width - 1)
      put(String(repeating: "0", count: width - 1 - text.utf8.count) + text, offset, width)
    }
    put(entry.name, 0, 100)
    octal(UInt64(entry.mode & 0o7777), 100, 8)
    octal(UInt64(entry.owner), 108, 8)
    octal(UInt64(entry.group), 116, 8)
    octal(UInt64(max(0, entry.size)), 124, 12)
    octal(UInt64(max(0, entry.modified)), 136, 12)
    put("        ", 148, 8)
    block[156] = type
    put(entry.target, 157, 100)
    put("ustar", 257, 6)
    put("00", 263, 2)
    octal(UInt64(entry.device.major), 329, 8)
    octal(UInt64(entry.device.minor), 337, 8)
    let sum = block.reduce(0) { $0 + UInt64($1) }
    octal(sum, 148, 7)
    return block
  }
}
