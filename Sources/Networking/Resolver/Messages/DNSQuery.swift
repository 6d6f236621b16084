/// What is asked for.
struct DNSQuestion: Hashable, Sendable {
  /// In the case it was written in: some clients check that it comes back so (draft-vixie-dnsext-dns0x20).
  var name: DNSName
  var type: UInt16
  /// 1 is the Internet.
  var recordClass: UInt16

  init(name: DNSName, type: UInt16, recordClass: UInt16 = 1) {
    self.name = name
    self.type = type
    self.recordClass = recordClass
  }

  /// The one at `offset`, which is behind it afterwards.
  init?(in message: [UInt8], at offset: inout Int) {
    guard let name = DNSName(in: message, at: &offset), offset + 4 <= message.count else { return nil }
    self.init(name: name, type: message.number16(at: offset), recordClass: message.number16(at: offset + 2))
    offset += 4
  }

  /// The same for questions that mean the same.
  var folded: DNSQuestion { DNSQuestion(name: name.lowercased, type: type, recordClass: recordClass) }

  var wire: [UInt8] {
    var bytes = name.wire
    bytes.append(number: type)
    bytes.append(number: recordClass)
    return bytes
  }
}

/// A query as a client sent it.
struct DNSQuery: Sendable, Equatable {
  /// Longer ones are not read.
  static let longest = 4096
  /// An OPT record, a signature, perhaps a cookie's: nobody sends more.
  private static let mostAdditional = 8

  let id: UInt16
  let flags: DNSHeader.Flags
  let question: DNSQuestion
  let extensions: DNSExtensions?

  /// What a message is.
  enum Reading: Equatable {
    case query(DNSQuery)
    /// It is answered so, whatever it asks.
    case answered([UInt8])
    /// Not a query: nobody waits for an answer, or an answer could start a loop between two servers.
    case ignored
  }

  static func read(_ message: [UInt8]) -> Reading {
    guard let header = DNSHeader(message), !header.flags.contains(.response) else { return .ignored }
    func refusal(_ code: DNSCode) -> Reading {
      let kept = header.flags.intersection([.recursionDesired, DNSHeader.Flags(rawValue: 0xf << 11)])
      return .answered(DNSHeader(id: header.id, flags: [.response, kept, .code(code)], questions: 0).bytes)
    }
    guard header.flags.operation == 0 else { return refusal(.notImplemented) }
    var offset = DNSHeader.size
    guard header.counts.questions == 1, header.counts.answers == 0, header.counts.authorities == 0,
      header.counts.additional <= mostAdditional, let question = DNSQuestion(in: message, at: &offset)
    else { return refusal(.formatError) }
    var extensions: DNSExtensions?
    for _ in 0..<header.counts.additional {
      guard let record = DNSRecord(in: message, at: offset) else { return refusal(.formatError) }
      if record.type == DNSType.opt {
        // One, and of the root (RFC 6891, 6.1.1).
        guard extensions == nil, message[offset] == 0 else { return refusal(.formatError) }
        extensions = DNSExtensions(record)
      }
      offset = record.end
    }
    let query = DNSQuery(id: header.id, flags: header.flags, question: question, extensions: extensions)
    if let extensions, extensions.version > 0 { return .answered(DNSAnswer(.badVersion).encoded(for: query)) }
    return .query(query)
  }

  /// How long an answer by UDP may be (RFC 6891, 6.2.3).
  var datagramLimit: Int {
    // A datagram never leaves the loopback interface, which takes any size; 4096 is what clients have room for at most.
    min(max(extensions.map { Int($0.payloadSize) } ?? 512, 512), 4096)
  }
}

/// What an OPT record says (RFC 6891).
struct DNSExtensions: Sendable, Equatable, Hashable {
  /// What we say of ourselves, and ask servers with: fits into every packet of IPv6 (DNS flag day 2020).
  static let ownSize: UInt16 = 1232

  var payloadSize: UInt16
  var version: UInt8
  /// The client understands signatures (RFC 3225).
  var isSecure: Bool

  init(payloadSize: UInt16 = ownSize, version: UInt8 = 0, isSecure: Bool = false) {
    self.payloadSize = payloadSize
    self.version = version
    self.isSecure = isSecure
  }

  init(_ record: DNSRecord) {
    self.init(
      payloadSize: record.recordClass, version: UInt8(truncatingIfNeeded: record.timeToLive >> 16),
      isSecure: record.timeToLive & 0x8000 != 0)
  }

  static let size = 11

  /// As a record with our size. - Parameter code: its high bits are here.
  func bytes(code: UInt8 = 0) -> [UInt8] {
    var bytes: [UInt8] = [0]
    bytes.append(number: DNSType.opt)
    bytes.append(number: Self.ownSize)
    bytes.append(number: UInt32(code >> 4) << 24 | (isSecure ? 0x8000 : 0))
    bytes.append(number: 0 as UInt16)
    return bytes
  }
}

/// Where a record's parts are (RFC 1035, 4.1.3).
struct DNSRecord {
  let type: UInt16
  let recordClass: UInt16
  let timeToLive: UInt32
  /// Of the four bytes of ``timeToLive``.
  let timeToLiveOffset: Int
  let data: Range<Int>
  var end: Int { data.upperBound }

  init?(in message: [UInt8], at offset: Int) {
    guard let fixed = DNSName.end(in: message, at: offset), fixed + 10 <= message.count else { return nil }
    type = message.number16(at: fixed)
    recordClass = message.number16(at: fixed + 2)
    timeToLiveOffset = fixed + 4
    timeToLive = message.number32(at: timeToLiveOffset)
    let length = Int(message.number16(at: fixed + 8))
    guard fixed + 10 + length <= message.count else { return nil }
    data = (fixed + 10)..<(fixed + 10 + length)
  }
}
