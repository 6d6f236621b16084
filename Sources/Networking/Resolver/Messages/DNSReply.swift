/// A reply of another server, checked and kept as it came; what changes from one client to the next is set in a copy.
struct DNSReply: Sendable, Equatable {
  /// Seconds that it may be kept at most, and one that says that there is nothing (RFC 2308, 5).
  static let longestLife: UInt32 = 3600
  static let longestNegativeLife: UInt32 = 300

  let bytes: [UInt8]
  let code: UInt8
  let isTruncated: Bool
  /// Seconds; 0: it must not be kept.
  let lifetime: UInt32
  private let header: DNSHeader
  /// Behind each answer.
  private let answerEnds: [Int]
  private let questionEnd: Int
  private let timeToLives: [Int]
  private let extensionsOffset: Int?

  /// nil where `message` is not a reply to this, or not a sound one.
  init?(_ message: [UInt8], id: UInt16, question: DNSQuestion) {
    var offset = DNSHeader.size
    guard let header = DNSHeader(message), header.id == id, header.flags.contains(.response),
      header.flags.operation == 0, header.counts.questions == 1,
      let echoed = DNSQuestion(in: message, at: &offset), echoed.folded == question.folded,
      // The name is there in full: a client's own is written over it.
      offset == DNSHeader.size + echoed.wire.count
    else { return nil }
    questionEnd = offset
    var timeToLives: [Int] = []
    var answerEnds: [Int] = []
    var extensionsOffset: Int?
    var shortest = UInt32.max
    var negative: UInt32?
    let counts = header.counts
    for index in 0..<(counts.answers + counts.authorities + counts.additional) {
      guard let record = DNSRecord(in: message, at: offset) else { return nil }
      if record.type == DNSType.opt {
        // One, of the root, and among the additional ones (RFC 6891, 6.1.1).
        guard index >= counts.answers + counts.authorities, extensionsOffset == nil, message[offset] == 0 else {
          return nil
        }
        extensionsOffset = offset
      } else {
        timeToLives.append(record.timeToLiveOffset)
        // A number with the highest bit set is 0 (RFC 2181, 8).
        let timeToLive = record.timeToLive >> 31 == 0 ? record.timeToLive : 0
        if index < counts.answers + counts.authorities { shortest = min(shortest, timeToLive) }
        if record.type == DNSType.soa, index >= counts.answers, record.data.count >= 22 {
          negative = min(timeToLive, message.number32(at: record.data.upperBound - 4))
        }
      }
      offset = record.end
      if index < counts.answers { answerEnds.append(offset) }
    }
    bytes = Array(message.prefix(offset))
    self.header = header
    self.answerEnds = answerEnds
    self.timeToLives = timeToLives
    self.extensionsOffset = extensionsOffset
    code = header.flags.code
    isTruncated = header.flags.contains(.truncated)
    let extendedCode = extensionsOffset.map { message[$0 + 5] } ?? 0
    switch code {
    case _ where isTruncated || extendedCode != 0: lifetime = 0
    case DNSCode.noError.rawValue where counts.answers > 0: lifetime = min(shortest, Self.longestLife)
    case DNSCode.noError.rawValue, DNSCode.nameError.rawValue: lifetime = min(negative ?? 0, Self.longestNegativeLife)
    default: lifetime = 0
    }
  }

  /// Whether another server may know better.
  var isFailure: Bool { code != DNSCode.noError.rawValue && code != DNSCode.nameError.rawValue }

  /// For a client: with its id and its spelling, with `age` seconds less to live, and no longer than `limit` (then as many
  /// answers as fit, for those that do not ask again by TCP).
  func encoded(for query: DNSQuery, age: UInt32, limit: Int) -> [UInt8] {
    var message = bytes
    let spelling = query.question.name.wire
    message.replaceSubrange(DNSHeader.size..<(DNSHeader.size + spelling.count), with: spelling)
    message.set(query.id, at: 0)
    for offset in timeToLives {
      let timeToLive = message.number32(at: offset)
      if timeToLive >> 31 == 0 { message.set(timeToLive - min(timeToLive, age), at: offset) }
    }
    if let extensionsOffset { message.set(DNSExtensions.ownSize, at: extensionsOffset + 3) }
    guard message.count > limit else { return message }
    let extensions = query.extensions.map { $0.bytes() } ?? []
    let kept = answerEnds.prefix { $0 + extensions.count <= limit }
    message.removeSubrange((kept.last ?? questionEnd)...)
    message.set(header.flags.union(.truncated).rawValue, at: 2)
    message.set(UInt16(kept.count), at: 6)
    message.set(0 as UInt16, at: 8)
    message.set(UInt16(extensions.isEmpty ? 0 : 1), at: 10)
    return message + extensions
  }
}
