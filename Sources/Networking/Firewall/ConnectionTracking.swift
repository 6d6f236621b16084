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
  ///
  /// However little is found, the kernel looks through its whole hash table: 12 ms for each request with 262,144
  /// buckets.
  static func forget(_ matches: Set<Match>, by socket: NetfilterSocket) throws(ApusError) {
    guard !matches.isEmpty, try count(by: socket) != 0 else { return }
    var filters = Set(matches.flatMap(\.filters))
    if filters.count > 4 { filters = [Filter()] }
    var found: [Entry] = []
    for filter in filters {
      try socket.dump(filter.request) { payload in
        if let entry = Entry(payload), matches.contains(where: { $0.includes(entry) }) { found.append(entry) }
      }
    }
    for entry in found { try socket.commit(entry.deletion, tolerating: ENOENT) }
  }

  /// How many entries there are; nil where the kernel does not say.
  private static func count(by socket: NetfilterSocket) throws(ApusError) -> UInt32? {
    var messages = NetfilterMessages()
    // IPCTNL_MSG_CT_GET_STATS
    messages.add(type: 1 << 8 | 5, flags: 0, family: 0)
    var count: UInt32?
    try socket.ask(messages) { payload in
      guard payload.count > 4 else { return }
      for (type, value) in Attributes(UnsafeRawBufferPointer(rebasing: payload[4...])) where type == 1 {
        count = value.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
      }
    }
    return count
  }

  /// What the kernel looks for, where it can (Linux 5.8 or later; an older one lists everything).
  struct Filter: Hashable {
    /// Nil: both.
    var family: IPAddress.Family?
    var isReply = false
    var source: IPAddress?
    var proto: PortProtocol?
    var destinationPort: UInt16?

    var request: NetfilterMessages {
      var messages = NetfilterMessages()
      // IPCTNL_MSG_CT_GET
      messages.add(type: 1 << 8 | 1, flags: NetfilterMessages.Flag.dump, family: family?.rawValue ?? 0) { message in
        guard source != nil || proto != nil else { return }
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
}

extension ConnectionTracking.Match {
  var filters: [ConnectionTracking.Filter] {
    switch self {
    case .address(let address):
      // Linux (seen with 6.18) leaves out just the entries whose IPv6 addresses are the ones asked for: no such
      // question.
      guard address.family == .v4 else { return [ConnectionTracking.Filter(family: .v6)] }
      return [
        ConnectionTracking.Filter(family: .v4, source: address),
        ConnectionTracking.Filter(family: .v4, isReply: true, source: address),
      ]
    case .target(let port):
      return [
        ConnectionTracking.Filter(
          family: port.address.family, isReply: true, source: port.address.family == .v4 ? port.address : nil,
          proto: port.proto)
      ]
    case .unpublished(let port):
      return [
        ConnectionTracking.Filter(family: port.address.family, proto: port.proto, destinationPort: port.hostPort)
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
