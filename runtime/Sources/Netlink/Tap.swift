import CLinux
import Errors
import Glibc
import Linux

/// Interfaces whose other end is a program: a machine's hypervisor (linux/Documentation/networking/tuntap.rst).
public enum Tap {
  /// Makes one in the calling thread's network namespace, down. It stays until it is deleted. One of the name that is
  /// there already gets the owner.
  ///
  /// - Parameter owner: the user who may open it.
  public static func make(_ name: String, owner: UInt32) throws(ApusError) {
    guard !name.isEmpty, name.utf8.count <= Link.nameLimit else {
      throw ApusError(.invalidArgument, "cannot make the tap \(name): a name has 1 to \(Link.nameLimit) bytes")
    }
    let file = try Files.open("/dev/net/tun", flags: O_RDWR)
    // struct ifreq: 16 bytes of name, then IFF_TAP | IFF_NO_PI | IFF_VNET_HDR; TUNSETIFF, TUNSETOWNER, TUNSETPERSIST.
    var request = [UInt8](repeating: 0, count: 40)
    request.replaceSubrange(0..<name.utf8.count, with: name.utf8)
    withUnsafeBytes(of: 0x5002 as UInt16) { request.replaceSubrange(16..<18, with: $0) }
    try check(
      request.withUnsafeMutableBytes { clinux_ioctl(file.raw, 0x4004_54ca, $0.baseAddress) },
      "cannot make the tap \(name)")
    try check(
      clinux_ioctl(file.raw, 0x4004_54cc, UnsafeMutableRawPointer(bitPattern: UInt(owner))),
      "cannot give the tap \(name) to user \(owner)")
    try check(
      clinux_ioctl(file.raw, 0x4004_54cb, UnsafeMutableRawPointer(bitPattern: 1 as UInt)), "cannot keep the tap \(name)"
    )
  }
}
