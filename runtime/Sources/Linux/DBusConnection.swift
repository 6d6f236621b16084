import Errors
import Glibc

/// A connection to a message bus, or straight to a program that speaks D-Bus: one call at a time, and signals.
public final class DBusConnection {
  private let socket: OwnedDescriptor
  private let name: String
  /// Received, and not yet a whole message.
  private var received: [UInt8] = []
  private var serial: UInt32 = 0
  /// Signals that came while something else was waited for.
  private var signals: [DBusMessage] = []
  /// Milliseconds of the monotonic clock after which nothing is waited for any more.
  private var deadline = 0

  /// Signals nobody has asked for yet; more are forgotten, the oldest first.
  private static let mostSignals = 256
  private static let longestLine = 4096

  /// Connects, and says who we are.
  /// - Parameters:
  ///   - path: of a unix socket.
  ///   - isBus: a message bus, which wants to be greeted; not a single program.
  ///   - timeout: milliseconds for each answer.
  public convenience init(path: String, isBus: Bool, timeout: Int = 30_000) throws(ApusError) {
    try self.init(UnixSocket.connect(to: path), name: path, isBus: isBus, timeout: timeout)
  }

  /// The same on a connected socket; `name` is for messages.
  init(_ socket: consuming OwnedDescriptor, name: String, isBus: Bool, timeout: Int) throws(ApusError) {
    self.socket = socket
    self.name = name
    self.timeout = timeout
    try authenticate()
    if isBus {
      _ = try call(
        destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus",
        member: "Hello")
    }
  }

  private let timeout: Int

  /// By the credentials that the kernel tells the other side: without a number, which in a user namespace would be
  /// another one there (D-Bus specification, Authentication Protocol, EXTERNAL).
  private func authenticate() throws(ApusError) {
    beginWaiting()
    try send(Array("\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n".utf8))
    while true {
      let line = try readLine()
      if line.hasPrefix("OK") { return }
      guard line.hasPrefix("DATA") else {
        throw ApusError(.permissionDenied, "\(name) does not let this user in: it says \"\(line.prefix(100))\"")
      }
    }
  }

  private func readLine() throws(ApusError) -> String {
    while true {
      if let end = received.firstIndex(of: 0x0a) {
        defer { received.removeFirst(end + 1) }
        return String(decoding: received[..<end].filter { $0 != 0x0d }, as: UTF8.self)
      }
      guard received.count < Self.longestLine else {
        throw ApusError(.unavailable, "\(name) does not speak D-Bus: its first line has no end")
      }
      try receive()
    }
  }

  /// Calls a method and waits for its answer.
  /// - Throws: ``DBusFailure`` as the cause where the other side answers by an error.
  @discardableResult
  public func call(
    destination: String = "", path: String, interface: String, member: String, _ body: [DBusValue] = []
  ) throws(ApusError) -> [DBusValue] {
    beginWaiting()
    serial += 1
    var message = DBusMessage(.call)
    message.serial = serial
    message.destination = destination
    message.path = path
    message.interface = interface
    message.member = member
    message.body = body
    try send(message.encoded())
    while true {
      guard let answer = try next() else { continue }
      switch answer.kind {
      case .answer where answer.answers == serial: return answer.body
      case .error where answer.answers == serial:
        let reason = answer.body.first?.text ?? answer.errorName
        throw ApusError(
          .internal, "\(member) of \(name) failed: \(reason)",
          cause: DBusFailure(name: answer.errorName, reason: reason))
      case .signal: keep(answer)
      default: break
      }
    }
  }

  /// Waits for a signal for which `isWanted` says so; one that has come since the connection was made will do.
  public func waitForSignal(_ isWanted: (DBusMessage) -> Bool) throws(ApusError) -> DBusMessage {
    beginWaiting()
    if let index = signals.firstIndex(where: isWanted) { return signals.remove(at: index) }
    while true {
      guard let message = try next(), message.kind == .signal else { continue }
      if isWanted(message) { return message }
      keep(message)
    }
  }

  private func keep(_ signal: DBusMessage) {
    if signals.count == Self.mostSignals { signals.removeFirst() }
    signals.append(signal)
  }

  /// The next message; nil for one that means nothing here.
  private func next() throws(ApusError) -> DBusMessage? {
    while true {
      if received.count >= DBusMessage.fixedLength {
        let length = try DBusMessage.length(received.prefix(DBusMessage.fixedLength))
        if received.count >= length {
          defer { received.removeFirst(length) }
          return try DBusMessage(Array(received.prefix(length)))
        }
      }
      try receive()
    }
  }

  // MARK: Bytes

  private func beginWaiting() { deadline = Self.now() + timeout }

  private static func now() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }

  private func receive() throws(ApusError) {
    var wait = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
    let ready = retrying { poll(&wait, 1, Int32(clamping: max(0, deadline - Self.now()))) }
    guard try check(ready, "cannot wait for \(name)") > 0 else {
      throw ApusError(.deadlineExceeded, "\(name) has not answered within \(timeout / 1000) seconds")
    }
    let (bytes, _) = try UnixSocket.receive(on: socket.raw, limit: 16384)
    guard !bytes.isEmpty else { throw ApusError(.unavailable, "\(name) has closed the connection") }
    received += bytes
  }

  private func send(_ bytes: [UInt8]) throws(ApusError) {
    var rest = bytes[...]
    while !rest.isEmpty { rest = rest.dropFirst(try UnixSocket.send(Array(rest), on: socket.raw)) }
  }
}

/// An error that a program has answered by D-Bus.
public struct DBusFailure: Error, Sendable, Equatable {
  /// Such as `org.freedesktop.systemd1.NoSuchUnit`.
  public let name: String
  public let reason: String
}
