import Errors

/// Reads an archive piece by piece, as it arrives. Everything it keeps is bounded: the archive comes from a container.
struct TarReader {
  /// What is found, in order: an entry, its data in pieces, and the entry's end.
  enum Event {
    case entry(TarEntry)
    case data(ArraySlice<UInt8>)
    case end
  }

  private enum State {
    case header
    case extended(type: UInt8, size: Int)
    case data(remaining: Int64, padding: Int)
    case padding(Int, endsEntry: Bool)
    case finished
  }

  private static let longestExtension = 1 << 20
  private var state = State.header
  private var buffer: [UInt8] = []
  private var overrides: [String: String] = [:]
  private var emptyBlocks = 0

  /// Whether the archive's end has been seen.
  var isFinished: Bool {
    if case .finished = state { return true }
    return false
  }

  mutating func feed(_ bytes: [UInt8], _ found: (Event) throws -> Void) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      switch state {
      case .finished: return
      case .header:
        guard fill(&rest, 512) else { return }
        let block = buffer
        buffer = []
        try header(block, found)
      case .extended(let type, let size):
        guard fill(&rest, size) else { return }
        extend(type, buffer)
        buffer = []
        let padding = (512 - size % 512) % 512
        state = padding == 0 ? .header : .padding(padding, endsEntry: false)
      case .data(let remaining, let padding):
        let part = rest.prefix(Int(min(remaining, Int64(rest.count))))
        rest = rest.dropFirst(part.count)
        try found(.data(part))
        let left = remaining - Int64(part.count)
        if left > 0 {
          state = .data(remaining: left, padding: padding)
        } else if padding > 0 {
          state = .padding(padding, endsEntry: true)
        } else {
          state = .header
          try found(.end)
        }
      case .padding(let count, let endsEntry):
        let part = rest.prefix(count)
        rest = rest.dropFirst(part.count)
        if part.count < count {
          state = .padding(count - part.count, endsEntry: endsEntry)
        } else {
          state = .header
          if endsEntry { try found(.end) }
        }
      }
    }
  }

  /// Collects `count` bytes; false while some are missing.
  private mutating func fill(_ rest: inout ArraySlice<UInt8>, _ count: Int) -> Bool {
    let part = rest.prefix(count - buffer.count)
    buffer += part
    rest = rest.dropFirst(part.count)
    return buffer.count == count
  }

  private mutating func header(_ block: [UInt8], _ found: (Event) throws -> Void) throws {
    if block.allSatisfy({ $0 == 0 }) {
      emptyBlocks += 1
      if emptyBlocks == 2 { state = .finished }
      return
    }
    emptyBlocks = 0
    var sum = 0
    for (position, byte) in block.enumerated() { sum += (148..<156).contains(position) ? 32 : Int(byte) }
    guard Int64(sum) == number(block, 148, 8) else { throw Self.malformed("a header's checksum is wrong") }
    let size = number(block, 124, 12)
    guard size >= 0 else { throw Self.malformed("an entry has a negative size") }
    let type = block[156]
    if [UInt8(ascii: "x"), UInt8(ascii: "g"), UInt8(ascii: "L"), UInt8(ascii: "K")].contains(type) {
      guard size > 0, size <= Self.longestExtension else { throw Self.malformed("an extended header has a bad size") }
      state = .extended(type: type, size: Int(size))
      return
    }
    var entry = TarEntry(kind: .file, name: text(block, 0, 100))
    let prefix = text(block, 345, 155)
    if text(block, 257, 5) == "ustar", !prefix.isEmpty { entry.name = prefix + "/" + entry.name }
    // 0 and 7 are files of old and of contiguous kinds.
    guard let kind = type == 0 || type == UInt8(ascii: "7") ? .file : TarEntry.Kind(rawValue: type) else {
      throw Self.malformed("'\(entry.name)' is of an unknown kind")
    }
    entry.kind = kind
    entry.mode = UInt32(truncatingIfNeeded: number(block, 100, 8)) & 0o7777
    entry.owner = UInt32(truncatingIfNeeded: overrides["uid"].flatMap { Int64($0) } ?? number(block, 108, 8))
    entry.group = UInt32(truncatingIfNeeded: overrides["gid"].flatMap { Int64($0) } ?? number(block, 116, 8))
    entry.modified =
      overrides["mtime"].flatMap { Double($0) }.flatMap { Int64(exactly: $0.rounded(.down)) } ?? number(block, 136, 12)
    entry.target = overrides["linkpath"] ?? text(block, 157, 100)
    entry.name = overrides["path"] ?? entry.name
    entry.device = (
      UInt32(truncatingIfNeeded: number(block, 329, 8)), UInt32(truncatingIfNeeded: number(block, 337, 8))
    )
    entry.size = kind == .file ? overrides["size"].flatMap { Int64($0) } ?? size : 0
    guard entry.size >= 0 else { throw Self.malformed("an entry has a negative size") }
    overrides = [:]
    try found(.entry(entry))
    if entry.size > 0 {
      state = .data(remaining: entry.size, padding: Int((512 - entry.size % 512) % 512))
    } else {
      try found(.end)
    }
  }

  private mutating func extend(_ type: UInt8, _ body: [UInt8]) {
    if type == UInt8(ascii: "L") { overrides["path"] = text(body, 0, body.count) }
    if type == UInt8(ascii: "K") { overrides["linkpath"] = text(body, 0, body.count) }
    guard type == UInt8(ascii: "x") else { return }
    var rest = body[...]
    while let space = rest.firstIndex(of: 0x20),
      let length = Int(String(decoding: rest[rest.startIndex..<space], as: UTF8.self)),
      length > space - rest.startIndex + 1, length <= rest.count
    {
      let record = rest[(space + 1)..<(rest.startIndex + length - 1)]
      if let equals = record.firstIndex(of: UInt8(ascii: "=")) {
        overrides[String(decoding: record[..<equals], as: UTF8.self)] =
          String(decoding: record[(equals + 1)...], as: UTF8.self)
      }
      rest = rest.dropFirst(length)
    }
  }

  private func text(_ block: [UInt8], _ offset: Int, _ width: Int) -> String {
    String(decoding: block[offset..<offset + width].prefix { $0 != 0 }, as: UTF8.self)
  }

  /// Octal digits, or, with the top bit set, a big-endian number.
  private func number(_ block: [UInt8], _ offset: Int, _ width: Int) -> Int64 {
    let field = block[offset..<offset + width]
    if let first = field.first, first & 0x80 != 0 {
      return field.dropFirst(max(1, width - 8)).reduce(Int64(0)) { ($0 & (Int64.max >> 8)) << 8 | Int64($1) }
    }
    var value: Int64 = 0
    for byte in field where (0x30...0x37).contains(byte) { value = value << 3 | Int64(byte - 0x30) }
    return value
  }

  static func malformed(_ what: String) -> ApusError {
    ApusError(.invalidArgument, "The archive cannot be read: \(what).")
  }
}
