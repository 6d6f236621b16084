import Errors
import Glibc
import Linux

/// A netlink(7) socket to netfilter, of the network namespace that the thread is in which makes it.
final class NetfilterSocket: Sendable {
  private let socket: OwnedDescriptor

  /// To wait for while this lives.
  var descriptor: Int32 { socket.raw }

  /// - Parameter group: whose notes to get (NFNLGRP_*).
  init(group: Int32? = nil) throws(ApusError) {
    // NETLINK_NETFILTER
    socket = OwnedDescriptor(
      owning: try check(
        Glibc.socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 12),
        "cannot make a socket to the kernel's packet filter"))
    // A dump's pages arrive as fast as they are read; acknowledgements of a large transaction all at once.
    var size: Int32 = 1 << 20
    setsockopt(socket.raw, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    if var group {
      // What has no address of its own is taken for the one who caused it, and hears nothing. struct sockaddr_nl: u16
      // family, u16 padding, u32 address (0: any), u32 groups.
      var own: (UInt16, UInt16, UInt32, UInt32) = (UInt16(AF_NETLINK), 0, 0, 0)
      try check(
        withUnsafeMutablePointer(to: &own) { own in
          own.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(socket.raw, __CONST_SOCKADDR_ARG(__sockaddr__: $0), 12)
          }
        }, "cannot listen to the kernel's packet filter")
      // SOL_NETLINK, NETLINK_ADD_MEMBERSHIP
      try check(
        setsockopt(socket.raw, 270, 1, &group, socklen_t(MemoryLayout<Int32>.size)),
        "cannot listen to the kernel's packet filter")
    }
  }

  /// Calls `body` with type and payload of each note that has come.
  ///
  /// - Throws: resourceExhausted, when some were lost because too many came.
  func notes(_ body: (UInt16, UnsafeRawBufferPointer) -> Void) throws(ApusError) {
    try receive(flags: Int32(MSG_DONTWAIT)) { type, payload in
      body(type, payload)
      return true
    }
  }

  /// Sends a transaction, which the kernel has done or refused when this returns.
  ///
  /// - Parameter tolerated: an errno(3) that is as good as success.
  func commit(_ messages: NetfilterMessages, tolerating tolerated: Int32 = 0) throws(ApusError) {
    try send(messages)
    var failure: Int32 = 0
    try receive(flags: Int32(MSG_DONTWAIT)) { type, payload in
      // The first complaint is the cause, what follows is of what it made impossible.
      if type == 2, failure == 0 { failure = -payload.loadUnaligned(as: Int32.self) }
      return true
    }
    guard failure == 0 || failure == tolerated else {
      throw ApusError(errno: failure, "cannot change the host's packet filter")
    }
  }

  /// Sends a request and calls `body` with the payload of each message that answers it, until the last.
  func dump(_ messages: NetfilterMessages, _ body: (UnsafeRawBufferPointer) -> Void) throws(ApusError) {
    try send(messages)
    var failure: Int32 = 0
    try receive(flags: 0) { type, payload in
      switch type {
      case 2: failure = -payload.loadUnaligned(as: Int32.self)
      case 3: return false
      default:
        body(payload)
        return true
      }
      return false
    }
    guard failure == 0 else { throw ApusError(errno: failure, "cannot read from the kernel's packet filter") }
  }

  /// Sends a request and calls `body` with the payload of the one message that answers it.
  func ask(_ messages: NetfilterMessages, _ body: (UnsafeRawBufferPointer) -> Void) throws(ApusError) {
    try send(messages)
    var failure: Int32 = 0
    try receive(flags: 0) { type, payload in
      if type == 2 { failure = -payload.loadUnaligned(as: Int32.self) } else { body(payload) }
      return false
    }
    guard failure == 0 else { throw ApusError(errno: failure, "cannot ask the kernel's packet filter") }
  }

  private func send(_ messages: NetfilterMessages) throws(ApusError) {
    try check(
      messages.bytes.withUnsafeBytes { bytes in
        retrying { Glibc.send(socket.raw, bytes.baseAddress, bytes.count, 0) }
      }, "cannot speak to the kernel's packet filter")
  }

  /// Calls `body` with type and payload of each message until it returns false or, without waiting, none is left.
  private func receive(
    flags: Int32, _ body: (UInt16, UnsafeRawBufferPointer) -> Bool
  ) throws(ApusError) {
    try withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 8) { buffer throws(ApusError) in
      while true {
        let count = retrying { recv(socket.raw, buffer.baseAddress, buffer.count, flags) }
        if count < 0, errno == EAGAIN { return }
        try check(count, "cannot hear from the kernel's packet filter")
        var rest = UnsafeRawBufferPointer(buffer.prefixBytes(count))
        while rest.count >= 16 {
          let length = Int(rest.loadUnaligned(as: UInt32.self))
          guard length >= 16, length <= rest.count else { break }
          let type = rest.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
          let payload = UnsafeRawBufferPointer(rebasing: rest[16..<length])
          guard body(type, payload) else { return }
          rest = UnsafeRawBufferPointer(rebasing: rest[min((length + 3) & ~3, rest.count)...])
        }
      }
    }
  }
}

extension UnsafeMutableRawBufferPointer {
  fileprivate func prefixBytes(_ count: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: self[..<count])
  }
}
