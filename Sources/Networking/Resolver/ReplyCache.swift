import Netlink

/// Which queries are the same to another server: what is asked, how, and of whom.
struct ForwardedQuery: Hashable, Sendable {
  /// In lower case.
  let question: DNSQuestion
  let flags: DNSHeader.Flags
  /// nil: asked without, so that the reply has none for a client that knows none.
  let extensions: DNSExtensions?
  let servers: [IPAddress]

  init(_ query: DNSQuery, servers: [IPAddress]) {
    question = query.question.folded
    flags = query.flags.intersection(.asked)
    extensions = query.extensions.map { DNSExtensions(isSecure: $0.isSecure) }
    self.servers = servers
  }

  /// As it is sent.
  func encoded(id: UInt16) -> [UInt8] {
    DNSHeader(id: id, flags: flags, additional: extensions == nil ? 0 : 1).bytes + question.wire
      + (extensions?.bytes() ?? [])
  }
}

/// Replies of other servers, for as long as they may be kept. The oldest make room.
struct ReplyCache {
  private struct Entry {
    let reply: DNSReply
    let stored: Milliseconds
    let serial: UInt64
    var expiry: Milliseconds { stored + Milliseconds(reply.lifetime) * 1000 }
  }

  private var entries: [ForwardedQuery: Entry] = [:]
  /// In the order of coming; those that were replaced since are skipped.
  private var order: [(query: ForwardedQuery, serial: UInt64)] = []
  private var oldest = 0
  private var serial: UInt64 = 0
  private(set) var bytes = 0
  private let mostEntries: Int
  private let mostBytes: Int

  var count: Int { entries.count }

  init(entries: Int = 4096, bytes: Int = 4 << 20) {
    mostEntries = entries
    mostBytes = bytes
  }

  /// The reply and its age in seconds.
  mutating func reply(to query: ForwardedQuery, at now: Milliseconds) -> (reply: DNSReply, age: UInt32)? {
    guard let entry = entries[query] else { return nil }
    guard now < entry.expiry else {
      forget(query)
      return nil
    }
    return (entry.reply, UInt32((now - entry.stored) / 1000))
  }

  mutating func store(_ reply: DNSReply, to query: ForwardedQuery, at now: Milliseconds) {
    guard reply.lifetime > 0, Self.size(reply) <= mostBytes / 16 else { return }
    forget(query)
    serial += 1
    entries[query] = Entry(reply: reply, stored: now, serial: serial)
    order.append((query, serial))
    bytes += Self.size(reply)
    while entries.count > mostEntries || bytes > mostBytes { dropOldest() }
    // What has been skipped or dropped is cleared away once it is half of everything.
    if oldest > 64, oldest * 2 > order.count {
      order.removeFirst(oldest)
      oldest = 0
    }
    if order.count - oldest > 2 * mostEntries { compact() }
  }

  private mutating func dropOldest() {
    guard oldest < order.count else { return }
    let (query, serial) = order[oldest]
    oldest += 1
    if entries[query]?.serial == serial { forget(query) }
  }

  private mutating func compact() {
    order = order[oldest...].filter { entries[$0.query]?.serial == $0.serial }
    oldest = 0
  }

  private mutating func forget(_ query: ForwardedQuery) {
    if let entry = entries.removeValue(forKey: query) { bytes -= Self.size(entry.reply) }
  }

  /// With what the entry itself takes, roughly.
  private static func size(_ reply: DNSReply) -> Int { reply.bytes.count + 512 }
}
