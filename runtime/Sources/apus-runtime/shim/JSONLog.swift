import Errors
import Glibc
import Linux
import SandboxProtocol

/// The log file of a container: Docker's json-file format, rotated by size.
///
/// Nothing that happens to the file may stop the container: what cannot be written is dropped, and once writing works
/// again the log says so.
final class JSONLog {
  /// Longer lines become several entries; only the last of them ends with a line feed. The same limit as Docker's.
  static let maximumLine = 16 * 1024
  /// FALLOC_FL_KEEP_SIZE
  private let keepSize: Int32 = 1

  enum Stream: Int {
    case stdout
    case stderr

    var name: StaticString { self == .stdout ? "stdout" : "stderr" }
  }

  private let target: LogTarget
  private var descriptor: Int32
  private var size: Int64
  /// Beginnings of lines whose end has not been seen yet, by stream, and when each began.
  private var partial: [[UInt8]] = [[], []]
  private var partialTime: [Int64] = [0, 0]
  private var output: [UInt8] = []
  private var dropped = 0
  private var dropReason: Int32 = 0

  init(_ target: LogTarget) throws(ApusError) {
    self.target = target
    descriptor = try Self.open(target.path, flags: 0).release()
    size = Int64(lseek(descriptor, 0, SEEK_END))
    removeTornEntry()
  }

  deinit { close(descriptor) }

  /// Writes what is complete of `bytes`; keeps the rest until more comes.
  func append(_ bytes: UnsafeRawBufferPointer, _ stream: Stream) {
    let now = JSONLogEncoding.now
    var rest = bytes
    while let start = rest.baseAddress, !rest.isEmpty {
      let feed = memchr(start, 0x0a, rest.count).map { UnsafeRawPointer($0) - start + 1 }
      let line = UnsafeRawBufferPointer(rebasing: rest[..<(feed ?? rest.count)])
      rest = UnsafeRawBufferPointer(rebasing: rest[line.count...])
      appendLine(line, complete: feed != nil, stream, now)
    }
    flush()
  }

  /// Writes the lines that will not be completed any more.
  func finish() {
    for stream in [Stream.stdout, .stderr] where !partial[stream.rawValue].isEmpty { emitPartial(stream) }
    flush()
  }

  /// Gives memory back that is only worth keeping while there is output.
  func trim() {
    output = []
    for index in partial.indices where partial[index].isEmpty { partial[index] = [] }
  }

  // MARK: Lines

  private func appendLine(_ line: UnsafeRawBufferPointer, complete: Bool, _ stream: Stream, _ now: Int64) {
    let index = stream.rawValue
    var line = line
    while true {
      let room = Self.maximumLine - partial[index].count
      // The line feed itself does not count.
      let fits = line.count - (complete ? 1 : 0) <= room
      if fits, complete, partial[index].isEmpty { return emit(line, stream, now) }
      if partial[index].isEmpty { partialTime[index] = now }
      let part = UnsafeRawBufferPointer(rebasing: line[..<(fits ? line.count : room)])
      partial[index].append(contentsOf: part)
      if fits {
        if complete { emitPartial(stream) }
        return
      }
      line = UnsafeRawBufferPointer(rebasing: line[part.count...])
      splitPartial(stream)
    }
  }

  /// Emits a line that has become too long, up to the last whole character.
  private func splitPartial(_ stream: Stream) {
    let bytes = partial[stream.rawValue]
    partial[stream.rawValue] = []
    bytes.withUnsafeBytes { bytes in
      let cut = JSONLogEncoding.cut(bytes)
      emit(UnsafeRawBufferPointer(rebasing: bytes[..<cut]), stream, partialTime[stream.rawValue])
      partial[stream.rawValue].append(contentsOf: bytes[cut...])
    }
  }

  private func emitPartial(_ stream: Stream) {
    let bytes = partial[stream.rawValue]
    partial[stream.rawValue] = []
    bytes.withUnsafeBytes { emit($0, stream, partialTime[stream.rawValue]) }
  }

  private func emit(_ text: UnsafeRawBufferPointer, _ stream: Stream, _ time: Int64) {
    let start = output.count
    JSONLogEncoding.append(text, stream: stream.name, nanoseconds: time, to: &output)
    let entry = Int64(output.count - start)
    if target.maxSize > 0, size + Int64(start) > 0, size + Int64(output.count) > target.maxSize {
      let pending = Array(output[start...])
      output.removeSubrange(start...)
      flush()
      rotate()
      output = pending
    }
    if output.count >= Scratch.size || entry >= Scratch.size { flush() }
  }

  // MARK: The file

  private func flush() {
    guard !output.isEmpty else { return }
    defer { output.removeAll(keepingCapacity: true) }
    if dropped > 0, !reportLoss() { return countLoss(dropReason) }
    if !write(output) { countLoss(errno) }
  }

  private func countLoss(_ reason: Int32) {
    dropReason = reason
    dropped += output.reduce(0) { $0 + ($1 == 0x0a ? 1 : 0) }
  }

  private func reportLoss() -> Bool {
    // Room for a while: a nearly full disk would otherwise take a notice now and then, and nothing else. File systems
    // that cannot reserve do not stand in the way.
    if fallocate(descriptor, keepSize, off_t(size), off_t(Scratch.size)) < 0, errno != EOPNOTSUPP {
      dropReason = errno
      return false
    }
    var notice: [UInt8] = []
    let text = Array(
      "[apus] \(dropped) log entries were lost because the log file could not be written: \(describe(errno: dropReason))\n"
        .utf8)
    text.withUnsafeBytes {
      JSONLogEncoding.append($0, stream: "stderr", nanoseconds: JSONLogEncoding.now, to: &notice)
    }
    guard write(notice) else {
      dropReason = errno
      return false
    }
    dropped = 0
    return true
  }

  /// All or nothing: half an entry would spoil the one after it too. Leaves errno as the failure set it.
  private func write(_ bytes: [UInt8]) -> Bool {
    let written = bytes.withUnsafeBytes { bytes in retrying { Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    }
    if written == bytes.count {
      size += Int64(written)
      return true
    }
    let reason = written < 0 ? errno : ENOSPC
    if written > 0 { _ = ftruncate(descriptor, off_t(size)) }
    errno = reason
    return false
  }

  private func rotate() {
    if target.maxFiles <= 1 {
      if ftruncate(descriptor, 0) == 0 { size = 0 }
      return
    }
    for number in stride(from: min(target.maxFiles, 1000) - 2, through: 1, by: -1) {
      rename("\(target.path).\(number)", "\(target.path).\(number + 1)")
    }
    rename(target.path, "\(target.path).1")
    // If it fails, the old file goes on under its new name: better too long than lost.
    guard let next = try? Self.open(target.path, flags: O_TRUNC) else { return }
    close(descriptor)
    descriptor = next.release()
    size = 0
  }

  private static func open(_ path: String, flags: Int32) throws(ApusError) -> OwnedDescriptor {
    // Read access for removeTornEntry.
    try Files.open(path, flags: O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | flags, mode: 0o640)
  }

  /// A host that crashed can leave half an entry at the end.
  private func removeTornEntry() {
    guard size > 0 else { return }
    // Every byte of the longest line can become a six-byte escape.
    let window = Int(min(size, Int64(Self.maximumLine * 6 + 256)))
    let start = size - Int64(window)
    var last: UInt8 = 0
    guard pread(descriptor, &last, 1, off_t(size - 1)) == 1, last != 0x0a else { return }
    let tail = [UInt8](unsafeUninitializedCapacity: window) { space, count in
      count = max(0, pread(descriptor, space.baseAddress, window, off_t(start)))
    }
    let end = tail.lastIndex(of: 0x0a).map { start + Int64($0) + 1 } ?? (start == 0 ? 0 : size)
    if ftruncate(descriptor, off_t(end)) == 0 { size = end }
  }
}
