/// The first twelve bytes of a message (RFC 1035, 4.1.1).
struct DNSHeader: Sendable, Equatable {
  static let size = 12

  var id: UInt16
  var flags: Flags
  /// How many questions, answers, authorities and additional records follow.
  var counts: (questions: Int, answers: Int, authorities: Int, additional: Int)

  /// The third and fourth byte, with the bits of RFC 2535 (AD, CD).
  struct Flags: OptionSet, Sendable, Hashable {
    let rawValue: UInt16
    static let response = Flags(rawValue: 1 << 15)
    static let authoritative = Flags(rawValue: 1 << 10)
    static let truncated = Flags(rawValue: 1 << 9)
    static let recursionDesired = Flags(rawValue: 1 << 8)
    static let recursionAvailable = Flags(rawValue: 1 << 7)
    static let authentic = Flags(rawValue: 1 << 5)
    static let checkingDisabled = Flags(rawValue: 1 << 4)
    /// What a query is passed on with.
    static let asked: Flags = [.recursionDesired, .authentic, .checkingDisabled]

    static func code(_ code: DNSCode) -> Flags { Flags(rawValue: UInt16(code.rawValue & 0xf)) }

    var operation: UInt16 { rawValue >> 11 & 0xf }
    var code: UInt8 { UInt8(rawValue & 0xf) }
  }

  init(id: UInt16, flags: Flags, questions: Int = 1, answers: Int = 0, authorities: Int = 0, additional: Int = 0) {
    self.id = id
    self.flags = flags
    counts = (questions, answers, authorities, additional)
  }

  init?(_ message: [UInt8]) {
    guard message.count >= Self.size else { return nil }
    id = message.number16(at: 0)
    flags = Flags(rawValue: message.number16(at: 2))
    counts = (
      Int(message.number16(at: 4)), Int(message.number16(at: 6)), Int(message.number16(at: 8)),
      Int(message.number16(at: 10))
    )
  }

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(512)
    for value in [
      id, flags.rawValue, UInt16(counts.questions), UInt16(counts.answers), UInt16(counts.authorities),
      UInt16(counts.additional),
    ] {
      bytes.append(number: value)
    }
    return bytes
  }

  static func == (left: DNSHeader, right: DNSHeader) -> Bool {
    left.id == right.id && left.flags == right.flags && left.counts == right.counts
  }
}

/// How a query ended (RFC 1035, 4.1.1; RFC 6891, 9).
enum DNSCode: UInt8, Sendable {
  case noError = 0
  case formatError = 1
  case serverFailure = 2
  case nameError = 3
  case notImplemented = 4
  case refused = 5
  case badVersion = 16
}

/// What kind of record; the rest is a number that is passed on.
enum DNSType {
  static let a: UInt16 = 1
  static let soa: UInt16 = 6
  static let ptr: UInt16 = 12
  static let aaaa: UInt16 = 28
  static let opt: UInt16 = 41
  static let ixfr: UInt16 = 251
  static let axfr: UInt16 = 252
  static let any: UInt16 = 255
}

extension [UInt8] {
  /// In network order. The caller has checked that two bytes are there.
  func number16(at offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }

  func number32(at offset: Int) -> UInt32 {
    UInt32(number16(at: offset)) << 16 | UInt32(number16(at: offset + 2))
  }

  mutating func append(number value: some FixedWidthInteger & UnsignedInteger) {
    for shift in stride(from: type(of: value).bitWidth - 8, through: 0, by: -8) {
      append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  mutating func set(_ value: some FixedWidthInteger & UnsignedInteger, at offset: Int) {
    let size = type(of: value).bitWidth / 8
    for index in 0..<size { self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * (size - 1 - index))) }
  }
}
