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

  init(_ descriptor: consuming OwnedDescriptor, name: String) {
    self.descriptor = descriptor
    self.name = name
    buffer = .allocate(byteCount: Self.capacity, alignment: 4096)
  }

  deinit { buffer.deallocate() }

  /// Bytes appended so far.
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

  /// Zeros up to a multiple of `alignment`, a power of two no larger than the buffer.
  mutating func pad(to alignment: Int) throws(ApusError) {
    var count = (alignment - Int(position) & (alignment - 1)) & (alignment - 1)
    while count > 0 {
      let room = min(count, Self.capacity - filled)
      memset(buffer + filled, 0, room)
      filled += room
      count -= room
      if filled == Self.capacity { try flush() }
    }
  }

  /// Leaves a hole of `count` bytes.
  mutating func skip(_ count: Int64) throws(ApusError) {
    try flush()
    base += count
  }

  mutating func flush() throws(ApusError) {
    try Self.write(UnsafeRawBufferPointer(start: buffer, count: filled), to: descriptor.raw, at: base, name: name)
    base += Int64(filled)
    filled = 0
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

extension Array where Element == UInt8 {
  /// `withUnsafeBytes` with a typed error, which the standard library's does not have.
  func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withUnsafeBufferPointer { (buffer) throws(Failure) in try body(UnsafeRawBufferPointer(buffer)) }
  }
}
