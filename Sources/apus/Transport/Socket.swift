import Errors
import Glibc

/// A connected unix stream socket, closed with its last reference.
final class Socket {
  let descriptor: Int32

  /// - Throws: the errno of `connect(2)` when nobody listens.
  init(path: String) throws(SocketFailure) {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw SocketFailure(number: errno) }
    self.descriptor = descriptor
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    withUnsafeMutableBytes(of: &address.sun_path) { target in
      // Endpoint has bounded the path; the last byte stays zero whatever comes.
      for (position, byte) in bytes.prefix(target.count - 1).enumerated() { target[position] = byte }
    }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { base in
        retrying {
          connect(
            descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: base), socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
    }
    if result < 0 { throw SocketFailure(number: errno) }
  }

  deinit { close(descriptor) }

  /// Sends everything, waiting as long as the other side takes.
  func send(_ bytes: [UInt8]) throws(ApusError) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        retrying {
          Glibc.send(descriptor, buffer.baseAddress?.advanced(by: sent), buffer.count - sent, Int32(MSG_NOSIGNAL))
        }
      }
      guard count >= 0 else { throw Self.broken() }
      sent += count
    }
  }

  /// Sends what fits without waiting; 0 when nothing does.
  func sendAvailable(_ bytes: ArraySlice<UInt8>) throws(ApusError) -> Int {
    let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
    let count = bytes.withUnsafeBytes { buffer in
      retrying { Glibc.send(descriptor, buffer.baseAddress, buffer.count, flags) }
    }
    if count >= 0 { return count }
    if errno == EAGAIN || errno == EWOULDBLOCK { return 0 }
    throw Self.broken()
  }

  /// Receives what there is, waiting for the first byte; empty at the end.
  func receive(into buffer: inout [UInt8]) throws(ApusError) -> Int {
    let count = buffer.withUnsafeMutableBytes { target in
      retrying { recv(descriptor, target.baseAddress, target.count, 0) }
    }
    // A peer that went away without reading everything is an end like another.
    if count < 0, errno == ECONNRESET { return 0 }
    guard count >= 0 else { throw Self.broken() }
    return count
  }

  /// Says that nothing more will be sent; receiving goes on.
  func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  private static func broken() -> ApusError {
    ApusError(.unavailable, "The connection to the daemon broke: \(String(cString: strerror(errno))).")
  }
}

/// Why a socket could not be connected.
struct SocketFailure: Error, Sendable {
  let number: Int32
}

/// Repeats a system call that a signal interrupted.
func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result >= 0 || errno != EINTR { return result }
  }
}
