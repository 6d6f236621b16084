import Glibc
import Linux

/// Reads what a process writes: one end of a pipe, or the master of its terminal.
final class OutputPump: EventHandler {
  let descriptor: Int32
  /// Called with what was read; valid only during the call.
  var onOutput: (UnsafeRawBufferPointer) -> Void = { _ in }
  /// Called once when nothing more can come.
  var onEnd: () -> Void = {}
  private(set) var hasEnded = false

  private let loop: EventLoop
  private var watch: Watch

  init(_ descriptor: consuming OwnedDescriptor, loop: EventLoop) {
    self.descriptor = descriptor.release()
    self.loop = loop
    watch = Watch(self.descriptor)
    setNonBlocking(self.descriptor)
  }

  deinit { if !hasEnded { close(descriptor) } }

  /// While true the process has to wait once the pipe is full.
  var isPaused = true {
    didSet {
      if !hasEnded { watch.wait(for: isPaused ? [] : .readable, in: loop, self) }
    }
  }

  func handle(_ events: Poller.Events) { _ = pump() }

  /// Reads until there is nothing more for now.
  func drain() {
    while !isPaused, pump() {}
  }

  func end() {
    guard !hasEnded else { return }
    watch.wait(for: [], in: loop, self)
    hasEnded = true
    close(descriptor)
    onEnd()
  }

  private func pump() -> Bool {
    guard !hasEnded else { return false }
    let buffer = Scratch.buffer()
    let count = retrying { read(descriptor, buffer.baseAddress, buffer.count) }
    if count > 0 {
      onOutput(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      return true
    }
    // A terminal says EIO when no process has it open any more.
    if count == 0 || errno != EAGAIN { end() }
    return false
  }
}

/// Writes to the stdin of a process; keeps what it does not take yet.
final class InputSink: EventHandler {
  private static let highWater = 64 * 1024

  /// Called when there is room again.
  var onDrain: () -> Void = {}

  private let descriptor: Int32
  private let loop: EventLoop
  private var watch: Watch
  private var queue: [UInt8] = []
  private var start = 0
  private var isClosing = false
  private var isOpen = true

  init(_ descriptor: consuming OwnedDescriptor, loop: EventLoop) {
    self.descriptor = descriptor.release()
    self.loop = loop
    watch = Watch(self.descriptor)
    setNonBlocking(self.descriptor)
  }

  deinit { if isOpen { Glibc.close(descriptor) } }

  var isCongested: Bool { isOpen && queue.count - start > Self.highWater }

  func write(_ bytes: [UInt8]) {
    // A process that has closed its stdin is no error of the one who types.
    guard isOpen, !isClosing else { return }
    queue.append(contentsOf: bytes)
    flush()
  }

  /// Closes once everything is written.
  func close() {
    isClosing = true
    flush()
  }

  func handle(_ events: Poller.Events) {
    flush()
    if !isCongested { onDrain() }
  }

  private func flush() {
    guard isOpen else { return }
    while start < queue.count {
      let count = queue.withUnsafeBytes { bytes in
        retrying { Glibc.write(descriptor, bytes.baseAddress.map { $0 + start }, bytes.count - start) }
      }
      if count < 0 {
        if errno != EAGAIN { return abandon() }
        return watch.wait(for: .writable, in: loop, self)
      }
      start += count
    }
    queue = []
    start = 0
    watch.wait(for: [], in: loop, self)
    if isClosing { abandon() }
  }

  private func abandon() {
    watch.wait(for: [], in: loop, self)
    isOpen = false
    queue = []
    start = 0
    Glibc.close(descriptor)
  }
}

private func setNonBlocking(_ descriptor: Int32) {
  var enabled: Int32 = 1
  _ = ioctl(descriptor, UInt(FIONBIO), &enabled)
}
