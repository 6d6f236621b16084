import Errors
import Foundation
import Glibc
import Linux
import Netlink
import Synchronization

/// An address for the calls of socket(7).
struct TestAddress {
  var storage = sockaddr_in6()
  var length = socklen_t(MemoryLayout<sockaddr_in6>.size)

  init() {}

  init(_ address: IPAddress, _ port: UInt16) {
    withUnsafeMutableBytes(of: &storage) { bytes in
      bytes.storeBytes(of: sa_family_t(address.family == .v4 ? AF_INET : AF_INET6), as: sa_family_t.self)
      bytes.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
      for (index, byte) in address.bytes.enumerated() { bytes[(address.family == .v4 ? 4 : 8) + index] = byte }
    }
    if address.family == .v4 { length = socklen_t(MemoryLayout<sockaddr_in>.size) }
  }

  /// IPv4 in IPv6 as IPv4.
  var address: IPAddress? {
    withUnsafeBytes(of: storage) { bytes in
      if bytes.loadUnaligned(as: sa_family_t.self) == AF_INET { return IPAddress(bytes: bytes[4..<8]) }
      let value = IPAddress(bytes: bytes[8..<24])
      if let value, value.value >> 32 == 0xffff { return IPAddress(.v4, value.value) }
      return value
    }
  }

  mutating func reading(_ body: (__SOCKADDR_ARG, UnsafeMutablePointer<socklen_t>) -> Int) -> Int {
    withUnsafeMutablePointer(to: &storage) { name in
      withUnsafeMutablePointer(to: &length) { body(__SOCKADDR_ARG(__sockaddr_in6__: name), $0) }
    }
  }

  func using(_ body: (__CONST_SOCKADDR_ARG, socklen_t) -> Int) -> Int {
    withUnsafePointer(to: storage) { body(__CONST_SOCKADDR_ARG(__sockaddr_in6__: $0), length) }
  }
}

/// Says its name and the address of whoever asks, by TCP and UDP on one port.
final class EchoServer: Sendable {
  private let isStopped = Atomic(false)
  private let done = DispatchSemaphore(value: 0)

  init(_ name: String, port: UInt16, namespace: String) throws {
    let (tcp, udp) = try FirewallWorld.thread(in: namespace) { () throws -> (Int32, Int32) in
      let any = TestAddress(IPAddress(v6: 0), port)
      let tcp = try check(socket(AF_INET6, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0), "socket")
      let udp = try check(socket(AF_INET6, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0), "socket")
      try check(any.using { Int(bind(tcp, $0, $1)) }, "bind")
      try check(any.using { Int(bind(udp, $0, $1)) }, "bind")
      try check(listen(tcp, 64), "listen")
      return (tcp, udp)
    }
    let thread = Thread { [self] in
      while !isStopped.load(ordering: .relaxed) {
        var polled = [
          pollfd(fd: tcp, events: Int16(POLLIN), revents: 0), pollfd(fd: udp, events: Int16(POLLIN), revents: 0),
        ]
        _ = poll(&polled, 2, 20)
        var peer = TestAddress()
        if polled[0].revents != 0 {
          let connection = Int32(peer.reading { Int(accept(tcp, $0, $1)) })
          let answer = "\(name) \(peer.address?.description ?? "?")"
          _ = answer.withCString { send(connection, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
          close(connection)
        }
        if polled[1].revents != 0 {
          var buffer = [UInt8](repeating: 0, count: 64)
          _ = peer.reading { recvfrom(udp, &buffer, 64, 0, $0, $1) }
          let answer = "\(name) \(peer.address?.description ?? "?")"
          _ = answer.withCString { text in peer.using { sendto(udp, text, strlen(text), 0, $0, $1) } }
        }
      }
      close(tcp)
      close(udp)
      done.signal()
    }
    thread.start()
  }

  func stop() {
    isStopped.store(true, ordering: .relaxed)
    done.wait()
  }
}

/// Whoever asks an ``EchoServer``, from the namespace of its thread.
enum Client {
  static func ask(_ text: String, _ port: UInt16, udp: Bool, timeout: Int, from sourcePort: UInt16 = 0) -> String? {
    guard let address = IPAddress(text) else { return nil }
    let kind = udp ? SOCK_DGRAM.rawValue : SOCK_STREAM.rawValue
    let raw = socket(address.family == .v4 ? AF_INET : AF_INET6, Int32(kind | SOCK_CLOEXEC.rawValue), 0)
    guard raw >= 0 else { return nil }
    defer { close(raw) }
    if sourcePort != 0 {
      let own = TestAddress(IPAddress(address.family, 0), sourcePort)
      guard own.using({ Int(bind(raw, $0, $1)) }) == 0 else { return nil }
    }
    var limit = timeval(tv_sec: timeout / 1000, tv_usec: timeout % 1000 * 1000)
    setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(raw, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    guard TestAddress(address, port).using({ Int(connect(raw, $0, $1)) }) == 0 else { return nil }
    if udp { _ = "?".withCString { send(raw, $0, 1, 0) } }
    var buffer = [UInt8](repeating: 0, count: 128)
    let count = recv(raw, &buffer, 128, 0)
    return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
  }
}
