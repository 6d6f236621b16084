import Glibc
import Linux

/// One client's connection: messages behind their length, several at once if it likes (RFC 7766).
final class ClientConnection: Watched {
  private static let patience: Milliseconds = 10_000
  /// Answers that the client does not fetch.
  private static let mostUnsent = 256 << 10

  let instance: ServedInstance
  private unowned let loop: ResolverLoop
  private let descriptor: Int32
  private var token: UInt64?
  private var received: [UInt8] = []
  private var unsent: [UInt8] = []
  /// Queries read and not answered yet.
  private var open = 0
  private var events: Poller.Events = .readable
  /// The client has said that it will send no more.
  private var isEnding = false

  /// Takes over the descriptor; nil where it cannot be watched, and it stays the caller's.
  init?(_ descriptor: Int32, of instance: ServedInstance, loop: ResolverLoop) {
    self.instance = instance
    self.loop = loop
    self.descriptor = descriptor
    guard let token = loop.watch(descriptor, .readable, self) else { return nil }
    self.token = token
    loop.expect(token, by: loop.now + Self.patience)
  }

  func close() {
    guard let token else { return }
    self.token = nil
    loop.forget(token, descriptor)
    Glibc.close(descriptor)
    instance.remove(self)
  }

  func expired() { close() }

  func ready(_ events: Poller.Events) {
    guard events.isDisjoint(with: [.error, .hangUp]) else { return close() }
    if events.contains(.writable) { flush() }
    if events.contains(.readable), token != nil { read() }
  }

  private func read() {
    // Room for what may stand at the beginning: a query, and its length.
    let room = DNSQuery.longest + 2 - received.count
    let count = recv(descriptor, loop.scratch.baseAddress, room, 0)
    if count < 0 { return errno == EAGAIN || errno == EINTR ? () : close() }
    if count == 0 {
      isEnding = true
      return settle()
    }
    received += loop.scratch.prefix(count)
    if let token { loop.expect(token, by: loop.now + Self.patience) }
    while received.count >= 2, token != nil {
      let length = Int(received.number16(at: 0))
      guard (DNSHeader.size...DNSQuery.longest).contains(length) else { return close() }
      guard received.count >= length + 2 else { break }
      let message = Array(received[2..<(length + 2)])
      received.removeFirst(length + 2)
      loop.handle(message, from: .stream(self))
    }
    settle()
  }

  /// A query of this connection waits for another server, until ``endWaiting()``.
  func beginWaiting() { open += 1 }

  func endWaiting() {
    open -= 1
    settle()
  }

  func send(_ message: [UInt8]) {
    guard token != nil else { return }
    unsent.append(number: UInt16(message.count))
    unsent += message
    flush()
    if unsent.count > Self.mostUnsent { close() }
  }

  private func flush() {
    guard !unsent.isEmpty else { return }
    let count = unsent.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    if count < 0 {
      guard errno == EAGAIN || errno == EINTR else { return close() }
    } else {
      unsent.removeFirst(count)
    }
    settle()
  }

  /// Closes where nothing is left to do, and waits for what there is.
  private func settle() {
    guard let token else { return }
    if isEnding, open == 0, unsent.isEmpty { return close() }
    var events: Poller.Events = []
    if !isEnding { events.insert(.readable) }
    if !unsent.isEmpty { events.insert(.writable) }
    guard events != self.events else { return }
    self.events = events
    loop.change(token, descriptor, events)
  }
}
