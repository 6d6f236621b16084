/// An Ethernet address.
public struct MACAddress: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
  /// Six, in the order they are sent.
  public let bytes: [UInt8]

  /// nil unless there are six.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 6 else { return nil }
    self.bytes = Array(bytes)
  }

  /// Six pairs of hex digits between colons or hyphens; nil for anything else.
  public init?(_ text: String) {
    let parts = text.split(omittingEmptySubsequences: false) { $0 == ":" || $0 == "-" }
    guard parts.count == 6 else { return nil }
    var bytes: [UInt8] = []
    for part in parts {
      guard part.utf8.count == 2, part.utf8.first != UInt8(ascii: "+"), let byte = UInt8(part, radix: 16) else {
        return nil
      }
      bytes.append(byte)
    }
    self.bytes = bytes
  }

  /// One that nobody else has: locally administered, unicast, otherwise random.
  public static func random() -> MACAddress {
    var bytes = (0..<6).map { _ in UInt8.random(in: 0 ... .max) }
    bytes[0] = bytes[0] & 0xfc | 0x02
    guard let address = MACAddress(bytes: bytes) else { preconditionFailure("an Ethernet address has six bytes") }
    return address
  }

  /// The same for the same IP address: who remembers an address's holder is right about the next one, too. With a random
  /// one, neighbours go on asking for the last holder for most of a minute.
  public static func derived(from address: IPAddress) -> MACAddress {
    var bytes = address.bytes
    if address.family == .v6 {
      // FNV-1a: the whole address counts, not its end alone.
      let hash = bytes.reduce(0x811c_9dc5 as UInt32) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
      bytes = withUnsafeBytes(of: hash.bigEndian) { Array($0) }
    }
    // 02:42 is what users know such addresses by.
    guard let mac = MACAddress(bytes: [0x02, 0x42] + bytes) else { preconditionFailure("two and four bytes are six") }
    return mac
  }

  /// Whether an interface may have it: not multicast, not all zero.
  public var isUsable: Bool { bytes[0] & 1 == 0 && bytes.contains { $0 != 0 } }

  public var description: String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }
}

extension MACAddress: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let address = MACAddress(text) else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "\(text) is not an Ethernet address"))
    }
    self = address
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
