import Dispatch
import Errors
import Glibc
import Netlink

/// Notices when a table of the host is deleted, by `nft flush ruleset` for instance, which is how many hosts' own
/// firewall begins.
final class TableWatch: Sendable {
  /// Unchecked, for Dispatch does not say that its sources may be cancelled by any thread; they may.
  private nonisolated(unsafe) let source: any DispatchSourceRead

  /// - Parameters:
  ///   - table: of the family `inet`, in the network namespace of the calling thread.
  ///   - lost: called on a thread in that namespace.
  init(table: String, lost: @escaping @Sendable () -> Void) throws(ApusError) {
    let namespace = try NetworkNamespace.current()
    // NFNLGRP_NFTABLES
    let socket = try NetfilterSocket(group: 7)
    source = DispatchSource.makeReadSource(fileDescriptor: socket.descriptor, queue: DispatchQueue(label: "tables"))
    source.setEventHandler {
      try? namespace.run { () throws(ApusError) in
        if Self.isDeleted(table, notesOf: socket) { lost() }
      }
    }
    source.activate()
  }

  deinit { source.cancel() }

  private static func isDeleted(_ table: String, notesOf socket: NetfilterSocket) -> Bool {
    var isDeleted = false
    do throws(ApusError) {
      try socket.notes { type, payload in
        // NFT_MSG_DELTABLE, of the family inet
        guard type == 10 << 8 | 2, payload.count > 4, payload[0] == 1 else { return }
        for (type, value) in ConnectionTracking.Attributes(UnsafeRawBufferPointer(rebasing: payload[4...]))
        where type == 1 && value.prefix(while: { $0 != 0 }).elementsEqual(table.utf8) { isDeleted = true }
      }
    } catch {
      // Too much has happened to have heard all of it.
      return !exists(table)
    }
    return isDeleted
  }

  private static func exists(_ table: String) -> Bool {
    var messages = NetfilterMessages()
    // NFT_MSG_GETTABLE
    messages.add(type: 10 << 8 | 1, flags: 0, family: 1) { $0.attribute(1, table) }
    do throws(ApusError) {
      try NetfilterSocket().ask(messages) { _ in }
      return true
    } catch {
      return error.errno != ENOENT
    }
  }
}
