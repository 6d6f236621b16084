import Errors
import Glibc
import Linux
import RuntimeSpec
import SandboxProtocol

/// One connection to the daemon: requests in, replies, events and streams out.
final class Connection: EventHandler {
  /// Above this, those who produce output for the connection pause.
  static let highWater = 128 * 1024
  /// Below this, they go on.
  static let lowWater = 32 * 1024
  /// A peer that lets this much accumulate does not read at all.
  private static let maximum = 4 * Frame.maximumPayload
  /// How many frames are taken before others have their turn.
  private static let turn = 8

  /// Called with each frame; what it answers goes through ``send(_:)``.
  var onFrame: (Connection, Frame) -> Void = { _, _ in }
  /// Called once, after the descriptor has been closed.
  var onClose: (Connection) -> Void = { _ in }
  /// Called when the output has shrunk below ``lowWater``.
  var onDrain: () -> Void = {}

  /// Whether the peer asked for events.
  var isSubscriber = false
  private(set) var isOpen = true

  private let descriptor: Int32
  private let loop: EventLoop
  private var watch: Watch
  private var decoder = FrameDecoder()
  private var output: [UInt8] = []
  private var outputStart = 0
  private var isReading = false
  /// Frames have arrived whose turn has not come.
  private var hasBacklog = false

  init(_ descriptor: consuming OwnedDescriptor, loop: EventLoop) {
    self.descriptor = descriptor.release()
    self.loop = loop
    watch = Watch(self.descriptor)
    updateWatch()
  }

  deinit { if isOpen { Glibc.close(descriptor) } }

  var pendingOutput: Int { output.count - outputStart }
  var isCongested: Bool { pendingOutput > Self.highWater }

  /// While true no more frames are taken: what they are for (a process that does not read its stdin) is not ready.
  var isInputPaused = false {
    didSet {
      guard oldValue != isInputPaused, isOpen else { return }
      if !isInputPaused { takeFrames() }
      updateWatch()
    }
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    watch.wait(for: [], in: loop, self)
    Glibc.close(descriptor)
    output = []
    outputStart = 0
    onClose(self)
  }

  // MARK: Output

  func send(_ frame: Frame) {
    frame.payload.withUnsafeBytes { send(frame.kind, tag: frame.tag, $0) }
  }

  /// Sends a frame whose payload is borrowed. What the socket does not take at once is copied.
  func send(_ kind: FrameKind, tag: UInt16, _ payload: UnsafeRawBufferPointer) {
    guard isOpen else { return }
    var header: [UInt8] = []
    header.reserveCapacity(Frame.headerSize)
    Frame.appendHeader(kind, tag: tag, length: payload.count, to: &header)
    var sent = 0
    if pendingOutput == 0 {
      sent = header.withUnsafeMutableBytes { header in
        var parts = (
          iovec(iov_base: header.baseAddress, iov_len: header.count),
          iovec(iov_base: UnsafeMutableRawPointer(mutating: payload.baseAddress), iov_len: payload.count)
        )
        return withUnsafeBytes(of: &parts) { parts in
          retrying {
            writev(descriptor, parts.assumingMemoryBound(to: iovec.self).baseAddress, payload.isEmpty ? 1 : 2)
          }
        }
      }
      if sent < 0 {
        guard errno == EAGAIN else { return close() }
        sent = 0
      }
    }
    if sent < header.count { output.append(contentsOf: header[sent...]) }
    let done = max(0, sent - header.count)
    if done < payload.count { output.append(contentsOf: payload[done...]) }
    if pendingOutput > Self.maximum { return close() }
    updateWatch()
  }

  private func flush() {
    while pendingOutput > 0 {
      let count = output.withUnsafeBytes { bytes in
        let rest = UnsafeRawBufferPointer(rebasing: bytes[outputStart...])
        return retrying { write(descriptor, rest.baseAddress, rest.count) }
      }
      if count < 0 {
        if errno == EAGAIN { break }
        return close()
      }
      outputStart += count
    }
    if pendingOutput == 0 {
      output = []
      outputStart = 0
    } else if outputStart > Self.highWater {
      output.removeSubrange(..<outputStart)
      outputStart = 0
    }
    if pendingOutput < Self.lowWater { onDrain() }
  }

  // MARK: Input

  func handle(_ events: Poller.Events) {
    if events.contains(.writable) {
      flush()
      // What was left in the decoder because of the congestion.
      takeFrames()
    }
    if isOpen, !events.isDisjoint(with: [.readable, .hangUp, .error]) { read() }
    if isOpen { updateWatch() }
  }

  private func read() {
    guard mayRead, !hasBacklog else { return }
    let buffer = Scratch.buffer()
    let count = retrying { Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
    if count > 0 {
      decoder.append(buffer[..<count])
      takeFrames()
    } else if count == 0 || errno != EAGAIN {
      close()
    }
  }

  private func takeFrames() {
    // A handler may resume the input of its own connection: the loop that is already running takes the rest.
    guard !isReading else { return }
    isReading = true
    defer { isReading = false }
    var taken = 0
    do throws(ApusError) {
      while isOpen, mayRead, taken < Self.turn, let frame = try decoder.next() {
        taken += 1
        onFrame(self, frame)
      }
      if taken == Self.turn, isOpen, mayRead, !hasBacklog {
        hasBacklog = true
        loop.after(0) { [weak self] in self?.takeBacklog() }
      }
    } catch {
      send(Frame(.error, ErrorReply(error)))
      close()
    }
  }

  private func takeBacklog() {
    hasBacklog = false
    takeFrames()
    updateWatch()
  }

  /// A peer that sends requests but does not read the answers is not listened to.
  private var mayRead: Bool { !isInputPaused && pendingOutput <= 2 * Self.highWater }

  private func updateWatch() {
    guard isOpen else { return }
    var events: Poller.Events = []
    if mayRead, !hasBacklog { events.insert(.readable) }
    if pendingOutput > 0 { events.insert(.writable) }
    watch.wait(for: events, in: loop, self)
  }
}
