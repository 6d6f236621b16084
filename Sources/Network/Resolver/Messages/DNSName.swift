/// A domain name as it is in a message: each label behind its length, the root's empty one last (RFC 1035, 3.1).
/// Without compression, and in the case it was written in.
struct DNSName: Hashable, Sendable {
  static let longest = 255
  static let longestLabel = 63

  let wire: [UInt8]

  private init(wire: [UInt8]) { self.wire = wire }

  /// Reads the name at `offset`, which is behind it afterwards; nil: it leads out of the message, does not end, or is too
  /// long. `offset` means nothing then.
  init?(in message: [UInt8], at offset: inout Int) {
    var wire: [UInt8] = []
    var position = offset
    // A pointer leads before everything read so far, so there is an end to them (RFC 1035, 4.1.4: "a prior occurrence").
    var start = offset
    var behind: Int?
    while true {
      guard message.indices.contains(position) else { return nil }
      let length = Int(message[position])
      switch length {
      case 0:
        wire.append(0)
        guard wire.count <= Self.longest else { return nil }
        offset = behind ?? position + 1
        self.wire = wire
        return
      case 1...Self.longestLabel:
        guard position + length < message.count, wire.count + length + 1 < Self.longest else { return nil }
        wire += message[position...(position + length)]
        position += length + 1
      case 0xc0...:
        guard position + 1 < message.count else { return nil }
        let target = (length & 0x3f) << 8 | Int(message[position + 1])
        guard target >= DNSHeader.size, target < start else { return nil }
        behind = behind ?? position + 2
        start = target
        position = target
      default:
        return nil
      }
    }
  }

  /// From text with or without the trailing dot; nil where a label is empty or too long, or the whole.
  init?(_ text: String) {
    var labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    if labels.last?.isEmpty == true { labels.removeLast() }
    var wire: [UInt8] = []
    for label in labels {
      guard (1...Self.longestLabel).contains(label.count) else { return nil }
      wire.append(UInt8(label.count))
      wire += label
    }
    wire.append(0)
    guard wire.count <= Self.longest else { return nil }
    self.wire = wire
  }

  /// Where the name at `offset` ends; nil where there is none. Follows no pointer, but refuses one that leads forwards.
  static func end(in message: [UInt8], at offset: Int) -> Int? {
    var position = offset
    while message.indices.contains(position) {
      let length = Int(message[position])
      switch length {
      case 0: return position + 1
      case 1...longestLabel: position += length + 1
      case 0xc0...:
        guard position + 1 < message.count else { return nil }
        let target = (length & 0x3f) << 8 | Int(message[position + 1])
        return target < offset ? position + 2 : nil
      default: return nil
      }
      guard position - offset < longest else { return nil }
    }
    return nil
  }

  /// With ASCII's letters in lower case: the same for names that are the same (RFC 4343).
  var lowercased: DNSName { DNSName(wire: wire.map(Self.lowercase)) }

  private static func lowercase(_ byte: UInt8) -> UInt8 {
    // Lengths are below 64, the letters above.
    (0x41...0x5a).contains(byte) ? byte | 0x20 : byte
  }

  /// In lower case, without the trailing dot, empty for the root; nil where a label has a byte that no name of ours
  /// has: a dot, a space, or something outside ASCII.
  var text: String? {
    var text: [UInt8] = []
    text.reserveCapacity(wire.count)
    var position = 0
    while wire[position] != 0 {
      if !text.isEmpty { text.append(UInt8(ascii: ".")) }
      for byte in wire[(position + 1)...(position + Int(wire[position]))] {
        guard (0x21...0x7e).contains(byte), byte != UInt8(ascii: ".") else { return nil }
        text.append(Self.lowercase(byte))
      }
      position += Int(wire[position]) + 1
    }
    return String(decoding: text, as: UTF8.self)
  }
}
