/// An IPv4 or IPv6 address: its bytes as they are on the wire.
public struct IPAddress: Hashable, Sendable, Comparable, CustomStringConvertible, LosslessStringConvertible {
  public enum Family: UInt8, Sendable, CaseIterable { case v4 = 2, v6 = 10 }

  public let family: Family
  /// The address as a number; IPv4 uses the low 32 bits.
  public let value: UInt128

  public init(v4 value: UInt32) {
    family = .v4
    self.value = UInt128(value)
  }

  public init(v6 value: UInt128) {
    family = .v6
    self.value = value
  }

  public init(_ family: Family, _ value: UInt128) {
    self.family = family
    self.value = family == .v4 ? value & 0xffff_ffff : value
  }

  /// Four or sixteen bytes in network order; nil for any other number.
  public init?(bytes: some Collection<UInt8>) {
    switch bytes.count {
    case 4: family = .v4
    case 16: family = .v6
    default: return nil
    }
    value = bytes.reduce(0) { $0 << 8 | UInt128($1) }
  }

  /// In network order, four or sixteen.
  public var bytes: [UInt8] {
    let count = family == .v4 ? 4 : 16
    return (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt128(8 * (count - 1 - $0))) }
  }

  /// 32 or 128.
  public var width: Int { family.width }

  public var isLoopback: Bool { family == .v4 ? value >> 24 == 127 : value == 1 }
  /// `0.0.0.0` or `::`.
  public var isUnspecified: Bool { value == 0 }
  public var isMulticast: Bool { family == .v4 ? value >> 28 == 0xe : value >> 120 == 0xff }
  public var isLinkLocal: Bool { family == .v4 ? value >> 16 == 0xa9fe : value >> 118 == 0xfe80 >> 6 }

  public static func < (left: IPAddress, right: IPAddress) -> Bool {
    left.family == right.family ? left.value < right.value : left.family.rawValue < right.family.rawValue
  }

  // MARK: Text

  /// Dotted decimal without leading zeros, or RFC 4291 text without a zone; nil for anything else.
  public init?(_ text: String) {
    if text.utf8.contains(UInt8(ascii: ":")) {
      guard let value = Self.parseV6(Array(text.utf8)) else { return nil }
      self.init(v6: value)
    } else {
      guard let value = Self.parseV4(text.utf8[...]) else { return nil }
      self.init(v4: value)
    }
  }

  private static func parseV4(_ text: Substring.UTF8View) -> UInt32? {
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0") else { return nil }
      var octet: UInt32 = 0
      for digit in part {
        guard (0x30...0x39).contains(digit) else { return nil }
        octet = octet * 10 + UInt32(digit - 0x30)
      }
      guard octet <= 255 else { return nil }
      value = value << 8 | octet
    }
    return value
  }

  private static func parseV6(_ text: [UInt8]) -> UInt128? {
    guard (2...45).contains(text.count) else { return nil }
    var head: [UInt16] = []
    var tail: [UInt16] = []
    var hasGap = false
    var position = 0
    func add(_ group: UInt16) { if hasGap { tail.append(group) } else { head.append(group) } }
    if text[0] == UInt8(ascii: ":") {
      guard text[1] == UInt8(ascii: ":") else { return nil }
      hasGap = true
      position = 2
    }
    while position < text.count {
      let start = position
      var group: UInt32 = 0
      while position < text.count, let digit = hexDigit(text[position]), position - start < 5 {
        group = group << 4 | UInt32(digit)
        position += 1
      }
      if position < text.count, text[position] == UInt8(ascii: ".") {
        // The last 32 bits may be dotted decimal (RFC 4291, 2.2).
        guard let low = parseV4(Substring(String(decoding: text[start...], as: UTF8.self)).utf8) else { return nil }
        add(UInt16(low >> 16))
        add(UInt16(low & 0xffff))
        position = text.count
        break
      }
      guard (1...4).contains(position - start) else { return nil }
      add(UInt16(group))
      guard position < text.count else { break }
      guard text[position] == UInt8(ascii: ":") else { return nil }
      position += 1
      guard position < text.count else { return nil }
      if text[position] == UInt8(ascii: ":") {
        guard !hasGap else { return nil }
        hasGap = true
        position += 1
      }
    }
    let count = head.count + tail.count
    guard hasGap ? count < 8 : count == 8 else { return nil }
    let groups = head + Array(repeating: 0, count: 8 - count) + tail
    return groups.reduce(0) { $0 << 16 | UInt128($1) }
  }

  private static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }

  /// Dotted decimal, or the canonical text of RFC 5952.
  public var description: String {
    guard family == .v6 else { return bytes.map { String($0) }.joined(separator: ".") }
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> UInt128(16 * (7 - $0))) }
    let zeros = Self.longestZeros(groups)
    func text(_ range: Range<Int>) -> String {
      groups[range].map { String($0, radix: 16) }.joined(separator: ":")
    }
    guard zeros.count > 1 else { return text(0..<8) }
    return text(0..<zeros.lowerBound) + "::" + text(zeros.upperBound..<8)
  }

  private static func longestZeros(_ groups: [UInt16]) -> Range<Int> {
    var longest = 0..<0
    var start = 0
    for (index, group) in groups.enumerated() {
      if group != 0 { start = index + 1 }
      if index + 1 - start > longest.count { longest = start..<index + 1 }
    }
    return longest
  }
}

extension IPAddress.Family {
  /// Bits of an address.
  public var width: Int { self == .v4 ? 32 : 128 }
}

extension IPAddress: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let address = IPAddress(text) else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "\(text) is not an IP address"))
    }
    self = address
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
