import Glibc
import Netlink

/// An address and port as system calls take and give them.
struct SocketAddress: Sendable {
  private var storage = sockaddr_storage()
  private var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

  /// Room for one that is received.
  init() {}

  init(_ address: IPAddress, port: UInt16) {
    withUnsafeMutableBytes(of: &storage) { bytes in
      switch address.family {
      case .v4:
        var value = sockaddr_in()
        value.sin_family = sa_family_t(AF_INET)
        value.sin_port = port.bigEndian
        withUnsafeMutableBytes(of: &value.sin_addr) { $0.copyBytes(from: address.bytes) }
        bytes.storeBytes(of: value, as: sockaddr_in.self)
      case .v6:
        var value = sockaddr_in6()
        value.sin6_family = sa_family_t(AF_INET6)
        value.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &value.sin6_addr) { $0.copyBytes(from: address.bytes) }
        bytes.storeBytes(of: value, as: sockaddr_in6.self)
      }
    }
    length = socklen_t(address.family == .v4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
  }

  /// 0 for a family without ports. At the same place in IPv4's and IPv6's addresses.
  var port: UInt16 {
    withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)) }
  }

  mutating func withPointer<Result>(_ body: (__CONST_SOCKADDR_ARG, socklen_t) -> Result) -> Result {
    let length = self.length
    return withUnsafePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body(__CONST_SOCKADDR_ARG(__sockaddr__: $0), length) }
    }
  }

  mutating func receive<Result>(
    _ body: (__SOCKADDR_ARG, UnsafeMutablePointer<socklen_t>) -> Result
  ) -> Result {
    length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) { storage in
      withUnsafeMutablePointer(to: &length) { length in
        storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { body(__SOCKADDR_ARG(__sockaddr__: $0), length) }
      }
    }
  }
}
