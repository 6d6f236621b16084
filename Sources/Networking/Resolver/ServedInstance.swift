import Glibc
import Linux
import Netlink

/// One instance's sockets on the resolver's thread: queries by UDP, and connections.
final class ServedInstance: Watched {
  /// Queries that wait for other servers; more are refused.
  static let mostWaiting = 256
  static let mostConnections = 32
  /// Read before others have their turn.
  private static let batch = 16

  let name: String
  let upstreams: [IPAddress]
  let forwards: Bool
  var waiting = 0
  /// nil: it is not served any more; queries of it may still be under way.
  private var sockets: InstanceSockets?
  private unowned let loop: ResolverLoop
  private var token: UInt64?
  private var listener: Listener?
  private var connections: [ObjectIdentifier: ClientConnection] = [:]

  init(_ request: ServedRequest, loop: ResolverLoop) {
    name = request.instance
    upstreams = request.upstreams
    forwards = request.forwards
    sockets = request.sockets
    self.loop = loop
    token = loop.watch(request.sockets.datagrams.raw, .readable, self)
    listener = Listener(request.sockets.streams.raw, of: self, loop: loop)
  }

  func close() {
    if let token, let sockets { loop.forget(token, sockets.datagrams.raw) }
    token = nil
    listener?.close()
    listener = nil
    for connection in connections.values { connection.close() }
    sockets = nil
  }

  func ready(_ events: Poller.Events) {
    for _ in 0..<Self.batch {
      guard let sockets else { return }
      var sender = SocketAddress()
      let scratch = loop.scratch
      let count = sender.receive { address, size in
        recvfrom(sockets.datagrams.raw, scratch.baseAddress, DNSQuery.longest + 1, 0, address, size)
      }
      if count < 0, errno == EAGAIN { return }
      // An error of an answer sent earlier, or something that is no query.
      guard count > 0, count <= DNSQuery.longest else { continue }
      loop.handle(Array(scratch.prefix(count)), from: .datagram(self, sender))
    }
  }

  func expired() {}

  /// A client whose socket has no room loses the answer, as on any network.
  func send(_ message: [UInt8], to client: SocketAddress) {
    guard let sockets else { return }
    var client = client
    _ = client.withPointer { address, size in
      message.withUnsafeBytes { sendto(sockets.datagrams.raw, $0.baseAddress, $0.count, 0, address, size) }
    }
  }

  fileprivate func add(_ descriptor: Int32) {
    guard connections.count < Self.mostConnections,
      let connection = ClientConnection(descriptor, of: self, loop: loop)
    else {
      Glibc.close(descriptor)
      return
    }
    connections[ObjectIdentifier(connection)] = connection
  }

  func remove(_ connection: ClientConnection) { connections[ObjectIdentifier(connection)] = nil }
}

/// The socket that takes an instance's connections.
private final class Listener: Watched {
  private static let pause: Milliseconds = 500
  private let descriptor: Int32
  private unowned let instance: ServedInstance
  private unowned let loop: ResolverLoop
  private var token: UInt64?

  init(_ descriptor: Int32, of instance: ServedInstance, loop: ResolverLoop) {
    self.descriptor = descriptor
    self.instance = instance
    self.loop = loop
    token = loop.watch(descriptor, .readable, self)
  }

  func close() {
    if let token { loop.forget(token, descriptor) }
    token = nil
  }

  func ready(_ events: Poller.Events) {
    var client = SocketAddress()
    let flags = Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let connection = client.receive { accept4(descriptor, $0, $1, flags) }
    if connection >= 0 { return instance.add(connection) }
    guard let token, errno != EAGAIN, errno != ECONNABORTED, errno != EINTR else { return }
    // No descriptor is left, most likely: what waits keeps waiting, and would be reported at once again.
    loop.change(token, descriptor, [])
    loop.expect(token, by: loop.now + Self.pause)
  }

  func expired() { if let token { loop.change(token, descriptor, .readable) } }
}

/// Who has asked, and how the answer gets there.
enum Asker {
  case datagram(ServedInstance, SocketAddress)
  case stream(ClientConnection)

  var instance: ServedInstance {
    switch self {
    case .datagram(let instance, _): instance
    case .stream(let connection): connection.instance
    }
  }

  /// Its query waits for another server, until ``endWaiting()``.
  func beginWaiting() {
    instance.waiting += 1
    if case .stream(let connection) = self { connection.beginWaiting() }
  }

  func endWaiting() {
    instance.waiting -= 1
    if case .stream(let connection) = self { connection.endWaiting() }
  }

  /// Of an answer.
  func limit(_ query: DNSQuery) -> Int {
    switch self {
    case .datagram: query.datagramLimit
    case .stream: Int(UInt16.max)
    }
  }

  func send(_ message: [UInt8]) {
    switch self {
    case .datagram(let instance, let client): instance.send(message, to: client)
    case .stream(let connection): connection.send(message)
    }
  }
}
