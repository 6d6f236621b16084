import Netlink
import Testing

@testable import Networking

struct ResolverMessageTests {
  /// A query as dig(1) sends it, without the random id.
  static func query(
    _ name: String, _ type: UInt16 = DNSType.a, id: UInt16 = 0x1234, extensions: [UInt8]? = nil
  ) throws -> [UInt8] {
    var message = DNSHeader(id: id, flags: .recursionDesired, additional: extensions == nil ? 0 : 1).bytes
    message += DNSQuestion(name: try #require(DNSName(name)), type: type).wire
    return message + (extensions ?? [])
  }

  static func read(_ message: [UInt8]) throws -> DNSQuery {
    guard case .query(let query) = DNSQuery.read(message) else { throw Unexpected() }
    return query
  }
  struct Unexpected: Error {}

  /// The response code of what is answered at once; nil: it is not answered, or not at once.
  static func refusal(_ message: [UInt8]) -> UInt8? {
    guard case .answered(let answer) = DNSQuery.read(message) else { return nil }
    return DNSHeader(answer)?.flags.code
  }

  @Test func `a query is read as it was sent`() throws {
    var message: [UInt8] = [0xab, 0xcd, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1, 3]
    message += Array("wWw".utf8) + [7] + Array("example".utf8)
    message += [0, 0, 28, 0, 1, 0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 0]
    let query = try Self.read(message)
    #expect(query.id == 0xabcd)
    #expect(query.flags == [.recursionDesired, .authentic])
    #expect(query.question.name.text == "www.example")
    #expect(query.question.name.wire == Array(message[12..<25]))
    #expect(query.question.type == DNSType.aaaa)
    #expect(query.extensions == DNSExtensions(payloadSize: 4096, isSecure: true))
    #expect(query.datagramLimit == 4096)
  }

  @Test func `text becomes a name and comes back`() throws {
    #expect(DNSName("a.b")?.wire == [1, 0x61, 1, 0x62, 0])
    #expect(DNSName("a.b.") == DNSName("a.b"))
    #expect(DNSName("")?.wire == [0])
    #expect(DNSName("A.b")?.text == "a.b")
    #expect(DNSName(String(repeating: "a", count: 63)) != nil)
    #expect(DNSName(String(repeating: "a", count: 64)) == nil)
    #expect(DNSName("a..b") == nil)
    #expect(DNSName(".a") == nil)
    let long = Array(repeating: String(repeating: "a", count: 62), count: 4).joined(separator: ".")
    // 4 × 63 and the root's: 253; two more make 255.
    #expect(DNSName(long)?.wire.count == 253)
    #expect(DNSName(long + ".b")?.wire.count == 255)
    #expect(DNSName(long + ".bc") == nil)
    #expect(DNSName("a b")?.text == nil)
    #expect(DNSName("a\u{0}")?.text == nil)
  }

  @Test func `compressed names lead backwards only`() throws {
    let header = [UInt8](repeating: 0, count: 12)
    func name(_ bytes: [UInt8], at start: Int) -> (DNSName?, Int) {
      var offset = start
      let name = DNSName(in: header + bytes, at: &offset)
      return (name, offset)
    }
    let (name, end) = name([1, 0x61, 0, 1, 0x62, 0xc0, 12, 0xff], at: 15)
    #expect(name?.text == "b.a")
    #expect(end == 19)
    // To itself, forwards, into the header, to one that leads back here.
    for bytes: [UInt8] in [[0xc0, 12], [0xc0, 14, 0], [0xc0, 3], [1, 0x61, 0xc0, 12], [0xc0, 14, 0xc0, 12]] {
      var offset = 12
      #expect(DNSName(in: header + bytes, at: &offset) == nil)
    }
    // Lengths that RFC 1035 reserves, and ends that are missing.
    for bytes: [UInt8] in [[0x40, 0], [0x80, 0], [1], [1, 0x61], [0xc0], []] {
      var offset = 12
      #expect(DNSName(in: header + bytes, at: &offset) == nil)
      #expect(DNSName.end(in: header + bytes, at: 12) == nil)
    }
    // Each pointer adds a label; together they are too long.
    var chain: [UInt8] = [63] + [UInt8](repeating: 0x61, count: 63) + [0]
    var start = 12
    for _ in 0..<4 {
      let next = 12 + chain.count
      chain += [63] + [UInt8](repeating: 0x61, count: 63) + [0xc0 | UInt8(start >> 8), UInt8(start & 0xff)]
      start = next
    }
    var offset = start
    #expect(DNSName(in: header + chain, at: &offset) == nil)
    offset = 12 + 65 + 66
    #expect(DNSName(in: header + chain, at: &offset)?.wire.count == 3 * 64 + 1)
  }

  @Test func `what is no sound query is told so, or nothing at all`() throws {
    let good = try Self.query("web")
    for count in 0..<12 { #expect(DNSQuery.read(Array(good.prefix(count))) == .ignored) }
    for count in 12..<good.count { #expect(Self.refusal(Array(good.prefix(count))) == 1) }
    func changed(_ offset: Int, _ value: UInt8) -> [UInt8] {
      var message = good
      message[offset] = value
      return message
    }
    // A response: answering it could go on for ever.
    #expect(DNSQuery.read(changed(2, 0x81)) == .ignored)
    // Another operation; no question, two, 65,281; an answer, an authority in a query; records that are not there.
    #expect(Self.refusal(changed(2, 0x28)) == 4)
    #expect(Self.refusal(changed(5, 0)) == 1)
    #expect(Self.refusal(changed(5, 2)) == 1)
    #expect(Self.refusal(changed(4, 0xff)) == 1)
    #expect(Self.refusal(changed(7, 1)) == 1)
    #expect(Self.refusal(changed(9, 1)) == 1)
    #expect(Self.refusal(changed(11, 1)) == 1)
    #expect(Self.refusal(changed(10, 0xff)) == 1)
    // The refusal keeps the id, and asks nothing.
    guard case .answered(let answer) = DNSQuery.read(changed(5, 2)) else { throw Unexpected() }
    let flags: DNSHeader.Flags = [.response, .recursionDesired, .code(.formatError)]
    #expect(DNSHeader(answer) == DNSHeader(id: 0x1234, flags: flags, questions: 0))
  }

  @Test func `extensions are taken once and of one version`() throws {
    let own = DNSExtensions().bytes()
    #expect(try Self.read(Self.query("web", extensions: own)).extensions == DNSExtensions())
    var twice = try Self.query("web", extensions: own + own)
    twice[11] = 2
    #expect(Self.refusal(twice) == 1)
    var newer = own
    newer[6] = 1
    guard case .answered(let answer) = DNSQuery.read(try Self.query("web", extensions: newer)) else {
      throw Unexpected()
    }
    // BADVERS is 16: nothing in the header, one in the record.
    #expect(DNSHeader(answer)?.flags.code == 0)
    #expect(answer.suffix(11) == [0, 0, 41, 0x04, 0xd0, 1, 0, 0, 0, 0, 0])
    // Less than every implementation takes is not believed.
    var small = own
    small[3...4] = [0, 10]
    #expect(try Self.read(Self.query("web", extensions: small)).datagramLimit == 512)
  }

  @Test func `answers are as RFC 1035 has them`() throws {
    let query = try Self.read(Self.query("WeB", extensions: nil))
    let addresses = try ["10.0.0.1", "10.0.0.2"].map { try #require(IPAddress($0)) }
    let answer = DNSAnswer(.noError, addresses.map { .address($0) }).encoded(for: query)
    var expected: [UInt8] = [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0, 3]
    expected += Array("WeB".utf8) + [0, 0, 1, 0, 1]
    expected += [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 0, 0, 1]
    expected += [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 0, 0, 2]
    #expect(answer == expected)
  }

  @Test func `what has no room is left out, and the client told`() throws {
    let many = DNSAnswer(.noError, (0..<100).map { .address(IPAddress(v4: 0x0a00_0000 + $0)) })
    for (extensions, limit) in [(nil, 512), (DNSExtensions().bytes(), 1232)] {
      let query = try Self.read(Self.query("web", extensions: extensions))
      let answer = many.encoded(for: query, limit: query.datagramLimit)
      #expect(answer.count <= limit)
      #expect(answer.count > limit - 16)
      let header = try #require(DNSHeader(answer))
      #expect(header.flags.contains(.truncated))
      #expect(header.counts.answers < 100)
      #expect(header.counts.additional == (extensions == nil ? 0 : 1))
      #expect(many.encoded(for: query, limit: 65535).count > 100 * 16)
    }
  }

  @Test func `reverse names are addresses`() throws {
    #expect(ReverseName.address("2.1.18.172.in-addr.arpa") == IPAddress("172.18.1.2"))
    let v6 = "1.0.0.0." + String(repeating: "0.", count: 20) + "8.b.d.0.1.0.0.2.ip6.arpa"
    #expect(ReverseName.address(v6) == IPAddress("2001:db8::1"))
    for name in [
      "1.18.172.in-addr.arpa", "5.2.1.18.172.in-addr.arpa", "256.1.18.172.in-addr.arpa", "02.1.18.172.in-addr.arpa",
      "a.1.18.172.in-addr.arpa", "in-addr.arpa", "ip6.arpa", "10." + v6.dropFirst(2), "g." + v6.dropFirst(2),
      "+1." + v6.dropFirst(2), "2.1.18.172.in-addr.example",
    ] {
      #expect(ReverseName.address(name) == nil, "\(name)")
    }
  }
}
