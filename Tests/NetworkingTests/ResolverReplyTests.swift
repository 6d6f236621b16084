import Netlink
import Testing

@testable import Networking

struct ResolverReplyTests {
  static let id: UInt16 = 77

  /// A record whose owner is the question's.
  static func record(_ type: UInt16, _ timeToLive: UInt32, _ data: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0xc0, 12]
    bytes.append(number: type)
    bytes.append(number: 1 as UInt16)
    bytes.append(number: timeToLive)
    bytes.append(number: UInt16(data.count))
    return bytes + data
  }

  static func authority(_ timeToLive: UInt32, minimum: UInt32) -> [UInt8] {
    var data: [UInt8] = [0, 0]
    for value: UInt32 in [1, 2, 3, 4, minimum] { data.append(number: value) }
    return record(DNSType.soa, timeToLive, data)
  }

  static func message(
    _ question: DNSQuestion, id: UInt16 = id, code: DNSCode = .noError, flags: DNSHeader.Flags = [],
    answers: [[UInt8]] = [], authorities: [[UInt8]] = [], additional: [[UInt8]] = []
  ) -> [UInt8] {
    DNSHeader(
      id: id, flags: [.response, .recursionDesired, .recursionAvailable, .code(code), flags], answers: answers.count,
      authorities: authorities.count, additional: additional.count
    ).bytes + question.wire + (answers + authorities + additional).flatMap { $0 }
  }

  static func question(_ name: String, _ type: UInt16 = DNSType.a) throws -> DNSQuestion {
    DNSQuestion(name: try #require(DNSName(name)), type: type)
  }

  static func query(_ name: String, extensions: DNSExtensions? = nil) throws -> DNSQuery {
    DNSQuery(id: 5, flags: .recursionDesired, question: try question(name), extensions: extensions)
  }

  @Test func `a reply reaches a client in its own words`() throws {
    let question = try Self.question("example.com")
    let message = Self.message(
      question, answers: [Self.record(DNSType.a, 300, [10, 0, 0, 1])], authorities: [Self.record(2, 40, [0xc0, 12])])
    let reply = try #require(DNSReply(message, id: Self.id, question: question))
    #expect(reply.lifetime == 40)
    let answer = reply.encoded(for: try Self.query("eXample.COM"), age: 10, limit: 512)
    var expected = message
    expected[1] = 5
    expected[0] = 0
    expected.replaceSubrange(12..<25, with: try #require(DNSName("eXample.COM")).wire)
    expected.set(290 as UInt32, at: 29 + 6)
    expected.set(30 as UInt32, at: 29 + 16 + 6)
    #expect(answer == expected)
    // What has outlived itself has nothing left, not four thousand million.
    let old = reply.encoded(for: try Self.query("example.com"), age: 100, limit: 512)
    #expect(old.number32(at: 29 + 16 + 6) == 0)
  }

  @Test func `only the reply to this query is taken`() throws {
    let question = try Self.question("example.com")
    func isTaken(_ message: [UInt8]) -> Bool { DNSReply(message, id: Self.id, question: question) != nil }
    #expect(isTaken(Self.message(question)))
    #expect(isTaken(Self.message(try Self.question("EXAMPLE.com"))))
    #expect(!isTaken(Self.message(question, id: Self.id + 1)))
    #expect(!isTaken(Self.message(try Self.question("example.org"))))
    #expect(!isTaken(Self.message(try Self.question("example.com", DNSType.aaaa))))
    #expect(!isTaken(DNSHeader(id: Self.id, flags: .recursionDesired).bytes + question.wire))
    #expect(!isTaken(DNSHeader(id: Self.id, flags: .response, questions: 0).bytes))
    // Counts that promise more than there is, records that are cut off, two OPT, one among the answers, one
    // of a name.
    #expect(!isTaken(DNSHeader(id: Self.id, flags: .response, answers: 65535).bytes + question.wire))
    let whole = Self.message(question, answers: [Self.record(DNSType.a, 300, [10, 0, 0, 1])])
    for count in 0..<whole.count { #expect(!isTaken(Array(whole.prefix(count)))) }
    let extensions = DNSExtensions().bytes()
    #expect(isTaken(Self.message(question, additional: [extensions])))
    #expect(!isTaken(Self.message(question, additional: [extensions, extensions])))
    #expect(!isTaken(Self.message(question, answers: [extensions])))
    #expect(!isTaken(Self.message(question, additional: [[0xc0, 12] + extensions.dropFirst()])))
    // What comes behind is not passed on.
    #expect(DNSReply(whole + [1, 2, 3], id: Self.id, question: question)?.bytes == whole)
  }

  @Test func `lifetimes follow RFC 2308`() throws {
    let question = try Self.question("example.com")
    func lifetime(_ message: [UInt8]) throws -> UInt32 {
      try #require(DNSReply(message, id: Self.id, question: question)).lifetime
    }
    let address = Self.record(DNSType.a, 300, [10, 0, 0, 1])
    #expect(try lifetime(Self.message(question, answers: [address])) == 300)
    #expect(try lifetime(Self.message(question, answers: [Self.record(DNSType.a, 90_000, [10, 0, 0, 1])])) == 3600)
    #expect(try lifetime(Self.message(question, answers: [Self.record(DNSType.a, 1 << 31 + 9, [10, 0, 0, 1])])) == 0)
    #expect(try lifetime(Self.message(question, flags: .truncated, answers: [address])) == 0)
    #expect(try lifetime(Self.message(question, code: .serverFailure)) == 0)
    // Nothing there: the authority's word, if there is one.
    #expect(try lifetime(Self.message(question)) == 0)
    #expect(try lifetime(Self.message(question, code: .nameError)) == 0)
    for (timeToLive, minimum, expected) in [(60, 30, 30), (30, 60, 30), (9000, 9000, 300)] as [(UInt32, UInt32, UInt32)]
    {
      let authority = Self.authority(timeToLive, minimum: minimum)
      #expect(try lifetime(Self.message(question, code: .nameError, authorities: [authority])) == expected)
      #expect(try lifetime(Self.message(question, authorities: [authority])) == expected)
    }
  }

  @Test func `a reply that is too long keeps the answers that have room`() throws {
    let question = try Self.question("example.com")
    let answers = (0..<100).map { Self.record(DNSType.a, 300, [10, 0, 0, UInt8($0)]) }
    let message = Self.message(question, answers: answers, additional: [DNSExtensions().bytes()])
    let reply = try #require(DNSReply(message, id: Self.id, question: question))
    for (extensions, limit) in [(nil, 512), (DNSExtensions(payloadSize: 1000), 1000)] {
      let answer = reply.encoded(for: try Self.query("example.com", extensions: extensions), age: 0, limit: limit)
      #expect(answer.count <= limit)
      let header = try #require(DNSHeader(answer))
      #expect(header.flags.contains(.truncated))
      #expect(header.counts.answers == (limit - 29 - (extensions == nil ? 0 : 11)) / 16)
      #expect(header.counts.additional == (extensions == nil ? 0 : 1))
      #expect(DNSReply(answer, id: 5, question: question)?.isTruncated == true)
    }
    #expect(reply.encoded(for: try Self.query("example.com"), age: 0, limit: 65535).count == message.count)
  }

  @Test func `the cache has bounds`() throws {
    var cache = ReplyCache(entries: 100, bytes: 50_000)
    func forwarded(_ index: Int) throws -> ForwardedQuery {
      ForwardedQuery(try Self.query("n\(index).example"), servers: [])
    }
    func reply(_ index: Int, padding: Int = 0) throws -> DNSReply {
      let question = try Self.question("n\(index).example")
      let text = Self.record(16, 300, [UInt8](repeating: 0, count: padding))
      return try #require(DNSReply(Self.message(question, answers: [text]), id: Self.id, question: question))
    }
    for index in 0..<1000 {
      cache.store(try reply(index), to: try forwarded(index), at: 0)
      #expect(cache.count <= 100 && cache.bytes <= 50_000)
    }
    #expect(cache.count > 50)
    #expect(cache.reply(to: try forwarded(999), at: 0) != nil)
    #expect(cache.reply(to: try forwarded(0), at: 0) == nil)
    // One that would push out all the others.
    cache.store(try reply(2000, padding: 10_000), to: try forwarded(2000), at: 0)
    #expect(cache.reply(to: try forwarded(2000), at: 0) == nil)
    for index in 0..<100 { cache.store(try reply(index, padding: 2000), to: try forwarded(index), at: 0) }
    #expect(cache.bytes <= 50_000 && cache.count < 30)
    // The same again and again is one.
    for _ in 0..<1000 { cache.store(try reply(5), to: try forwarded(5), at: 0) }
    #expect(cache.bytes <= 50_000)
    // Until its time is over.
    #expect(cache.reply(to: try forwarded(5), at: 299_999)?.age == 299)
    #expect(cache.reply(to: try forwarded(5), at: 300_000) == nil)
    let count = cache.count
    #expect(cache.reply(to: try forwarded(5), at: 0) == nil)
    #expect(cache.count == count)
  }

  @Test func `what is asked differently is not answered from the same reply`() throws {
    let plain = ForwardedQuery(try Self.query("a.example"), servers: [])
    #expect(plain == ForwardedQuery(try Self.query("A.Example"), servers: []))
    #expect(plain != ForwardedQuery(try Self.query("a.example"), servers: [IPAddress(v4: 1)]))
    #expect(plain != ForwardedQuery(try Self.query("a.example", extensions: DNSExtensions()), servers: []))
    let large = DNSExtensions(payloadSize: 4096)
    let secure = DNSExtensions(isSecure: true)
    let extended = ForwardedQuery(try Self.query("a.example", extensions: DNSExtensions()), servers: [])
    #expect(extended == ForwardedQuery(try Self.query("a.example", extensions: large), servers: []))
    #expect(extended != ForwardedQuery(try Self.query("a.example", extensions: secure), servers: []))
  }
}
