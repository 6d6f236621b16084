import Errors
import Glibc
import Linux
import Netlink

/// A bound socket that never listens and never receives.
struct PortSocket: ~Copyable, Sendable {
  /// Nil: the host's kernel does not know the protocol, so no program of the host can have the port.
  private let descriptor: Int32?

  /// - Parameters:
  ///   - address: nil: every address of both families, by one socket.
  ///   - port: 0: any that is free.
  /// - Throws: bind(2)'s error.
  init(_ proto: PortProtocol, _ address: IPAddress?, port: UInt16) throws(ApusError) {
    if let address {
      descriptor = try Self.bind(proto, address, port: port, isForBoth: false)
    } else if let both = try Self.bind(proto, IPAddress(v6: 0), port: port, isForBoth: true) {
      descriptor = both
    } else {
      // A host without IPv6.
      descriptor = try Self.bind(proto, IPAddress(v4: 0), port: port, isForBoth: false)
    }
  }

  deinit { if let descriptor { close(descriptor) } }

  /// The one that the kernel chose.
  func port() throws(ApusError) -> UInt16 {
    guard let descriptor else {
      throw ApusError(.unsupported, "the host's kernel has no SCTP to choose a port by; name the port to publish")
    }
    var address = sockaddr_in6()
    var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    let result = withUnsafeMutablePointer(to: &address) {
      getsockname(descriptor, __SOCKADDR_ARG(__sockaddr_in6__: $0), &length)
    }
    try check(result, "cannot tell which port the kernel has chosen")
    // At the same place in both families' addresses.
    return UInt16(bigEndian: address.sin6_port)
  }

  /// - Returns: nil where the kernel has no such protocol.
  private static func bind(
    _ proto: PortProtocol, _ address: IPAddress, port: UInt16, isForBoth: Bool
  ) throws(ApusError) -> Int32? {
    let isV4 = address.family == .v4
    let type = Int32(proto == .udp ? SOCK_DGRAM.rawValue : SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let raw = socket(isV4 ? AF_INET : AF_INET6, type, Int32(proto.number))
    if raw < 0, errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT { return nil }
    let owned = OwnedDescriptor(owning: try check(raw, "cannot make a socket"))
    let socket = owned.raw
    var only: Int32 = isForBoth ? 0 : 1
    if !isV4 { setsockopt(socket, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &only, 4) }
    if proto == .udp { discardEverything(socket) }

    func bind() -> Int32 {
      if isV4 {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.value).bigEndian
        return withUnsafePointer(to: &name) {
          Glibc.bind(
            socket, __CONST_SOCKADDR_ARG(__sockaddr_in__: $0), socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      var name = sockaddr_in6()
      name.sin6_family = sa_family_t(AF_INET6)
      name.sin6_port = port.bigEndian
      withUnsafeMutableBytes(of: &name.sin6_addr) { $0.copyBytes(from: address.bytes) }
      return withUnsafePointer(to: &name) {
        Glibc.bind(socket, __CONST_SOCKADDR_ARG(__sockaddr_in6__: $0), socklen_t(MemoryLayout<sockaddr_in6>.size))
      }
    }

    var result = bind()
    if result < 0, errno == EADDRINUSE, proto == .tcp, port != 0 {
      // Connections of a server that has gone stand for a minute; with SO_REUSEADDR they are in nobody's way. Taken
      // back afterwards, it lets no other program listen: listen(2) looks at our socket as it is then.
      var reuse: Int32 = 1
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &reuse, 4)
      result = bind()
      reuse = 0
      let why = errno
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &reuse, 4)
      errno = why
    }
    try check(result, "cannot reserve port \(port)/\(proto.rawValue) of \(address)")
    return owned.release()
  }

  /// What the rules let pass (to a link's own address, say) would otherwise fill the socket's buffer.
  private static func discardEverything(_ socket: Int32) {
    // BPF_RET | BPF_K 0: keep no byte of it.
    var instruction = (UInt16(0x06), UInt8(0), UInt8(0), UInt32(0))
    withUnsafeMutableBytes(of: &instruction) { code in
      // struct sock_fprog: u16 length, the program's address.
      var program = (UInt64(1), UInt64(UInt(bitPattern: code.baseAddress)))
      // SO_ATTACH_FILTER
      setsockopt(socket, SOL_SOCKET, 26, &program, 16)
    }
  }
}
