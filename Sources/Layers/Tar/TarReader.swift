import Errors

/// Reads tar archives as they arrive: bytes are pushed in pieces of any size, entries and their data go to a
/// ``TarSink``. ustar, GNU (long names, sparse files), PAX and what old tars wrote, read as Go's archive/tar reads
/// them, for that is what Docker, containerd and skopeo do. Memory is bounded whatever the input says.
struct TarReader {
  /// PAX headers and GNU long names.
  static let extensionLimit = 1 << 20
  /// One block holds 21 fragments; nothing sane has more than a few thousand.
  static let sparseLimit = 1 << 17
  /// Bytes of one file: an EiB is out of every file system's reach, and still far from where numbers end.
  static let fileLimit: Int64 = 1 << 60
  static let blockSize = 512

  private enum State { case header, body, sparseBlock, sparseText, data, padding, firstZeroBlock, ended }

  private var state = State.header
  /// A block of which only a part has arrived.
  private var partial: [UInt8] = []
  /// Bytes of the current data or body that have not come yet, and of the padding behind them.
  private var remaining: Int64 = 0
  private var padding = 0
  private var bodyType: UInt8 = 0
  private var body: [UInt8] = []
  private var longName: [UInt8]?
  private var longLink: [UInt8]?
  private var pax: PAXRecords?
  private var entry = TarEntry()
  private var sparse = SparseMap()
  /// Bytes consumed, for error sentences.
  private(set) var offset: Int64 = 0
  private(set) var entries = 0
  private let entryLimit: Int

  init(entryLimit: Int = .max) {
    self.entryLimit = entryLimit
    partial.reserveCapacity(Self.blockSize)
  }

  /// - Throws: `invalidArgument` where the archive is broken, and whatever the sink throws.
  mutating func consume<Sink: TarSink>(_ bytes: UnsafeRawBufferPointer, into sink: Sink) throws(ApusError) {
    var input = bytes[...]
    while !input.isEmpty {
      let before = input.count
      switch state {
      case .header, .firstZeroBlock, .sparseBlock:
        try consumeBlock(&input, sink)
      case .sparseText:
        try consumeSparseText(&input, sink)
      case .body:
        let count = Int(min(remaining, Int64(input.count)))
        body.append(contentsOf: input.prefix(count))
        input = input.dropFirst(count)
        remaining -= Int64(count)
        if remaining == 0 { try endBody() }
      case .data:
        try consumeData(&input, sink)
      case .padding:
        let count = min(padding, input.count)
        input = input.dropFirst(count)
        padding -= count
        if padding == 0 { state = .header }
      case .ended:
        input = input.suffix(0)
      }
      offset += Int64(before - input.count)
    }
  }

  /// - Throws: when the archive ends in the middle of an entry. An empty archive is one, as is one without its two
  ///   zero blocks.
  func finish() throws(ApusError) {
    guard state == .header || state == .firstZeroBlock || state == .ended, partial.isEmpty, longName == nil,
      longLink == nil, pax == nil
    else { throw broken("it ends in the middle of an entry") }
  }

  private func broken(_ why: String) -> ApusError {
    ApusError(.invalidArgument, "broken tar archive at byte \(offset): \(why)")
  }

  // MARK: Blocks

  private mutating func consumeBlock<Sink: TarSink>(
    _ input: inout UnsafeRawBufferPointer.SubSequence, _ sink: Sink
  ) throws(ApusError) {
    if partial.isEmpty, input.count >= Self.blockSize {
      let block = UnsafeRawBufferPointer(rebasing: input.prefix(Self.blockSize))
      input = input.dropFirst(Self.blockSize)
      return try block.count == Self.blockSize ? use(block, sink) : ()
    }
    let count = min(Self.blockSize - partial.count, input.count)
    partial.append(contentsOf: input.prefix(count))
    input = input.dropFirst(count)
    if partial.count == Self.blockSize {
      let block = partial
      partial.removeAll(keepingCapacity: true)
      try block.withBytes { (block) throws(ApusError) in try use(block, sink) }
    }
  }

  private mutating func use<Sink: TarSink>(_ block: UnsafeRawBufferPointer, _ sink: Sink) throws(ApusError) {
    if state == .sparseBlock { return try useSparseBlock(block, sink) }
    if block[0] == 0, block.allSatisfy({ $0 == 0 }) {
      guard longName == nil, longLink == nil, pax == nil else { throw broken("it ends after an extended header") }
      state = state == .firstZeroBlock ? .ended : .firstZeroBlock
      return
    }
    guard state == .header else { throw broken("one zero block is followed by something else") }
    try verifyChecksum(block)
    let type = block[156]
    let size = try number(block, 124, 12, "size")
    guard size >= 0 else { throw broken("an entry has a size below zero") }
    guard size <= Self.fileLimit else { throw broken("an entry has a size out of range") }
    switch type {
    case UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "g"), UInt8(ascii: "L"), UInt8(ascii: "K"):
      guard size <= Int64(Self.extensionLimit) else { throw broken("an extended header of \(size) bytes") }
      bodyType = type
      body.removeAll(keepingCapacity: true)
      remaining = size
      padding = Self.padding(of: size)
      state = .body
      if size == 0 { try endBody() }
    default:
      try beginEntry(block, type: type, size: size, sink)
    }
  }

  private static func padding(of size: Int64) -> Int { Int(-size & Int64(blockSize - 1)) }

  private func verifyChecksum(_ block: UnsafeRawBufferPointer) throws(ApusError) {
    guard let stated = TarNumber.field(block[148..<156]) else { throw broken("a header's checksum is no number") }
    var unsigned: Int64 = 0
    for byte in block { unsigned += Int64(byte) }
    for byte in block[148..<156] { unsigned += 0x20 - Int64(byte) }
    if unsigned == stated { return }
    // Some old tars added the bytes up as signed.
    var signed = unsigned
    for (index, byte) in block.enumerated() where byte >= 0x80 && !(148..<156).contains(index) { signed -= 256 }
    guard signed == stated else { throw broken("a header's checksum does not match (no tar archive, or damaged)") }
  }

  private func number(
    _ block: UnsafeRawBufferPointer, _ start: Int, _ length: Int, _ what: String
  ) throws(ApusError) -> Int64 {
    guard let value = TarNumber.field(block[start..<(start + length)]) else {
      throw broken("an entry's \(what) is no number")
    }
    return value
  }

  private static func text(_ block: UnsafeRawBufferPointer, _ start: Int, _ length: Int) -> ArraySlice<UInt8> {
    let field = block[start..<(start + length)]
    return ArraySlice(field.prefix { $0 != 0 })
  }

  // MARK: Extended headers

  private mutating func endBody() throws(ApusError) {
    switch bodyType {
    case UInt8(ascii: "L"):
      longName = Array(body.prefix { $0 != 0 })
    case UInt8(ascii: "K"):
      longLink = Array(body.prefix { $0 != 0 })
    case UInt8(ascii: "g"):
      // Defaults for all following entries: as in Go, nobody applies them.
      break
    default:
      var records = pax ?? PAXRecords()
      try records.parse(body, attributeLimit: Self.extensionLimit)
      pax = records
    }
    if body.capacity > 1 << 16 { body = [] }
    state = padding > 0 ? .padding : .header
  }

  // MARK: Entries

  private mutating func beginEntry<Sink: TarSink>(
    _ block: UnsafeRawBufferPointer, type: UInt8, size: Int64, _ sink: Sink
  ) throws(ApusError) {
    entries += 1
    guard entries <= entryLimit else {
      throw ApusError(.resourceExhausted, "the archive has more than \(entryLimit) entries")
    }
    let isUSTAR =
      block[257] == 0x75 && block[258] == 0x73 && block[259] == 0x74 && block[260] == 0x61 && block[261] == 0x72
    let isPOSIX = isUSTAR && block[262] == 0
    entry.path.removeAll(keepingCapacity: true)
    entry.linkTarget.removeAll(keepingCapacity: true)
    if !entry.attributes.isEmpty { entry.attributes.removeAll() }
    if let longName {
      entry.path.append(contentsOf: longName)
    } else {
      if isPOSIX, block[345] != 0 {
        // star keeps times in the end of the prefix, and says so.
        let isStar = block[508] == 0x74 && block[509] == 0x61 && block[510] == 0x72 && block[511] == 0
        entry.path.append(contentsOf: Self.text(block, 345, isStar ? 131 : 155))
        entry.path.append(0x2f)
      }
      entry.path.append(contentsOf: Self.text(block, 0, 100))
    }
    if let longLink {
      entry.linkTarget = longLink
    } else {
      entry.linkTarget.append(contentsOf: Self.text(block, 157, 100))
    }
    entry.mode = UInt16(truncatingIfNeeded: try number(block, 100, 8, "mode") & 0o7777)
    var uid = try number(block, 108, 8, "uid")
    var gid = try number(block, 116, 8, "gid")
    entry.modifiedSeconds = try number(block, 136, 12, "time")
    entry.modifiedNanoseconds = 0
    entry.size = size
    entry.isSparse = false
    var stored = size
    if let pax {
      if let path = pax.path { entry.path = path }
      if let target = pax.linkTarget { entry.linkTarget = target }
      if let size = pax.size { stored = size }
      uid = pax.uid ?? uid
      gid = pax.gid ?? gid
      if let modified = pax.modified {
        entry.modifiedSeconds = modified.seconds
        entry.modifiedNanoseconds = modified.nanoseconds
      }
      entry.attributes = pax.attributes
    }
    guard let uid = UInt32(exactly: uid), let gid = UInt32(exactly: gid) else {
      throw broken("the owner of '\(entry.displayPath)' is out of range")
    }
    guard stored >= 0 else { throw broken("an entry has a size below zero") }
    guard stored <= Self.fileLimit else { throw broken("an entry has a size out of range") }
    entry.uid = uid
    entry.gid = gid
    entry.size = stored
    let kind = try Self.kind(type, path: entry.path)
    guard let kind else {
      // A volume label and the like: nothing of the tree.
      return skip(stored)
    }
    entry.kind = kind
    entry.deviceMajor = 0
    entry.deviceMinor = 0
    if kind == .characterDevice || kind == .blockDevice {
      entry.deviceMajor = UInt32(truncatingIfNeeded: try number(block, 329, 8, "device number"))
      entry.deviceMinor = UInt32(truncatingIfNeeded: try number(block, 337, 8, "device number"))
    }
    if kind != .regular {
      // Other than files carry no data whatever their size says; GNU's directory listings do.
      if type != UInt8(ascii: "D") { stored = 0 }
      entry.size = 0
      forgetExtensions()
      try sink.begin(entry)
      try sink.end()
      return skip(stored)
    }
    remaining = stored
    padding = Self.padding(of: stored)
    try beginFile(block, type: type, sink)
  }

  private mutating func skip(_ stored: Int64) {
    forgetExtensions()
    guard stored > 0 else { return state = .header }
    // Data that belongs to no file is passed over like a fragment that goes nowhere.
    sparse = SparseMap.discarding
    remaining = stored
    padding = Self.padding(of: stored)
    state = .data
  }

  private mutating func forgetExtensions() {
    longName = nil
    longLink = nil
    pax = nil
  }

  /// nil: an entry that stands for nothing in the tree.
  private static func kind(_ type: UInt8, path: [UInt8]) throws(ApusError) -> TarEntry.Kind? {
    switch type {
    case 0: path.last == 0x2f ? .directory : .regular
    case UInt8(ascii: "0"), UInt8(ascii: "7"), UInt8(ascii: "S"): .regular
    case UInt8(ascii: "1"): .hardLink
    case UInt8(ascii: "2"): .symbolicLink
    case UInt8(ascii: "3"): .characterDevice
    case UInt8(ascii: "4"): .blockDevice
    case UInt8(ascii: "5"), UInt8(ascii: "D"): .directory
    case UInt8(ascii: "6"): .fifo
    case UInt8(ascii: "V"): nil
    default:
      throw ApusError(
        .invalidArgument, "the tar archive has an entry of unknown type \(type) named '\(TarEntry.display(path))'")
    }
  }

  private mutating func beginFile<Sink: TarSink>(
    _ block: UnsafeRawBufferPointer, type: UInt8, _ sink: Sink
  ) throws(ApusError) {
    sparse = SparseMap()
    if type == UInt8(ascii: "S") {
      entry.size = try number(block, 483, 12, "size")
      entry.isSparse = true
      forgetExtensions()
      if try sparse.append(block, from: 386, count: 4), block[482] != 0 { return state = .sparseBlock }
      return try startData(sink)
    }
    if let pax, pax.mapIsInData || pax.sparseMap != nil {
      if let name = pax.sparseName { entry.path = name }
      guard let size = pax.sparseSize else { throw broken("a sparse file without its size") }
      entry.size = size
      entry.isSparse = true
      let map = pax.sparseMap
      let inData = pax.mapIsInData
      forgetExtensions()
      if inData { return state = .sparseText }
      try sparse.append(map ?? [])
      return try startData(sink)
    }
    forgetExtensions()
    try startData(sink)
  }

  private mutating func startData<Sink: TarSink>(_ sink: Sink) throws(ApusError) {
    if entry.isSparse {
      try sparse.validate(size: entry.size, stored: remaining, of: entry)
    }
    try sink.begin(entry)
    state = .data
    if remaining == 0 { try endData(sink) }
  }

  // MARK: Data

  private mutating func consumeData<Sink: TarSink>(
    _ input: inout UnsafeRawBufferPointer.SubSequence, _ sink: Sink
  ) throws(ApusError) {
    let count = Int(min(remaining, Int64(input.count)))
    let piece = UnsafeRawBufferPointer(rebasing: input.prefix(count))
    input = input.dropFirst(count)
    remaining -= Int64(count)
    if sparse.isDiscarding {
      // Nothing to do with it.
    } else if entry.isSparse {
      try sparse.emit(piece, sink)
    } else {
      try sink.data(piece)
    }
    if remaining == 0 { try endData(sink) }
  }

  private mutating func endData<Sink: TarSink>(_ sink: Sink) throws(ApusError) {
    if !sparse.isDiscarding {
      if entry.isSparse { try sparse.finish(size: entry.size, sink) }
      try sink.end()
    }
    sparse = SparseMap()
    state = padding > 0 ? .padding : .header
  }

  // MARK: Sparse maps that come as blocks of their own

  private mutating func useSparseBlock<Sink: TarSink>(
    _ block: UnsafeRawBufferPointer, _ sink: Sink
  ) throws(ApusError) {
    if try sparse.append(block, from: 0, count: 21), block[504] != 0 { return }
    try startData(sink)
  }

  private mutating func consumeSparseText<Sink: TarSink>(
    _ input: inout UnsafeRawBufferPointer.SubSequence, _ sink: Sink
  ) throws(ApusError) {
    let count = min(Self.blockSize - partial.count, input.count)
    partial.append(contentsOf: input.prefix(count))
    input = input.dropFirst(count)
    guard partial.count == Self.blockSize else { return }
    let block = partial
    partial.removeAll(keepingCapacity: true)
    // The map is a part of the entry's data.
    remaining -= Int64(Self.blockSize)
    guard remaining >= 0 else { throw broken("a sparse map is longer than its file") }
    if try sparse.append(text: block) { try startData(sink) }
  }
}
