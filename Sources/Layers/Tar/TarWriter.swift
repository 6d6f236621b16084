/// Makes tar headers: ustar, with a PAX header before it for what ustar cannot say.
enum TarWriter {
  /// The header blocks of an entry. Directories should end in a slash.
  static func header(_ entry: TarEntry) -> [UInt8] {
    var records: [UInt8] = []
    var prefix: ArraySlice<UInt8> = []
    var name = entry.path[...]
    if entry.path.count > 100 {
      if let cut = split(entry.path) {
        prefix = entry.path[..<cut]
        name = entry.path[(cut + 1)...]
      } else {
        add("path", entry.path, to: &records)
        name = entry.path.prefix(100)
      }
    }
    if entry.linkTarget.count > 100 { add("linkpath", entry.linkTarget, to: &records) }
    if entry.size > 0o77777777777 { add("size", Array(String(entry.size).utf8), to: &records) }
    if entry.uid > 0o7777777 { add("uid", Array(String(entry.uid).utf8), to: &records) }
    if entry.gid > 0o7777777 { add("gid", Array(String(entry.gid).utf8), to: &records) }
    if entry.modifiedSeconds < 0 || entry.modifiedSeconds > 0o77777777777 || entry.modifiedNanoseconds > 0 {
      add("mtime", Array(time(entry.modifiedSeconds, entry.modifiedNanoseconds).utf8), to: &records)
    }
    for (attribute, value) in entry.attributes {
      add("SCHILY.xattr." + String(decoding: attribute, as: UTF8.self), value, to: &records)
    }
    var result: [UInt8] = []
    if !records.isEmpty {
      var header = TarEntry()
      header.path = Array("PaxHeaders/x".utf8)
      header.mode = 0o644
      header.size = Int64(records.count)
      result = block(header, type: UInt8(ascii: "x"), name: header.path[...], prefix: [])
      result += records
      result.append(contentsOf: repeatElement(0, count: -records.count & (TarReader.blockSize - 1)))
    }
    let type: UInt8 =
      switch entry.kind {
      case .regular: UInt8(ascii: "0")
      case .hardLink: UInt8(ascii: "1")
      case .symbolicLink: UInt8(ascii: "2")
      case .characterDevice: UInt8(ascii: "3")
      case .blockDevice: UInt8(ascii: "4")
      case .directory: UInt8(ascii: "5")
      case .fifo: UInt8(ascii: "6")
      }
    return result + block(entry, type: type, name: name, prefix: prefix)
  }

  /// Zeros behind `size` bytes of data.
  static func padding(of size: Int64) -> Int { Int(-size & Int64(TarReader.blockSize - 1)) }

  static let end = [UInt8](repeating: 0, count: 2 * TarReader.blockSize)

  /// Where a long path can be cut at a slash: at most 155 bytes before it, and 1 to 100 behind.
  private static func split(_ path: [UInt8]) -> Int? {
    guard path.count <= 256 else { return nil }
    let trimmed = path.last == 0x2f ? path.dropLast() : path[...]
    guard let cut = trimmed[max(path.count - 101, 0)...].firstIndex(of: 0x2f), cut > 0, cut <= 155 else { return nil }
    return cut
  }

  private static func time(_ seconds: Int64, _ nanoseconds: UInt32) -> String {
    guard nanoseconds > 0 else { return String(seconds) }
    // The fraction of a PAX time counts away from zero, as in every decimal number.
    let whole = seconds < 0 ? seconds + 1 : seconds
    let fraction = String(seconds < 0 ? 1_000_000_000 - nanoseconds : nanoseconds)
    return (seconds < 0 && whole == 0 ? "-0" : String(whole)) + "." + String(repeating: "0", count: 9 - fraction.count)
      + fraction
  }

  /// `length keyword=value\n`, where the length counts itself.
  private static func add(_ keyword: String, _ value: [UInt8], to records: inout [UInt8]) {
    let rest = keyword.utf8.count + value.count + 3
    var length = rest + String(rest).utf8.count
    length = rest + String(length).utf8.count
    records += Array("\(length) \(keyword)=".utf8) + value + [0x0a]
  }

  private static func block(
    _ entry: TarEntry, type: UInt8, name: ArraySlice<UInt8>, prefix: ArraySlice<UInt8>
  ) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: TarReader.blockSize)
    func put(_ bytes: some Collection<UInt8>, at offset: Int) {
      for (index, byte) in bytes.enumerated() { block[offset + index] = byte }
    }
    func octal(_ value: Int64, at offset: Int, digits: Int) {
      var rest = value
      for index in stride(from: offset + digits - 1, through: offset, by: -1) {
        block[index] = 0x30 | UInt8(truncatingIfNeeded: rest & 7)
        rest >>= 3
      }
    }
    put(name, at: 0)
    octal(Int64(entry.mode), at: 100, digits: 7)
    octal(entry.uid > 0o7777777 ? 0 : Int64(entry.uid), at: 108, digits: 7)
    octal(entry.gid > 0o7777777 ? 0 : Int64(entry.gid), at: 116, digits: 7)
    octal(entry.size > 0o77777777777 ? 0 : entry.size, at: 124, digits: 11)
    octal(min(max(entry.modifiedSeconds, 0), 0o77777777777), at: 136, digits: 11)
    block[156] = type
    put(entry.linkTarget.prefix(100), at: 157)
    put("ustar".utf8, at: 257)
    put("00".utf8, at: 263)
    octal(Int64(entry.deviceMajor), at: 329, digits: 7)
    octal(Int64(entry.deviceMinor), at: 337, digits: 7)
    put(prefix, at: 345)
    for index in 148..<156 { block[index] = 0x20 }
    octal(block.reduce(0) { $0 + Int64($1) }, at: 148, digits: 6)
    block[154] = 0
    return block
  }
}
