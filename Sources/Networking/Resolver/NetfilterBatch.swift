import Glibc
import Netlink

/// Changes of nf_tables, carried out all or none: what libnftables would send for them (linux/netfilter/nf_tables.h).
/// Unlike netlink's own, the numbers in their attributes are in network order.
struct NetfilterBatch {
  enum Hook: UInt32 { case output = 3, postrouting = 4 }
  enum Transport: UInt8 {
    case tcp = 6, udp = 17
    /// Of the checksum in the transport's header.
    var checksumOffset: UInt32 { self == .udp ? 6 : 16 }
  }
  enum End {
    case source, destination
    /// Of the address in IPv4's header.
    var addressOffset: UInt32 { self == .source ? 12 : 16 }
    /// Of the port in the transport's header.
    var portOffset: UInt32 { self == .source ? 0 : 2 }
  }

  private static let nfTables: UInt16 = 10
  private static let begin: UInt16 = 0x10
  private static let end: UInt16 = 0x11

  /// As they are sent, all at once: each change is answered.
  private(set) var bytes: [UInt8]
  /// How many answers are to come.
  private(set) var changes = 0

  /// A message, not a batch, that is answered by success where there is such a table.
  static func query(table: String) -> [UInt8] {
    var query = NetfilterBatch(bytes: [])
    query.change(1) { $0.attribute(1, text: table) }
    return query.bytes
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  init() {
    bytes = []
    bytes.reserveCapacity(2048)
    append(message(Self.begin, family: 0, resource: Self.nfTables))
  }

  /// Nothing may be added afterwards.
  mutating func finish() { append(message(Self.end, family: 0, resource: Self.nfTables)) }

  mutating func addTable(_ name: String) { change(0, .create) { $0.attribute(1, text: name) } }
  mutating func deleteTable(_ name: String) { change(2) { $0.attribute(1, text: name) } }

  /// A chain of type `filter` that lets through what no rule is for.
  mutating func addChain(_ name: String, to table: String, hook: Hook, priority: Int32) {
    change(3, .create) {
      $0.attribute(1, text: table)
      $0.attribute(3, text: name)
      $0.nest(4) {
        $0.attribute(1, hook.rawValue.bigEndian)
        $0.attribute(2, priority.bigEndian)
      }
      $0.attribute(7, text: "filter")
    }
  }

  /// A rule that writes port `to` into packets of this address, transport and port.
  mutating func addRewrite(
    to chain: String, of table: String, end: End, _ address: IPAddress, _ transport: Transport, from: UInt16, to: UInt16
  ) {
    change(6, [.create, .append]) {
      $0.attribute(1, text: table)
      $0.attribute(2, text: chain)
      $0.nest(4) {
        $0.load(.network, offset: end.addressOffset, count: 4)
        $0.compare(address.bytes)
        $0.loadTransport()
        $0.compare([transport.rawValue])
        $0.load(.transport, offset: end.portOffset, count: 2)
        $0.compare([UInt8(from >> 8), UInt8(from & 0xff)])
        $0.store([UInt8(to >> 8), UInt8(to & 0xff)], offset: end.portOffset, checksum: transport.checksumOffset)
      }
    }
  }

  private mutating func change(
    _ type: UInt16, _ flags: NetlinkMessage.Flags = [], _ body: (inout NetlinkMessage) -> Void
  ) {
    var message = message(Self.nfTables << 8 | type, flags.union(.acknowledge), family: UInt8(AF_INET))
    body(&message)
    append(message)
    changes += 1
  }

  private func message(
    _ type: UInt16, _ flags: NetlinkMessage.Flags = [], family: UInt8, resource: UInt16 = 0
  ) -> NetlinkMessage {
    var message = NetlinkMessage(type, flags)
    // struct nfgenmsg
    message.append(family)
    message.append(0 as UInt8)
    message.append(resource.bigEndian)
    return message
  }

  private mutating func append(_ message: NetlinkMessage) {
    func put(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value) { bytes += $0 } }
    put(UInt32(16 + message.payload.count))
    put(message.type)
    put(message.flags.rawValue)
    // Sequence and sender: there is nothing to tell apart.
    put(0 as UInt64)
    bytes += message.payload
  }
}

/// The expressions of a rule. All of them use the first register.
extension NetlinkMessage {
  fileprivate enum Base: UInt32 { case network = 1, transport = 2 }

  fileprivate mutating func load(_ base: Base, offset: UInt32, count: UInt32) {
    expression("payload") {
      $0.attribute(1, UInt32(1).bigEndian)
      $0.attribute(2, base.rawValue.bigEndian)
      $0.attribute(3, offset.bigEndian)
      $0.attribute(4, count.bigEndian)
    }
  }

  fileprivate mutating func loadTransport() {
    expression("meta") {
      $0.attribute(1, UInt32(1).bigEndian)
      // NFT_META_L4PROTO
      $0.attribute(2, UInt32(16).bigEndian)
    }
  }

  /// The rule ends here where the register has another value.
  fileprivate mutating func compare(_ value: [UInt8]) {
    expression("cmp") {
      $0.attribute(1, UInt32(1).bigEndian)
      // NFT_CMP_EQ
      $0.attribute(2, UInt32(0))
      $0.nest(3) { $0.attribute(1, bytes: value) }
    }
  }

  /// Writes into the transport's header, and mends its checksum.
  fileprivate mutating func store(_ value: [UInt8], offset: UInt32, checksum: UInt32) {
    expression("immediate") {
      $0.attribute(1, UInt32(1).bigEndian)
      $0.nest(2) { $0.attribute(1, bytes: value) }
    }
    expression("payload") {
      $0.attribute(5, UInt32(1).bigEndian)
      $0.attribute(2, Base.transport.rawValue.bigEndian)
      $0.attribute(3, offset.bigEndian)
      $0.attribute(4, UInt32(value.count).bigEndian)
      // NFT_PAYLOAD_CSUM_INET
      $0.attribute(6, UInt32(1).bigEndian)
      $0.attribute(7, checksum.bigEndian)
    }
  }

  private mutating func expression(_ name: String, _ body: (inout NetlinkMessage) -> Void) {
    nest(1) {
      $0.attribute(1, text: name)
      $0.nest(2, body)
    }
  }
}
