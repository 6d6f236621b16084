import Errors
import Glibc
import Linux
import Synchronization

/// Names that no other writer uses, in this process or another.
enum TemporaryName {
  private static let counter = Atomic<UInt64>(0)

  static func next(in directory: String) -> String {
    "\(directory)/\(getpid()).\(counter.add(1, ordering: .relaxed).newValue).tmp"
  }
}

/// Appends to a file in large writes: a system call per file of an archive would cost more than its bytes.
struct FileWriter: ~Copyable {
  private static let capacity = 512 << 10
  let descriptor: OwnedDescriptor
  private let name: String
  private let buffer: UnsafeMutableRawPointer
  private var filled = 0
  /// Where the buffer's first byte goes.
  private var base: Int64 = 0

  /// - Parameter position: where the first byte goes.
  init(_ descriptor: consuming OwnedDescriptor, name: String, position: Int64 = 0) {
    self.descriptor = descriptor
    self.name = name
    base = position
    buffer = .allocate(byteCount: Self.capacity, alignment: 4096)
  }

  deinit { buffer.deallocate() }

  /// Where the next byte goes.
  var position: Int64 { base + Int64(filled) }

  mutating func append(_ bytes: UnsafeRawBufferPointer) throws(ApusError) {
    guard var source = bytes.baseAddress else { return }
    var left = bytes.count
    while left > 0 {
      let count = min(left, Self.capacity - filled)
      (buffer + filled).copyMemory(from: source, byteCount: count)
      filled += count
      source += count
      left -= count
      if filled == Self.capacity { try flush() }
    }
  }

  mutating func append(_ bytes: [UInt8]) throws(ApusError) {
    try bytes.withBytes { (buffer) throws(ApusError) in try append(buffer) }
  }

  @inline(__always)
  mutating func append(integer: UInt32) throws(ApusError) {
    if Self.capacity - filled < 4 { try flush() }
    buffer.storeBytes(of: integer.littleEndian, toByteOffset: filled, as: UInt32.self)
    filled += 4
  }

  /// Bytes that were left out.
  private(set) var holes: Int64 = 0
  /// From here on a hole costs less than its zeros: an archive can ask for a great many.
  private static let smallestHole: Int64 = 16 << 10

  /// Zeros up to a multiple of `alignment`, a power of two.
  mutating func pad(to alignment: Int) throws(ApusError) {
    try zeros(-position & Int64(alignment - 1))
  }

  /// Zeros up to an offset that is not behind the position.
  mutating func pad(toOffset offset: Int) throws(ApusError) { try zeros(Int64(offset) - position) }

  /// Many zeros are left as a hole.
  mutating func zeros(_ count: Int64) throws(ApusError) {
    guard count > 0 else { return }
    if count >= Self.smallestHole {
      try flush()
      base += count
      holes += count
      // A hole at the very end belongs to the file too.
      try check(ftruncate(descriptor.raw, off_t(base)), "cannot extend \(name)")
      return
    }
    var left = Int(count)
    while left > 0 {
      let room = min(left, Self.capacity - filled)
      memset(buffer + filled, 0, room)
      filled += room
      left -= room
      if filled == Self.capacity { try flush() }
    }
  }

  /// Replaces bytes that have been flushed.
  func overwrite(_ bytes: [UInt8], at offset: Int64) throws(ApusError) {
    try bytes.withBytes { (buffer) throws(ApusError) in
      try Self.write(buffer, to: descriptor.raw, at: offset, name: name)
    }
  }

  mutating func flush() throws(ApusError) {
    try Self.write(UnsafeRawBufferPointer(start: buffer, count: filled), to: descriptor.raw, at: base, name: name)
    base += Int64(filled)
    filled = 0
  }

  /// Forgets all bytes.
  mutating func restart() throws(ApusError) {
    guard position > 0 else { return }
    try check(ftruncate(descriptor.raw, 0), "cannot empty \(name)")
    filled = 0
    base = 0
  }

  /// pwrite(2) of all of it.
  static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at offset: Int64, name: String
  ) throws(ApusError) {
    guard let start = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let written = retrying { pwrite(descriptor, start + done, bytes.count - done, off_t(offset) + off_t(done)) }
      done += try check(written, "cannot write \(name)")
    }
  }
}

/// Reads a file from its start, a piece at a time, wherever its own position is.
enum FileBytes {
  private static let piece = 1 << 20

  /// - Parameter count: that many bytes, which must be there; nil: to the end.
  static func read(
    _ descriptor: Int32, count: Int64? = nil, name: String,
    _ body: (UnsafeRawBufferPointer) throws(ApusError) -> Void
  ) throws(ApusError) {
    if count == 0 { return }
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: piece, alignment: 4096)
    defer { buffer.deallocate() }
    var offset: Int64 = 0
    while offset < count ?? .max {
      let wanted = Int(min(Int64(piece), (count ?? .max) - offset))
      let got = try check(retrying { pread(descriptor, buffer, wanted, off_t(offset)) }, "cannot read \(name)")
      if got == 0 {
        guard count == nil else { throw ApusError(.internal, "\(name) became shorter while it was read") }
        return
      }
      try body(UnsafeRawBufferPointer(start: buffer, count: got))
      offset += Int64(got)
    }
  }
}

extension Array where Element == UInt8 {
  /// `withUnsafeBytes` with a typed error, which the standard library's does not have.
  func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withUnsafeBufferPointer { (buffer) throws(Failure) in try body(UnsafeRawBufferPointer(buffer)) }
  }
}
