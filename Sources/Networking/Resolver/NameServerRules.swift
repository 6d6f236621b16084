import Errors
import Glibc
import Linux
import Netlink

/// The rules of an instance's network namespace that lead 127.0.0.11's port 53 to the resolver's sockets.
///
/// They write the port into the packets, both ways, and need no connection tracking: an instance's own traffic is not
/// tracked for it (docs/decisions/0032). A query is changed before the instance's own tracking sees it, and its answer
/// after, so that both belong to the same connection there.
enum NameServerRules {
  static let table = "apus_dns"
  /// Where Docker's instances find their name server too.
  static let address = IPAddress(v4: 0x7f00_000b)

  /// Puts the rules into the network namespace that the calling thread is in; those of an earlier resolver are replaced.
  ///
  /// - Parameter datagrams: the port of the socket for UDP.
  /// - Parameter streams: of the one for TCP.
  /// - Returns: a socket to be closed some time later: after a table has been removed, closing it waits for all processors
  ///   to have forgotten the table, which takes ten milliseconds and more.
  static func install(datagrams: UInt16, streams: UInt16) throws(ApusError) -> NetlinkSocket? {
    let socket = try NetlinkSocket(.netfilter)
    let isReplacing = try hasTable(socket)
    let batch = batch(datagrams: datagrams, streams: streams, isReplacing: isReplacing)
    let errors = try exchange(batch.bytes, answers: batch.changes, on: socket)
    if let error = errors.first(where: { $0 != 0 }) {
      throw ApusError(errno: error, "nf_tables refuses the rules for name resolution")
    }
    if isReplacing { return socket }
    return nil
  }

  private static func hasTable(_ socket: borrowing NetlinkSocket) throws(ApusError) -> Bool {
    try exchange(NetfilterBatch.query(table: table), answers: 1, on: socket) == [0]
  }

  /// Sends, and reads the numbers of as many answers.
  private static func exchange(
    _ bytes: [UInt8], answers: Int, on socket: borrowing NetlinkSocket
  ) throws(ApusError) -> [Int32] {
    let descriptor = socket.descriptor
    // Carried out when send(2) returns; what became of it waits to be read.
    try check(retrying { send(descriptor, bytes, bytes.count, 0) }, "cannot send rules to nf_tables")
    var buffer = [UInt8](repeating: 0, count: 4096)
    var errors: [Int32] = []
    while errors.count < answers {
      let count = retrying { recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT)) }
      try check(count, "cannot read nf_tables' answer to the rules for name resolution")
      errors += Self.errors(buffer[..<count])
    }
    return errors
  }

  /// The numbers in messages of type NLMSG_ERROR (netlink(7)), as errno(3) has them; 0 says that all is well.
  private static func errors(_ messages: ArraySlice<UInt8>) -> [Int32] {
    messages.withUnsafeBytes { bytes in
      var errors: [Int32] = []
      var offset = 0
      while offset + 20 <= bytes.count {
        let length = Int(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        guard length >= 20 else { break }
        if bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt16.self) == 2 {
          errors.append(-bytes.loadUnaligned(fromByteOffset: offset + 16, as: Int32.self))
        }
        offset += (length + 3) & ~3
      }
      return errors
    }
  }

  /// As nft(8) would put it:
  ///
  ///     table ip apus_dns {
  ///       chain query { type filter hook output priority raw
  ///         ip daddr 127.0.0.11 udp dport 53 udp dport set DATAGRAMS
  ///         ip daddr 127.0.0.11 tcp dport 53 tcp dport set STREAMS }
  ///       chain answer { type filter hook postrouting priority 300
  ///         ip saddr 127.0.0.11 udp sport DATAGRAMS udp sport set 53
  ///         ip saddr 127.0.0.11 tcp sport STREAMS tcp sport set 53 }
  ///     }
  private static func batch(datagrams: UInt16, streams: UInt16, isReplacing: Bool) -> NetfilterBatch {
    var batch = NetfilterBatch()
    if isReplacing { batch.deleteTable(table) }
    batch.addTable(table)
    batch.addChain("query", to: table, hook: .output, priority: -300)
    batch.addChain("answer", to: table, hook: .postrouting, priority: 300)
    for (transport, port) in [(NetfilterBatch.Transport.udp, datagrams), (.tcp, streams)] {
      batch.addRewrite(to: "query", of: table, end: .destination, address, transport, from: 53, to: port)
      batch.addRewrite(to: "answer", of: table, end: .source, address, transport, from: port, to: 53)
    }
    batch.finish()
    return batch
  }
}
