import Errors
import Glibc
import Linux
import NIOCore
import Synchronization

/// Who gets a channel's frames. Called on the reactor's thread: must return at once.
protocol FrameHandler: AnyObject, Sendable {
  /// - Returns: false to stop reading until ``ShimReactor/resume(_:)``.
  func received(kind: UInt8, tag: UInt16, payload: ByteBuffer) -> Bool
  /// The connection is gone; nothing comes after it.
  func closed()
}

/// One connection to a shim: frames out from any thread, frames in on the reactor's thread.
///
/// The descriptor is closed by the reactor's thread alone, so its number is never used for another file while somebody
/// still reads or writes it: ``close()`` only shuts the socket down.
final class FrameChannel: Sendable {
  static let headerSize = 8
  static let payloadLimit = 1 << 20
  /// Above this much unsent output, ``write(kind:tag:payload:)`` waits.
  static let outboundLimit = 256 * 1024

  enum ReadResult { case drained, more, closed }

  private struct Outbound {
    var buffer = ByteBuffer()
    var waiters: [CheckedContinuation<Void, any Error>] = []
    var closed = false
  }
  private struct Inbound {
    var partial = ByteBuffer()
    var paused = false
  }

  let descriptor: Int32
  let token = Atomic<UInt64>(0)
  private let handler: any FrameHandler
  private let outbound = Mutex(Outbound())
  /// Our side has ended it: what still lies unread has no reader.
  private let abandoned = Atomic(false)
  // Only the reactor's thread takes this lock; it is never contended.
  private let inbound = Mutex(Inbound())

  /// - Parameter socket: connected and non-blocking.
  init(socket: consuming OwnedDescriptor, handler: any FrameHandler) {
    descriptor = socket.release()
    self.handler = handler
  }

  // MARK: Sending

  /// Sends a frame; what the socket does not take at once follows when it can. Does not wait.
  func send(kind: UInt8, tag: UInt16 = 0, payload: [UInt8] = []) throws {
    try payload.withUnsafeBytes { bytes in
      try outbound.withLock { try post(&$0, kind, tag, bytes) }
    }
  }

  /// Sends a frame of stream bytes, and waits while too much is on its way already.
  func write(kind: UInt8, tag: UInt16, payload: ByteBuffer) async throws {
    let full = try payload.withUnsafeReadableBytes { bytes in
      try outbound.withLock { outbound in
        try post(&outbound, kind, tag, bytes)
        return outbound.buffer.readableBytes > Self.outboundLimit
      }
    }
    guard full else { return }
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      let now = outbound.withLock { outbound -> Bool in
        guard !outbound.closed, outbound.buffer.readableBytes > Self.outboundLimit / 2 else { return true }
        outbound.waiters.append(continuation)
        return false
      }
      if now { continuation.resume() }
    }
  }

  private func post(
    _ outbound: inout Outbound, _ kind: UInt8, _ tag: UInt16, _ payload: UnsafeRawBufferPointer
  ) throws {
    guard !outbound.closed else { throw Self.gone }
    guard payload.count <= Self.payloadLimit else {
      throw ApusError(
        .invalidArgument, "A request to the shim has \(payload.count) bytes; the most is \(Self.payloadLimit).")
    }
    let wasEmpty = outbound.buffer.readableBytes == 0
    outbound.buffer.writeInteger(UInt32(payload.count), endianness: .little)
    outbound.buffer.writeInteger(kind)
    outbound.buffer.writeInteger(0 as UInt8)
    outbound.buffer.writeInteger(tag, endianness: .little)
    outbound.buffer.writeBytes(payload)
    if wasEmpty { drain(&outbound) }
  }

  private func drain(_ outbound: inout Outbound) {
    while outbound.buffer.readableBytes > 0 {
      let sent = outbound.buffer.withUnsafeReadableBytes { bytes in
        retrying { Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) }
      }
      // Full: the reactor goes on when there is room. Broken: the reactor hears of it too.
      guard sent > 0 else { return }
      outbound.buffer.moveReaderIndex(forwardBy: sent)
    }
    // Idle connections keep no memory.
    outbound.buffer = ByteBuffer()
  }

  /// There is room in the socket. Reactor's thread.
  func flush() {
    let released = outbound.withLock { outbound -> [CheckedContinuation<Void, any Error>] in
      drain(&outbound)
      guard outbound.buffer.readableBytes <= Self.outboundLimit / 2 else { return [] }
      defer { outbound.waiters = [] }
      return outbound.waiters
    }
    for waiter in released { waiter.resume() }
  }

  /// The process at the other end, as the kernel noted it when it began to listen.
  func peer() throws -> Int32 {
    try outbound.withLock { outbound in
      guard !outbound.closed else { throw Self.gone }
      return try UnixSocket.peer(of: descriptor).process
    }
  }

  /// Ends the connection; the handler hears of it from the reactor.
  func close() {
    // First, so that the event which the shutdown causes finds it: a paused channel reads nothing, nor its end.
    abandoned.store(true, ordering: .releasing)
    outbound.withLock { outbound in
      if !outbound.closed { shutdown(descriptor, Int32(SHUT_RDWR)) }
    }
  }

  // MARK: Receiving, on the reactor's thread

  /// Reads what there is and hands on every complete frame; while reading is stopped, only with `resuming`.
  func readAvailable(_ scratch: UnsafeMutableRawBufferPointer, resuming: Bool) -> ReadResult {
    if abandoned.load(ordering: .acquiring) { return .closed }
    return inbound.withLock { inbound in
      if resuming { inbound.paused = false }
      if inbound.paused { return .drained }
      guard deliver(&inbound) else { return .closed }
      // A few turns at most: others are waiting.
      for _ in 0..<8 {
        if inbound.paused { return .drained }
        let count = retrying { Glibc.recv(descriptor, scratch.baseAddress, scratch.count, 0) }
        if count < 0 { return errno == EAGAIN ? .drained : .closed }
        if count == 0 { return .closed }
        inbound.partial.writeBytes(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
        guard deliver(&inbound) else { return .closed }
      }
      return .more
    }
  }

  /// - Returns: false when the peer does not speak the protocol.
  private func deliver(_ inbound: inout Inbound) -> Bool {
    while !inbound.paused, inbound.partial.readableBytes >= Self.headerSize {
      let start = inbound.partial.readerIndex
      guard
        let length = inbound.partial.getInteger(at: start, endianness: .little, as: UInt32.self),
        let kind = inbound.partial.getInteger(at: start + 4, as: UInt8.self),
        let tag = inbound.partial.getInteger(at: start + 6, endianness: .little, as: UInt16.self),
        length <= Self.payloadLimit
      else { return false }
      guard inbound.partial.readableBytes >= Self.headerSize + Int(length) else { return true }
      inbound.partial.moveReaderIndex(forwardBy: Self.headerSize)
      let payload = inbound.partial.readSlice(length: Int(length)) ?? ByteBuffer()
      if !handler.received(kind: kind, tag: tag, payload: payload) { inbound.paused = true }
    }
    if inbound.partial.readableBytes == 0 {
      inbound.partial = ByteBuffer()
    } else {
      inbound.partial.discardReadBytes()
    }
    return true
  }

  /// Closes the descriptor, once, and tells the handler. Reactor's thread.
  func finish() {
    let waiters = outbound.withLock { outbound -> [CheckedContinuation<Void, any Error>]? in
      guard !outbound.closed else { return nil }
      outbound.closed = true
      outbound.buffer = ByteBuffer()
      Glibc.close(descriptor)
      defer { outbound.waiters = [] }
      return outbound.waiters
    }
    guard let waiters else { return }
    for waiter in waiters { waiter.resume(throwing: Self.gone) }
    handler.closed()
  }

  static var gone: ApusError { ApusError(.unavailable, "The shim of this container has gone away.") }
}
