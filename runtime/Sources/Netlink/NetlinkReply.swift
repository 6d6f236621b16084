/// One message that the kernel sent.
public struct NetlinkReply: Sendable {
  public let type: UInt16
  public let flags: UInt16
  public let sequence: UInt32
  /// What follows the header.
  public let payload: ArraySlice<UInt8>

  /// The attributes behind a fixed part of `length` bytes.
  public func attributes(after length: Int) -> NetlinkAttributes {
    NetlinkAttributes(payload.dropFirst((length + 3) & ~3))
  }

  /// The messages of one datagram. What is cut off or claims to be longer than the datagram ends it.
  static func parse(_ datagram: [UInt8]) -> [NetlinkReply] {
    var replies: [NetlinkReply] = []
    var rest = datagram[...]
    while let length = rest.integer(at: 0, as: UInt32.self).map({ Int($0) }),
      length >= NetlinkMessage.headerLength, length <= rest.count,
      let type = rest.integer(at: 4, as: UInt16.self), let flags = rest.integer(at: 6, as: UInt16.self),
      let sequence = rest.integer(at: 8, as: UInt32.self)
    {
      replies.append(
        NetlinkReply(
          type: type, flags: flags, sequence: sequence,
          payload: rest.prefix(length).dropFirst(NetlinkMessage.headerLength)))
      rest = rest.dropFirst((length + 3) & ~3)
    }
    return replies
  }
}

/// The attributes of a message, or within another attribute.
public struct NetlinkAttributes: Sequence, Sendable {
  private let bytes: ArraySlice<UInt8>

  public init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  /// The value of the first of a type.
  public subscript(type: UInt16) -> ArraySlice<UInt8>? {
    for attribute in self where attribute.type == type { return attribute.value }
    return nil
  }

  /// In the host's byte order; nil where there is none, or it is shorter.
  public subscript<Integer: FixedWidthInteger>(type: UInt16, as kind: Integer.Type) -> Integer? {
    self[type]?.integer(at: 0, as: kind)
  }

  /// Up to its zero byte.
  public func text(_ type: UInt16) -> String? {
    self[type].map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  public func nested(_ type: UInt16) -> NetlinkAttributes? { self[type].map(NetlinkAttributes.init) }

  public func makeIterator() -> Iterator { Iterator(rest: bytes) }

  public struct Iterator: IteratorProtocol {
    var rest: ArraySlice<UInt8>

    /// The next, its type without the flag bits. One that claims to be longer than what is left ends the sequence.
    public mutating func next() -> (type: UInt16, value: ArraySlice<UInt8>)? {
      guard let length = rest.integer(at: 0, as: UInt16.self).map({ Int($0) }), length >= 4, length <= rest.count,
        let type = rest.integer(at: 2, as: UInt16.self)
      else { return nil }
      let value = rest.prefix(length).dropFirst(4)
      rest = rest.dropFirst((length + 3) & ~3)
      return (type & 0x3fff, value)
    }
  }
}

extension ArraySlice<UInt8> {
  /// In the host's byte order; nil where it would end behind the slice.
  func integer<Integer: FixedWidthInteger>(at offset: Int, as kind: Integer.Type) -> Integer? {
    guard count >= offset + MemoryLayout<Integer>.size else { return nil }
    return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: kind) }
  }
}
