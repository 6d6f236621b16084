import Errors
import Foundation
import Glibc
import Linux
import Logging
import Netlink
import Synchronization

@testable import Networking

/// Names as the engine would have them.
struct TestNames: NameSource {
  var addresses: [String: [String]] = ["web": ["10.1.2.3", "10.1.2.4", "fd00::3"], "v4only": ["10.1.2.5"]]
  var names: [String: String] = ["10.1.2.3": "web.appnet", "fd00::3": "web.appnet"]

  func addresses(of name: String, family: IPAddress.Family, for instance: String) -> [IPAddress]? {
    addresses[name]?.compactMap { IPAddress($0) }.filter { $0.family == family }
  }
  func name(of address: IPAddress, for instance: String) -> String? { names[address.description] }
}

/// A blocking socket on the loopback interface.
final class TestSocket: Sendable {
  let descriptor: OwnedDescriptor
  let kind: __socket_type

  init(_ kind: __socket_type, flags: UInt32 = 0) throws {
    self.kind = kind
    descriptor = OwnedDescriptor(owning: try check(socket(AF_INET, Int32(kind.rawValue | flags), 0), "socket"))
    var one: Int32 = 1
    if kind == SOCK_STREAM { setsockopt(descriptor.raw, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(4)) }
    var patience = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(descriptor.raw, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  }

  private init(accepted: Int32) {
    kind = SOCK_STREAM
    descriptor = OwnedDescriptor(owning: accepted)
  }

  @discardableResult
  func bind(_ address: String = "127.0.0.1", port: UInt16 = 0) throws -> UInt16 {
    var address = try socketAddress(address, port)
    try check(address.withPointer { Glibc.bind(descriptor.raw, $0, $1) }, "bind")
    if kind == SOCK_STREAM { try check(listen(descriptor.raw, 16), "listen") }
    var bound = SocketAddress()
    try check(bound.receive { getsockname(descriptor.raw, $0, $1) }, "getsockname")
    return bound.port
  }

  func connect(_ address: String = "127.0.0.1", port: UInt16) throws {
    var address = try socketAddress(address, port)
    try check(address.withPointer { Glibc.connect(descriptor.raw, $0, $1) }, "connect")
  }

  private func socketAddress(_ address: String, _ port: UInt16) throws -> SocketAddress {
    guard let address = IPAddress(address) else { throw ApusError(.invalidArgument, "no address: \(address)") }
    return SocketAddress(address, port: port)
  }

  func accept() -> TestSocket? {
    var client = SocketAddress()
    let connection = client.receive { Glibc.accept(descriptor.raw, $0, $1) }
    return connection < 0 ? nil : TestSocket(accepted: connection)
  }

  /// With the length in front where it is a stream.
  func send(_ message: [UInt8], to client: SocketAddress? = nil) throws {
    var bytes = message
    if kind == SOCK_STREAM { bytes = [UInt8(message.count >> 8), UInt8(message.count & 0xff)] + message }
    if var client {
      try check(client.withPointer { sendto(descriptor.raw, bytes, bytes.count, 0, $0, $1) }, "sendto")
    } else {
      try check(Glibc.send(descriptor.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL)), "send")
    }
  }

  /// nil: nothing came in time, or the end.
  func receive() -> (message: [UInt8], sender: SocketAddress)? {
    var sender = SocketAddress()
    if kind == SOCK_STREAM {
      guard let length = read(2), let message = read(Int(length.number16(at: 0))) else { return nil }
      return (message, sender)
    }
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = sender.receive { recvfrom(descriptor.raw, &buffer, buffer.count, 0, $0, $1) }
    return count < 0 ? nil : (Array(buffer.prefix(count)), sender)
  }

  private func read(_ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var have = 0
    while have < count {
      let got = bytes.withUnsafeMutableBytes { recv(descriptor.raw, $0.baseAddress.map { $0 + have }, count - have, 0) }
      guard got > 0 else { return nil }
      have += got
    }
    return bytes
  }

  func shutdown() { _ = Glibc.shutdown(descriptor.raw, Int32(SHUT_RDWR)) }
}

/// A name server on the loopback interface that answers as a test says.
final class TestServer: Sendable {
  /// The replies to a query, in their order; `isStream`: it came by TCP.
  typealias Answer = @Sendable (_ query: [UInt8], _ isStream: Bool) -> [[UInt8]]

  let port: UInt16
  private let datagrams: TestSocket
  private let streams: TestSocket
  private let received = Mutex<[[UInt8]]>([])

  /// Everything that was asked so far.
  var queries: [[UInt8]] { received.withLock { $0 } }

  init(_ address: String = "127.0.0.1", port: UInt16 = 0, answer: @escaping Answer) throws {
    (datagrams, streams, self.port) = try Self.open(address, port)
    let (datagrams, streams) = (self.datagrams, self.streams)
    Thread.detachNewThread { [self] in
      while let (query, client) = datagrams.receive() {
        if query.isEmpty { return }
        received.withLock { $0.append(query) }
        for reply in answer(query, false) { try? datagrams.send(reply, to: client) }
      }
    }
    Thread.detachNewThread { [self] in
      while let connection = streams.accept() {
        while let (query, _) = connection.receive() {
          received.withLock { $0.append(query) }
          for reply in answer(query, true) { try? connection.send(reply) }
        }
      }
    }
  }

  /// The same port for both, which others may have for one of them.
  private static func open(_ address: String, _ port: UInt16) throws -> (TestSocket, TestSocket, UInt16) {
    while true {
      let datagrams = try TestSocket(SOCK_DGRAM)
      let streams = try TestSocket(SOCK_STREAM)
      let bound = try datagrams.bind(address, port: port)
      do {
        try streams.bind(address, port: bound)
        return (datagrams, streams, bound)
      } catch let error as ApusError where error.errno == EADDRINUSE && port == 0 {
        continue
      }
    }
  }

  /// Ends its threads.
  func stop() {
    streams.shutdown()
    datagrams.shutdown()
    if let last = try? TestSocket(SOCK_DGRAM), (try? last.connect(port: port)) != nil { try? last.send([]) }
  }

  /// An address for whatever is asked.
  static func address(_ query: [UInt8], _ last: UInt8 = 1, lifetime: UInt32 = 300) -> [UInt8] {
    reply(query, answers: [ResolverReplyTests.record(DNSType.a, lifetime, [10, 9, 9, last])])
  }

  static func reply(
    _ query: [UInt8], code: DNSCode = .noError, flags: DNSHeader.Flags = [], answers: [[UInt8]] = [],
    authorities: [[UInt8]] = []
  ) -> [UInt8] {
    var offset = DNSHeader.size
    guard let question = DNSQuestion(in: query, at: &offset) else { return [] }
    return ResolverReplyTests.message(
      question, id: query.number16(at: 0), code: code, flags: flags, answers: answers, authorities: authorities)
  }
}

/// A resolver whose instance is a client on the loopback interface: no namespace, no rights needed.
final class ResolverFixture {
  let resolver: Resolver
  let port: UInt16
  let streamPort: UInt16

  init(
    _ server: TestServer? = nil, upstreams: [String] = ["127.0.0.1"], forwards: Bool = true,
    names: TestNames = TestNames()
  ) throws {
    let host = upstreams.compactMap { IPAddress($0) }
    resolver = Resolver(source: names, upstreams: { host }, port: server?.port ?? 1, logger: Logger(label: "names"))
    let datagrams = try TestSocket(SOCK_DGRAM, flags: SOCK_NONBLOCK.rawValue)
    let streams = try TestSocket(SOCK_STREAM, flags: SOCK_NONBLOCK.rawValue)
    port = try datagrams.bind()
    streamPort = try streams.bind()
    let sockets = InstanceSockets(
      datagrams: try datagrams.descriptor.duplicate(), streams: try streams.descriptor.duplicate())
    try resolver.serve(ServedRequest(instance: "i", sockets: sockets, upstreams: [], forwards: forwards))
  }

  deinit { resolver.shutdown() }

  func client(_ kind: __socket_type = SOCK_DGRAM) throws -> TestSocket {
    let client = try TestSocket(kind)
    try client.connect(port: kind == SOCK_STREAM ? streamPort : port)
    return client
  }

  /// The answer to one query.
  func ask(
    _ name: String, _ type: UInt16 = DNSType.a, id: UInt16 = 0x1234, extensions: [UInt8]? = nil,
    by kind: __socket_type = SOCK_DGRAM
  ) throws -> Answer {
    let client = try client(kind)
    try client.send(ResolverMessageTests.query(name, type, id: id, extensions: extensions))
    guard let (message, _) = client.receive(), let answer = Answer(message) else {
      throw ApusError(.deadlineExceeded, "no answer for \(name)")
    }
    return answer
  }

  struct Answer {
    let message: [UInt8]
    let header: DNSHeader
    let question: DNSQuestion
    /// The data of addresses.
    var addresses: [String] = []
    var lifetimes: [UInt32] = []
    var code: UInt8 { header.flags.code }

    init?(_ message: [UInt8]) {
      var offset = DNSHeader.size
      guard let header = DNSHeader(message), let question = DNSQuestion(in: message, at: &offset) else { return nil }
      self.message = message
      self.header = header
      self.question = question
      for _ in 0..<header.counts.answers {
        guard let record = DNSRecord(in: message, at: offset) else { return nil }
        if let address = IPAddress(bytes: message[record.data]) { addresses.append(address.description) }
        lifetimes.append(record.timeToLive)
        offset = record.end
      }
    }
  }
}
