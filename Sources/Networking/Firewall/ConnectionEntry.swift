import Netlink

extension ConnectionTracking {
  /// One direction of a connection.
  struct Tuple: Equatable {
    var source: IPAddress?
    var destination: IPAddress?
    var proto: UInt8?
    var sourcePort: UInt16?
    var destinationPort: UInt16?
  }

  /// One connection.
  struct Entry {
    var original = Tuple()
    var reply = Tuple()
    private var family: UInt8 = 0
    /// The attributes that name it, as they came.
    private var name: [(type: UInt16, value: [UInt8])] = []

    init?(_ payload: UnsafeRawBufferPointer) {
      guard payload.count > 4 else { return nil }
      family = payload[0]
      for (type, value) in Attributes(UnsafeRawBufferPointer(rebasing: payload[4...])) {
        switch type {
        case 1:
          original = Tuple(value)
          name.append((type | 0x8000, Array(value)))
        case 2: reply = Tuple(value)
        // CTA_ID, CTA_ZONE
        case 12, 18: name.append((type, Array(value)))
        default: break
        }
      }
    }

    var deletion: NetfilterMessages {
      var messages = NetfilterMessages()
      messages.add(type: 1 << 8 | 2, flags: NetfilterMessages.Flag.acknowledge, family: family) { message in
        for (type, value) in name { message.attribute(type, value) }
      }
      return messages
    }
  }

  /// The attributes of a message, or within another; one that claims to be longer than what is there ends them.
  struct Attributes: Sequence, IteratorProtocol {
    private var rest: UnsafeRawBufferPointer
    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    mutating func next() -> (type: UInt16, value: UnsafeRawBufferPointer)? {
      guard rest.count >= 4 else { return nil }
      let length = Int(rest.loadUnaligned(as: UInt16.self))
      guard length >= 4, length <= rest.count else { return nil }
      let type = rest.loadUnaligned(fromByteOffset: 2, as: UInt16.self) & 0x3fff
      let value = UnsafeRawBufferPointer(rebasing: rest[4..<length])
      rest = UnsafeRawBufferPointer(rebasing: rest[Swift.min((length + 3) & ~3, rest.count)...])
      return (type, value)
    }
  }
}

extension ConnectionTracking.Tuple {
  init(_ bytes: UnsafeRawBufferPointer) {
    for (part, values) in ConnectionTracking.Attributes(bytes) {
      for (type, value) in ConnectionTracking.Attributes(values) {
        switch (part, type) {
        case (1, 1), (1, 3): source = IPAddress(bytes: value)
        case (1, 2), (1, 4): destination = IPAddress(bytes: value)
        case (2, 1): proto = value.first
        case (2, 2): sourcePort = value.count == 2 ? UInt16(value[0]) << 8 | UInt16(value[1]) : nil
        case (2, 3): destinationPort = value.count == 2 ? UInt16(value[0]) << 8 | UInt16(value[1]) : nil
        default: break
        }
      }
    }
  }
}
