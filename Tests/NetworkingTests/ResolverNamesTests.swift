import Glibc
import Netlink
import Testing

@testable import Networking

struct ResolverNamesTests {
  @Test func `names of ours are answered in the client's spelling`() throws {
    let fixture = try ResolverFixture()
    for kind in [SOCK_DGRAM, SOCK_STREAM] {
      let answer = try fixture.ask("v4OnLy", id: 7, by: kind)
      #expect(answer.addresses == ["10.1.2.5"])
      #expect(answer.header.id == 7)
      #expect(answer.question.name == DNSName("v4OnLy"))
      #expect(answer.lifetimes == [DNSAnswer.timeToLive])
      #expect(answer.header.flags.contains([.response, .recursionAvailable, .recursionDesired]))
    }
  }

  @Test func `addresses take turns, each name's by itself`() throws {
    let fixture = try ResolverFixture()
    for first in ["10.1.2.3", "10.1.2.4", "10.1.2.3"] {
      // As clients ask: for both families at once.
      #expect(try fixture.ask("web", DNSType.a).addresses.first == first)
      #expect(try fixture.ask("web", DNSType.aaaa).addresses == ["fd00::3"])
    }
    let order = try fixture.ask("web").addresses
    #expect(Set(order) == ["10.1.2.3", "10.1.2.4"])
  }

  @Test func `of other kinds a name of ours has nothing`() throws {
    let fixture = try ResolverFixture()
    // AAAA; MX, TXT, SRV, SVCB, HTTPS, PTR.
    for type in [28, 15, 16, 33, 64, 65, 12] as [UInt16] {
      let answer = try fixture.ask("v4only", type)
      #expect(answer.code == DNSCode.noError.rawValue && answer.header.counts.answers == 0, "\(type)")
    }
    #expect(try fixture.ask("v4only", DNSType.any).addresses == ["10.1.2.5"])
  }

  @Test func `addresses of ours have names`() throws {
    var names = OwnNames(source: TestNames())
    let target = DNSAnswer(.noError, [.name(try #require(DNSName("web.appnet")))])
    let v6 = "3" + String(repeating: ".0", count: 29) + ".d.f.ip6.arpa"
    for name in ["3.2.1.10.in-addr.arpa", "3.2.1.10.IN-ADDR.arpa", v6] {
      let reverse = try #require(DNSName(name))
      #expect(names.answer(DNSQuestion(name: reverse, type: DNSType.ptr), for: "i") == target)
      #expect(names.answer(DNSQuestion(name: reverse, type: DNSType.a), for: "i") == DNSAnswer())
    }
    let other = try #require(DNSName("9.2.1.10.in-addr.arpa"))
    #expect(names.answer(DNSQuestion(name: other, type: DNSType.ptr), for: "i") == nil)
    let root = try #require(DNSName(""))
    #expect(names.answer(DNSQuestion(name: root, type: DNSType.a), for: "i") == nil)
    let own = try #require(DNSName("v4only"))
    #expect(names.answer(DNSQuestion(name: own, type: DNSType.a, recordClass: 3), for: "i") == nil)
  }

  @Test func `without other servers the rest cannot be known`() throws {
    let fixture = try ResolverFixture(forwards: false)
    #expect(try fixture.ask("v4only").addresses == ["10.1.2.5"])
    #expect(try fixture.ask("example.com").code == DNSCode.serverFailure.rawValue)
  }

  @Test func `several queries on a connection, in pieces and after one another`() throws {
    let fixture = try ResolverFixture()
    let client = try fixture.client(SOCK_STREAM)
    var bytes: [UInt8] = []
    for id in 1...20 as ClosedRange<UInt16> {
      let query = try ResolverMessageTests.query("v4only", id: id)
      bytes += [0, UInt8(query.count)] + query
    }
    for piece in stride(from: 0, to: bytes.count, by: 7) {
      let part = Array(bytes[piece..<min(piece + 7, bytes.count)])
      _ = send(client.descriptor.raw, part, part.count, 0)
    }
    for id in 1...20 as ClosedRange<UInt16> {
      let answer = ResolverFixture.Answer(try #require(client.receive()?.message))
      #expect(answer?.header.id == id)
      #expect(answer?.addresses == ["10.1.2.5"])
    }
    // A client that has said all is let go.
    _ = shutdown(client.descriptor.raw, Int32(SHUT_WR))
    #expect(client.receive() == nil)
  }

  @Test func `what is no query ends a connection`() throws {
    let fixture = try ResolverFixture()
    for bytes: [UInt8] in [[0, 0], [0, 11], [0xff, 0xff]] {
      let client = try fixture.client(SOCK_STREAM)
      _ = send(client.descriptor.raw, bytes, bytes.count, 0)
      #expect(client.receive() == nil)
    }
    #expect(try fixture.ask("v4only", by: SOCK_STREAM).addresses == ["10.1.2.5"])
  }

  @Test func `connections beyond the limit are turned away`() throws {
    let fixture = try ResolverFixture()
    let query = try ResolverMessageTests.query("v4only")
    var clients: [TestSocket] = []
    for _ in 0..<ServedInstance.mostConnections {
      let client = try fixture.client(SOCK_STREAM)
      try client.send(query)
      #expect(client.receive() != nil)
      clients.append(client)
    }
    let surplus = try fixture.client(SOCK_STREAM)
    #expect(surplus.receive() == nil)
    #expect(try fixture.ask("v4only").addresses == ["10.1.2.5"])
  }

  @Test func `whoever is not served any more hears nothing`() throws {
    let fixture = try ResolverFixture()
    let client = try fixture.client(SOCK_STREAM)
    try client.send(ResolverMessageTests.query("v4only"))
    #expect(client.receive() != nil)
    fixture.resolver.stop("i")
    #expect(client.receive() == nil)
    fixture.resolver.stop("i")
    fixture.resolver.shutdown()
    fixture.resolver.shutdown()
  }
}
