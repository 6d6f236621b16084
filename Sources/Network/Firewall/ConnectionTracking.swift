import Errors
import Glibc
import Linux
import Logging
import Netlink

/// Entries of connection tracking (ctnetlink): where the packets of a connection go is decided with its first, so an
/// entry that was made before a rule goes on without it, for UDP as long as somebody sends.
enum ConnectionTracking {
  /// Which entries to forget.
  enum Match: Sendable, Hashable {
    /// Begun by this address, or led to it.
    case address(IPAddress)
    /// Led from this port of the host to its target.
    case target(PublishedPort)
    /// Sent to this port while it led nowhere.
    case unpublished(PublishedPort)
  }

  /// Forgets what matches; the next packet of such a connection is taken for the first of a new one.
  static func forget(_ matches: some Collection<Match>) throws(ApusError) {
    if matches.isEmpty { return }
    let socket = try NetfilterSocket()
    for match in matches {
      for filter in match.filters {
        var found: [Entry] = []
        try socket.dump(filter.request) { payload in
          if let entry = Entry(payload), match.includes(entry) { found.append(entry) }
        }
        for entry in found { try socket.commit(entry.deletion, tolerating: ENOENT) }
      }
    }
  }

  /// What the kernel looks for, where it can (Linux 5.8 or later; an older one lists everything).
  struct Filter {
    let family: IPAddress.Family
    var isReply = false
    var source: IPAddress?
    var proto: PortProtocol?
    var destinationPort: UInt16?

    var request: NetfilterMessages {
      var messages = NetfilterMessages()
      messages.add(type: 1 << 8 | 1, flags: NetfilterMessages.Flag.dump, family: family.rawValue) { message in
        var flags: UInt32 = 0
        message.nested(isReply ? 2 : 1) { tuple in
          if let source {
            flags |= 1
            tuple.nested(1) { $0.attribute(family == .v4 ? 1 : 3, source.bytes) }
          }
          if let proto {
            flags |= 1 << 3
            tuple.nested(2) { part in
              part.attribute(1, [proto.number])
              if let destinationPort {
                flags |= 1 << 5
                part.attribute(3, [UInt8(destinationPort >> 8), UInt8(destinationPort & 0xff)])
              }
            }
          }
        }
        // CTA_FILTER
        message.nested(25) { filter in
          filter.attribute(isReply ? 2 : 1, withUnsafeBytes(of: flags) { Array($0) })
        }
      }
      return messages
    }
  }

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

extension ConnectionTracking.Match {
  var filters: [ConnectionTracking.Filter] {
    switch self {
    case .address(let address):
      [
        ConnectionTracking.Filter(family: address.family, source: address),
        ConnectionTracking.Filter(family: address.family, isReply: true, source: address),
      ]
    case .target(let port):
      [ConnectionTracking.Filter(family: port.address.family, isReply: true, source: port.address, proto: port.proto)]
    case .unpublished(let port):
      [
        ConnectionTracking.Filter(
          family: port.address.family, proto: port.proto, destinationPort: port.hostPort)
      ]
    }
  }

  func includes(_ entry: ConnectionTracking.Entry) -> Bool {
    switch self {
    case .address(let address): return entry.original.source == address || entry.reply.source == address
    case .target(let port):
      return entry.original.proto == port.proto.number && entry.reply.source == port.address
        && entry.reply.sourcePort == port.port && entry.original.destinationPort == port.hostPort
        && (port.hostAddress.isUnspecified || entry.original.destination == port.hostAddress)
    case .unpublished(let port):
      // Not what is led elsewhere, or passes through the host to a port of the same number.
      return entry.original.proto == port.proto.number && entry.original.destinationPort == port.hostPort
        && entry.reply.source == entry.original.destination
        && entry.original.destination.map {
          port.hostAddress.isUnspecified ? HostAddresses.contains($0) : $0 == port.hostAddress
        } == true
    }
  }
}

/// The addresses that the host has now.
enum HostAddresses {
  static func contains(_ address: IPAddress) -> Bool {
    if address.isLoopback { return true }
    var first: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&first) == 0 else { return false }
    defer { freeifaddrs(first) }
    var next = first
    while let entry = next {
      next = entry.pointee.ifa_next
      guard let name = entry.pointee.ifa_addr else { continue }
      let raw = UnsafeRawPointer(name)
      switch Int32(name.pointee.sa_family) {
      case AF_INET:
        if IPAddress(bytes: UnsafeRawBufferPointer(start: raw + 4, count: 4)) == address { return true }
      case AF_INET6:
        if IPAddress(bytes: UnsafeRawBufferPointer(start: raw + 8, count: 16)) == address { return true }
      default: break
      }
    }
    return false
  }
}
