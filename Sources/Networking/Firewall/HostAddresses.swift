import Glibc
import Netlink

/// The addresses that the host has now.
enum HostAddresses {
  static func contains(_ address: IPAddress) -> Bool {
    if address.isLoopback { return true }
    var first: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&first) == 0 else { return false }
    defer { freeifaddrs(first) }
    var next = first
    while let entry = next {
      next = entry.pointee.ifa_next
      guard let name = entry.pointee.ifa_addr else { continue }
      let raw = UnsafeRawPointer(name)
      switch Int32(name.pointee.sa_family) {
      case AF_INET:
        if IPAddress(bytes: UnsafeRawBufferPointer(start: raw + 4, count: 4)) == address { return true }
      case AF_INET6:
        if IPAddress(bytes: UnsafeRawBufferPointer(start: raw + 8, count: 16)) == address { return true }
      default: break
      }
    }
    return false
  }
}
