import Netlink

/// An answer of our own.
struct DNSAnswer: Sendable, Equatable {
  enum Data: Sendable, Equatable {
    case address(IPAddress)
    case name(DNSName)
  }

  /// Seconds. What has changed is noticed by the next second's query; a proxy that asks for every request asks once.
  static let timeToLive: UInt32 = 1

  var code: DNSCode
  var records: [Data]

  init(_ code: DNSCode = .noError, _ records: [Data] = []) {
    self.code = code
    self.records = records
  }

  /// As a message of at most `limit` bytes; records that have no room are left out, and the client told to ask by TCP.
  func encoded(for query: DNSQuery, limit: Int = 512) -> [UInt8] {
    var flags: DNSHeader.Flags = [
      .response, .recursionAvailable, .code(code),
      query.flags.intersection([.recursionDesired, .checkingDisabled]),
    ]
    var message = DNSHeader(id: query.id, flags: flags, additional: query.extensions == nil ? 0 : 1).bytes
    message += query.question.wire
    let room = limit - (query.extensions == nil ? 0 : DNSExtensions.size)
    var count: UInt16 = 0
    for record in records {
      let bytes = Self.encoded(record)
      guard message.count + bytes.count <= room else {
        flags.insert(.truncated)
        message.set(flags.rawValue, at: 2)
        break
      }
      message += bytes
      count += 1
    }
    message.set(count, at: 6)
    if let extensions = query.extensions { message += extensions.bytes(code: code.rawValue) }
    return message
  }

  private static func encoded(_ record: Data) -> [UInt8] {
    let type: UInt16
    let data: [UInt8]
    switch record {
    case .address(let address):
      type = address.family == .v4 ? DNSType.a : DNSType.aaaa
      data = address.bytes
    case .name(let name):
      type = DNSType.ptr
      data = name.wire
    }
    // The owner is the question's name, right behind the header.
    var bytes: [UInt8] = [0xc0, UInt8(DNSHeader.size)]
    bytes.append(number: type)
    bytes.append(number: 1 as UInt16)
    bytes.append(number: timeToLive)
    bytes.append(number: UInt16(data.count))
    return bytes + data
  }
}
