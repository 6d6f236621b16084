import Glibc
import Linux
import Netlink

/// One query on its way to other servers, in the daemon's own network namespace.
///
/// Each attempt has a socket and an id of its own, both unpredictable: whoever would forge a reply has to guess both
/// (RFC 5452).
final class Flight: Watched {
  /// For each attempt, and once more for its repetition by TCP.
  private static let patience: Milliseconds = 2000

  private enum Stage {
    case datagram
    case sending
    case receiving
  }

  let query: ForwardedQuery
  var waiters: [(query: DNSQuery, asker: Asker)] = []
  private unowned let forwarder: Forwarder
  private unowned let loop: ResolverLoop
  /// Still to be asked, the current one first.
  private var servers: [IPAddress]
  private var stage = Stage.datagram
  private var descriptor: Int32 = -1
  private var token: UInt64?
  private var id: UInt16 = 0
  /// By TCP: what is still to be sent, or what has come.
  private var bytes: [UInt8] = []
  /// What is better than nothing in the end.
  private var fallback: DNSReply?
  private var code = DNSCode.serverFailure

  init(_ query: ForwardedQuery, order: [IPAddress], for forwarder: Forwarder, on loop: ResolverLoop) {
    self.query = query
    self.forwarder = forwarder
    self.loop = loop
    servers = order
  }

  deinit { closeSocket() }

  /// Ends it without telling anybody.
  func abandon() {
    closeSocket()
    waiters = []
  }

  func start() { attempt() }

  func ready(_ events: Poller.Events) {
    switch stage {
    case .datagram: receiveDatagrams()
    case .sending: sendStream()
    case .receiving: receiveStream()
    }
  }

  func expired() {
    if stage == .datagram, let server = servers.first { forwarder.isSilent(server, at: loop.now) }
    next()
  }

  // MARK: Servers

  /// Asks the first of the servers that can be asked at all.
  private func attempt() {
    while let server = servers.first {
      stage = .datagram
      id = UInt16.random(in: 0 ... .max)
      if connect(to: server, SOCK_DGRAM), send(query.encoded(id: id)), watch(.readable) { return }
      servers.removeFirst()
    }
    finish(fallback)
  }

  private func next() {
    servers.removeFirst()
    attempt()
  }

  private func finish(_ reply: DNSReply?) {
    closeSocket()
    forwarder.finish(self, reply, code: code, at: loop.now)
  }

  // MARK: Sockets

  private func connect(to server: IPAddress, _ kind: __socket_type) -> Bool {
    closeSocket()
    let type = Int32(kind.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    descriptor = socket(server.family == .v4 ? AF_INET : AF_INET6, type, 0)
    guard descriptor >= 0 else { return false }
    // The kernel takes only what comes from there, and chooses the port.
    var address = SocketAddress(server, port: forwarder.port)
    return address.withPointer { Glibc.connect(descriptor, $0, $1) } == 0 || errno == EINPROGRESS
  }

  private func watch(_ events: Poller.Events) -> Bool {
    guard let token = loop.watch(descriptor, events, self) else { return false }
    self.token = token
    loop.expect(token, by: loop.now + Self.patience)
    return true
  }

  private func closeSocket() {
    if let token { loop.forget(token, descriptor) }
    token = nil
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  private func send(_ message: [UInt8]) -> Bool {
    message.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      == message.count
  }

  // MARK: UDP

  private func receiveDatagrams() {
    for _ in 0..<16 {
      let count = recv(descriptor, loop.scratch.baseAddress, loop.scratch.count, 0)
      if count < 0 {
        // Nobody listens there, or there is no way there.
        return errno == EAGAIN || errno == EINTR ? () : next()
      }
      if judge(Array(loop.scratch.prefix(count))) { return }
    }
  }

  /// Returns false for what is not the reply.
  private func judge(_ message: [UInt8]) -> Bool {
    guard let reply = DNSReply(message, id: id, question: query.question) else { return judgeRefusal(message) }
    guard let server = servers.first else { return true }
    forwarder.isAnswering(server)
    if reply.isFailure {
      fallback = fallback ?? reply
      ask(allBut: server)
    } else if reply.isTruncated, stage == .datagram {
      fallback = reply
      repeatByStream(server)
    } else {
      finish(reply)
    }
    return true
  }

  /// Servers that do not understand a query answer with a header alone.
  private func judgeRefusal(_ message: [UInt8]) -> Bool {
    guard let header = DNSHeader(message), header.id == id, header.flags.contains(.response),
      header.counts.questions == 0, header.flags.code != 0, let server = servers.first
    else { return false }
    code = DNSCode(rawValue: header.flags.code) ?? .serverFailure
    ask(allBut: server)
    return true
  }

  /// It has said what it has to say.
  private func ask(allBut server: IPAddress) {
    servers.removeAll { $0 == server }
    attempt()
  }

  // MARK: TCP

  private func repeatByStream(_ server: IPAddress) {
    id = UInt16.random(in: 0 ... .max)
    let message = query.encoded(id: id)
    bytes = []
    bytes.append(number: UInt16(message.count))
    bytes += message
    stage = .sending
    // As much as came by UDP is better than nothing.
    if !connect(to: server, SOCK_STREAM) || !watch(.writable) { finish(fallback) }
  }

  private func sendStream() {
    let count = bytes.withUnsafeBytes {
      Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    if count < 0 { return errno == EAGAIN || errno == EINTR ? () : next() }
    bytes.removeFirst(count)
    guard bytes.isEmpty, let token else { return }
    stage = .receiving
    loop.change(token, descriptor, .readable)
  }

  private func receiveStream() {
    let count = recv(descriptor, loop.scratch.baseAddress, loop.scratch.count, 0)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    guard count > 0 else { return next() }
    bytes += loop.scratch.prefix(count)
    guard bytes.count >= 2 else { return }
    let length = Int(bytes.number16(at: 0))
    guard bytes.count >= length + 2 else { return }
    if !judge(Array(bytes[2..<(length + 2)])) { next() }
  }
}
