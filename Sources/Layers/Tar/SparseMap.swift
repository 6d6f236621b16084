import Errors

/// Where the stored bytes of a sparse file belong; everything between is a hole.
struct SparseMap {
  private var fragments: [(offset: Int64, length: Int64)] = []
  private var current = 0
  /// Bytes of the current fragment that were passed on, and the position in the file.
  private var done: Int64 = 0
  private var position: Int64 = 0
  /// The text form in front of the data (GNU 1.0): numbers still to come, and one begun at a block's end.
  private var expected: Int64?
  private var values: [Int64] = []
  private var digits: [UInt8] = []
  private(set) var isDiscarding = false

  /// For data that no file has.
  static var discarding: SparseMap {
    var map = SparseMap()
    map.isDiscarding = true
    return map
  }

  private static func malformed(_ why: String) -> ApusError {
    ApusError(.invalidArgument, "broken tar archive: a sparse map \(why)")
  }

  private mutating func append(offset: Int64, length: Int64) throws(ApusError) {
    guard fragments.count < TarReader.sparseLimit else { throw Self.malformed("has too many fragments") }
    fragments.append((offset, length))
  }

  /// Pairs of 12-byte numbers. False when the list ended in this block.
  mutating func append(_ block: UnsafeRawBufferPointer, from start: Int, count: Int) throws(ApusError) -> Bool {
    for index in 0..<count {
      let field = start + index * 24
      if block[field] == 0 { return false }
      guard let offset = TarNumber.field(block[field..<(field + 12)]),
        let length = TarNumber.field(block[(field + 12)..<(field + 24)])
      else { throw Self.malformed("has a malformed number") }
      try append(offset: offset, length: length)
    }
    return true
  }

  mutating func append(_ map: [Int64]) throws(ApusError) {
    guard map.count % 2 == 0 else { throw Self.malformed("has an offset without a length") }
    for index in stride(from: 0, to: map.count, by: 2) { try append(offset: map[index], length: map[index + 1]) }
  }

  /// Numbers, each ended by a newline, the first of them the count of pairs. True when complete.
  mutating func append(text block: [UInt8]) throws(ApusError) -> Bool {
    for byte in block {
      guard byte == 0x0a else {
        guard digits.count < 20 else { throw Self.malformed("has a malformed number") }
        digits.append(byte)
        continue
      }
      guard let number = TarNumber.decimal(digits[...]), number >= 0 else {
        throw Self.malformed("has a malformed number")
      }
      digits.removeAll(keepingCapacity: true)
      if let expected {
        _ = expected
        values.append(number)
      } else {
        guard number <= Int64(TarReader.sparseLimit) else { throw Self.malformed("has too many fragments") }
        expected = number * 2
      }
      if Int64(values.count) == expected {
        try append(values)
        values = []
        return true
      }
    }
    return false
  }

  /// In order, inside the file, and as long as what is stored.
  mutating func validate(size: Int64, stored: Int64, of entry: TarEntry) throws(ApusError) {
    guard size <= TarReader.fileLimit else { throw Self.malformed("of '\(entry.displayPath)' is too large") }
    var end: Int64 = 0
    var total: Int64 = 0
    for fragment in fragments {
      guard fragment.offset >= end, fragment.length >= 0, fragment.offset <= size,
        fragment.length <= size - fragment.offset
      else { throw Self.malformed("of '\(entry.displayPath)' is out of order") }
      end = fragment.offset + fragment.length
      total += fragment.length
    }
    guard size >= 0, total == stored else { throw Self.malformed("of '\(entry.displayPath)' does not match its data") }
  }

  mutating func emit<Sink: TarSink>(_ bytes: UnsafeRawBufferPointer, _ sink: Sink) throws(ApusError) {
    var rest = bytes[...]
    while !rest.isEmpty, current < fragments.count {
      let fragment = fragments[current]
      if done == 0, fragment.offset > position {
        try sink.hole(fragment.offset - position)
        position = fragment.offset
      }
      let count = Int(min(fragment.length - done, Int64(rest.count)))
      if count > 0 { try sink.data(UnsafeRawBufferPointer(rebasing: rest.prefix(count))) }
      rest = rest.dropFirst(count)
      done += Int64(count)
      position += Int64(count)
      if done == fragment.length {
        current += 1
        done = 0
      }
    }
  }

  /// The hole at the end.
  mutating func finish<Sink: TarSink>(size: Int64, _ sink: Sink) throws(ApusError) {
    if size > position { try sink.hole(size - position) }
    position = size
  }
}
