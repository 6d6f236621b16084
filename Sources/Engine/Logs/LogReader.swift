import Errors
import FoundationEssentials
import Glibc
import Linux

/// Reads an instance's log: `log.N` … `log.1`, `log`, oldest first, and whatever is written while it reads.
///
/// Holds one piece of a file in memory, whatever its size. All of it blocks.
///
/// `@unchecked Sendable`: a cursor with one user; that user may be on another thread from call to call, never on two.
final class LogReader: @unchecked Sendable {
  /// Longer lines are given up; the shim writes none of more than a tenth of it.
  private static let maximumLine = 1 << 20
  private static let piece = 64 << 10
  private static let maximumFiles = 1_000

  private let path: String
  private let since: Date?
  private let until: Date?
  private let streams: Set<OutputStream>
  /// Still to be read, oldest first; the last is, or was, the one that is written.
  private var files: [File] = []
  private var carry: [UInt8] = []
  /// The rest of a line that is too long is skipped.
  private var skipping = false
  /// Where the present ends for somebody who does not follow.
  private var end: (identity: FileIdentity, offset: Int64)?
  /// An entry later than `until` was met.
  private(set) var passedEnd = false

  private struct FileIdentity: Equatable {
    var device: UInt
    var inode: UInt
    init(_ status: stat) {
      device = UInt(status.st_dev)
      inode = UInt(status.st_ino)
    }
  }

  private final class File {
    let descriptor: Int32
    let identity: FileIdentity
    var position: Int64 = 0

    init?(_ path: String) throws(ApusError) {
      do {
        let file = try Files.open(path, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        identity = FileIdentity(try Files.status(file.raw))
        descriptor = file.release()
      } catch  where error.code == .notFound {
        return nil
      }
    }

    deinit { close(descriptor) }

    var size: Int64 { (try? Files.status(descriptor)).map { Int64($0.st_size) } ?? 0 }

    func read(_ count: Int, at offset: Int64) throws(ApusError) -> [UInt8] {
      var got = 0
      let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        got = retrying { pread(descriptor, buffer.baseAddress, count, off_t(offset)) }
        filled = max(0, got)
      }
      try check(got, "cannot read a log")
      return bytes
    }
  }

  /// - Parameters:
  ///   - path: of the file that is written.
  ///   - options: `follow` only decides where ``read()`` stops for now.
  init(path: String, options: LogOptions) throws(ApusError) {
    self.path = path
    // A Date holds a double: one point in time, read from two notations, differs in the seventh decimal.
    since = options.since?.addingTimeInterval(-0.000_000_5)
    until = options.until?.addingTimeInterval(0.000_000_5)
    streams = Set((options.stdout ? [.stdout] : []) + (options.stderr ? [.stderr] : []))
    try open(tail: options.tail.flatMap { $0 < 0 ? nil : $0 })
    if !options.follow { end = files.last.map { ($0.identity, $0.size) } }
  }

  // MARK: Opening

  /// Newest first, so that a rotation meanwhile shows as a file met twice, never as one missed.
  private func open(tail: Int?) throws(ApusError) {
    var missing = tail
    var number = 0
    while number < Self.maximumFiles, missing != 0 || number == 0 {
      guard let file = try File(number == 0 ? path : "\(path).\(number)") else {
        // Between rename and creation there is no current file.
        if number == 0 {
          number += 1
          continue
        }
        break
      }
      number += 1
      if files.contains(where: { $0.identity == file.identity }) { continue }
      if let wanted = missing {
        let (offset, lines) = try Self.tail(of: file, lines: wanted)
        file.position = offset
        missing = wanted - lines
      }
      files.insert(file, at: 0)
    }
  }

  /// Where the last `wanted` lines begin, and how many there are. What has no end yet is not counted.
  private static func tail(of file: File, lines wanted: Int) throws(ApusError) -> (offset: Int64, lines: Int) {
    var end = file.size
    var feeds = 0
    while end > 0 {
      let start = max(0, end - Int64(piece))
      let bytes = try file.read(Int(end - start), at: start)
      for index in bytes.indices.reversed() where bytes[index] == 0x0a {
        if feeds == wanted { return (start + Int64(index) + 1, wanted) }
        feeds += 1
      }
      end = start
    }
    return (0, feeds)
  }

  // MARK: Reading

  /// The next entries, at most a piece of a file; nil where there is nothing more for now.
  func read() throws(ApusError) -> [LogEntry]? {
    while !passedEnd, let file = files.first {
      let bytes = try readPiece(of: file)
      if !bytes.isEmpty {
        let entries = entries(bytes)
        if !entries.isEmpty { return entries }
        continue
      }
      if files.count > 1 {
        next()
        continue
      }
      guard end == nil, try rotated(file) else { return nil }
    }
    // Between rename and creation, or before the first line.
    if files.isEmpty, end == nil, let file = try File(path) {
      files = [file]
      return try read()
    }
    return nil
  }

  private func readPiece(of file: File) throws(ApusError) -> [UInt8] {
    var count = Self.piece
    if let end, end.identity == file.identity { count = Int(max(0, min(Int64(count), end.offset - file.position))) }
    if count == 0 { return [] }
    // Cut to nothing where it is (a log of a single file): what follows is new.
    if files.count == 1, file.size < file.position {
      file.position = 0
      carry = []
      skipping = false
    }
    let bytes = try file.read(count, at: file.position)
    file.position += Int64(bytes.count)
    return bytes
  }

  private func next() {
    files.removeFirst()
    // Nobody will complete it any more.
    carry = []
    skipping = false
  }

  /// Whether the file was renamed; what came after it is then queued.
  private func rotated(_ file: File) throws(ApusError) -> Bool {
    guard let current = try File(path), current.identity != file.identity else { return false }
    // It may have grown before it was renamed.
    if file.size > file.position { return true }
    var newer = [current]
    for number in 1..<Self.maximumFiles {
      guard let older = try File("\(path).\(number)"), older.identity != file.identity else { break }
      if newer.contains(where: { $0.identity == older.identity }) { continue }
      newer.insert(older, at: 0)
    }
    files = [file] + newer
    return true
  }

  private func entries(_ bytes: [UInt8]) -> [LogEntry] {
    var entries: [LogEntry] = []
    bytes.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while let feed = rest.firstIndex(of: 0x0a) {
        let line = UnsafeRawBufferPointer(rebasing: rest[..<feed])
        rest = rest[(feed + 1)...]
        if skipping {
          skipping = false
        } else if carry.isEmpty {
          append(line, to: &entries)
        } else {
          carry.append(contentsOf: line)
          carry.withUnsafeBytes { append($0, to: &entries) }
        }
        carry.removeAll(keepingCapacity: true)
        if passedEnd { return }
      }
      if !skipping { carry.append(contentsOf: rest) }
      if carry.count > Self.maximumLine {
        carry = []
        skipping = true
      }
    }
    return entries
  }

  private func append(_ line: UnsafeRawBufferPointer, to entries: inout [LogEntry]) {
    if let since, let time = LogLine.time(line), time < since { return }
    guard let entry = LogLine.entry(line) else { return }
    if let since, entry.time < since { return }
    if let until, entry.time > until {
      passedEnd = true
      return
    }
    if streams.contains(entry.stream) { entries.append(entry) }
  }
}
