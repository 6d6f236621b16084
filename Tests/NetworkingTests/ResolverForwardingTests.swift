import Glibc
import Linux
import Netlink
import Synchronization
import Testing

@testable import Networking

struct ResolverForwardingTests {
  @Test func `a reply is passed on and kept`() throws {
    let server = try TestServer { query, _ in [TestServer.address(query)] }
    defer { server.stop() }
    let fixture = try ResolverFixture(server)
    for name in ["example.com", "Example.COM", "example.com"] {
      let answer = try fixture.ask(name)
      #expect(answer.addresses == ["10.9.9.1"])
      #expect(answer.question.name == DNSName(name))
    }
    #expect(server.queries.count == 1)
    // Another kind is another question; so is one with extensions.
    _ = try fixture.ask("example.com", DNSType.aaaa)
    _ = try fixture.ask("example.com", extensions: DNSExtensions().bytes())
    #expect(server.queries.count == 3)
    let last = try #require(server.queries.last)
    #expect(last.suffix(11) == DNSExtensions().bytes())
    // Each has an id of its own; the client's is not told.
    #expect(!server.queries.allSatisfy { $0.number16(at: 0) == 0x1234 })
  }

  @Test func `a name that does not exist is told so, single-label names too`() throws {
    let server = try TestServer { query, _ in [TestServer.reply(query, code: .nameError)] }
    defer { server.stop() }
    let fixture = try ResolverFixture(server)
    #expect(try fixture.ask("nowhere").code == DNSCode.nameError.rawValue)
  }

  @Test func `clients that ask the same at once share one query`() throws {
    let server = try TestServer { query, _ in
      usleep(200_000)
      return [TestServer.address(query, lifetime: 0)]
    }
    defer { server.stop() }
    let fixture = try ResolverFixture(server)
    let clients = try (0..<20).map { _ in try fixture.client() }
    for (index, client) in clients.enumerated() {
      try client.send(ResolverMessageTests.query("example.com", id: UInt16(index)))
    }
    for (index, client) in clients.enumerated() {
      let answer = ResolverFixture.Answer(try #require(client.receive()?.message))
      #expect(answer?.header.id == UInt16(index))
      #expect(answer?.addresses == ["10.9.9.1"])
    }
    #expect(server.queries.count == 1)
    // A lifetime of 0: nobody else gets it.
    _ = try fixture.ask("example.com")
    #expect(server.queries.count == 2)
  }

  @Test func `forged replies are not taken`() throws {
    let other = try ResolverReplyTests.question("example.org")
    let server = try TestServer { query, _ in
      var forged = TestServer.address(query, 66)
      forged[0] ^= 1
      let elsewhere = ResolverReplyTests.message(
        other, id: query.number16(at: 0), answers: [ResolverReplyTests.record(DNSType.a, 300, [10, 9, 9, 66])])
      return [[1, 2, 3], query, forged, elsewhere, TestServer.address(query)]
    }
    defer { server.stop() }
    let fixture = try ResolverFixture(server)
    #expect(try fixture.ask("example.com").addresses == ["10.9.9.1"])
    // Nor is what comes from somewhere else, whatever it says: the server answers late, everybody else at once.
    let ports = Mutex<[UInt8]>([])
    let slow = try TestServer { query, _ in
      ports.withLock { $0 = query }
      usleep(300_000)
      return [TestServer.address(query)]
    }
    defer { slow.stop() }
    let another = try ResolverFixture(slow)
    let client = try another.client()
    try client.send(ResolverMessageTests.query("late.example"))
    var query: [UInt8] = []
    while query.isEmpty { query = ports.withLock { $0 } }
    let forger = try TestSocket(SOCK_DGRAM)
    for port in try Self.ephemeralPorts() {
      try? forger.send(TestServer.address(query, 66), to: SocketAddress(IPAddress(v4: 0x7f00_0001), port: port))
    }
    let answer = ResolverFixture.Answer(try #require(client.receive()?.message))
    #expect(answer?.addresses == ["10.9.9.1"])
  }

  /// Of the UDP sockets that are connected: where the forger would have to guess.
  private static func ephemeralPorts() throws -> [UInt16] {
    let table = String(decoding: try Files.read("/proc/net/udp"), as: UTF8.self)
    return table.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard words.count > 3, words[3] == "01" else { return nil }
      return words[1].split(separator: ":").last.flatMap { UInt16($0, radix: 16) }
    }
  }

  @Test func `what does not fit into a datagram is fetched by TCP`() throws {
    let answers = (0..<100).map { ResolverReplyTests.record(DNSType.a, 300, [10, 0, 0, UInt8($0)]) }
    let server = try TestServer { query, isStream in
      [isStream ? TestServer.reply(query, answers: answers) : TestServer.reply(query, flags: .truncated)]
    }
    defer { server.stop() }
    let fixture = try ResolverFixture(server)
    let answer = try fixture.ask("example.com")
    // As much as the client has room for; and all where it asks by TCP itself.
    #expect(answer.header.flags.contains(.truncated))
    #expect(answer.addresses.count == (512 - 29) / 16)
    #expect(try fixture.ask("example.com", by: SOCK_STREAM).addresses.count == 100)
    #expect(server.queries.count == 2)
  }

  @Test func `servers that fail or refuse make way for the next`() throws {
    let first = try TestServer("127.0.0.1") { query, _ in
      [TestServer.reply(query, code: query[13] == UInt8(ascii: "r") ? .refused : .serverFailure)]
    }
    let second = try TestServer("127.0.0.2", port: first.port) { query, _ in
      // One that does not understand, and says so by a header alone.
      [DNSHeader(id: query.number16(at: 0), flags: [.response, .code(.formatError)], questions: 0).bytes]
    }
    let third = try TestServer("127.0.0.4", port: first.port) { query, _ in
      query[13] == UInt8(ascii: "x") ? [TestServer.reply(query, code: .refused)] : [TestServer.address(query, 3)]
    }
    defer { for server in [first, second, third] { server.stop() } }
    // At 127.0.0.3 nobody listens.
    let fixture = try ResolverFixture(first, upstreams: ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"])
    #expect(try fixture.ask("refused.example").addresses == ["10.9.9.3"])
    #expect(try fixture.ask("failed.example").addresses == ["10.9.9.3"])
    // In the end, what the first of them said.
    #expect(try fixture.ask("x.example").code == DNSCode.serverFailure.rawValue)
    #expect([first.queries.count, second.queries.count, third.queries.count] == [3, 3, 3])
  }

  @Test func `a server that is silent is asked last from then on`() throws {
    let first = try TestServer("127.0.0.1") { _, _ in [] }
    let second = try TestServer("127.0.0.2", port: first.port) { query, _ in [TestServer.address(query, 2)] }
    defer { for server in [first, second] { server.stop() } }
    let fixture = try ResolverFixture(first, upstreams: ["127.0.0.1", "127.0.0.2"])
    #expect(try fixture.ask("one.example").addresses == ["10.9.9.2"])
    #expect(try fixture.ask("two.example").addresses == ["10.9.9.2"])
    #expect(first.queries.count == 1)
  }

  @Test func `a lost datagram is sent again, and in the end the client is told`() throws {
    let count = Mutex(0)
    let server = try TestServer { query, _ in
      let number = count.withLock {
        $0 += 1
        return $0
      }
      return number == 2 ? [TestServer.address(query)] : []
    }
    defer { server.stop() }
    let fixture = try ResolverFixture(server)
    #expect(try fixture.ask("one.example").addresses == ["10.9.9.1"])
    #expect(try fixture.ask("two.example").code == DNSCode.serverFailure.rawValue)
    #expect(server.queries.count == 4)
    // None at all.
    let alone = try ResolverFixture(server, upstreams: [])
    #expect(try alone.ask("example.com").code == DNSCode.serverFailure.rawValue)
  }

  @Test func `an instance that asks too much at once is refused`() throws {
    let server = try TestServer { _, _ in [] }
    defer { server.stop() }
    let fixture = try ResolverFixture(server)
    let client = try fixture.client()
    let surplus = 40
    for index in 0..<(ServedInstance.mostWaiting + surplus) {
      try client.send(ResolverMessageTests.query("n\(index).example", id: UInt16(index)))
      // Once this is answered, those before it have been read.
      if index % 32 == 0 { #expect(try fixture.ask("v4only").addresses == ["10.1.2.5"]) }
    }
    var refused: Set<UInt16> = []
    while refused.count < surplus {
      let header = try #require(client.receive().flatMap { DNSHeader($0.message) })
      #expect(header.flags.code == DNSCode.serverFailure.rawValue)
      refused.insert(header.id)
    }
    #expect(refused == Set(UInt16(ServedInstance.mostWaiting)..<UInt16(ServedInstance.mostWaiting + surplus)))
    // Names of ours are answered all the same.
    #expect(try fixture.ask("v4only").addresses == ["10.1.2.5"])
  }

  @Test func `zones and other classes are not asked for`() throws {
    let fixture = try ResolverFixture()
    #expect(try fixture.ask("example.com", DNSType.axfr).code == DNSCode.refused.rawValue)
    #expect(try fixture.ask("example.com", DNSType.ixfr).code == DNSCode.refused.rawValue)
  }
}
