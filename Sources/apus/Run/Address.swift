import Glibc

/// An IPv4 or IPv6 address as an option spells it.
struct Address: Equatable {
  /// Four or sixteen, in network order.
  let bytes: [UInt8]

  var isV4: Bool { bytes.count == 4 }

  /// Dotted decimal, or RFC 4291 text without a zone; nil for anything else.
  init?(_ text: String) {
    let isV4 = !text.contains(":")
    var bytes = [UInt8](repeating: 0, count: isV4 ? 4 : 16)
    guard inet_pton(isV4 ? AF_INET : AF_INET6, text, &bytes) == 1 else { return nil }
    self.bytes = bytes
  }
}

/// A subnet, or a part of one: `172.28.0.0/16`.
struct AddressBlock: Equatable {
  let address: Address
  /// Bits of the prefix.
  let length: Int

  /// `address/length`; nil for anything else.
  init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let address = Address(String(parts[0])), parts[1].allSatisfy(\.isNumber),
      let length = Int(parts[1]), length <= address.bytes.count * 8
    else { return nil }
    self.address = address
    self.length = length
  }

  func contains(_ other: Address) -> Bool {
    guard other.bytes.count == address.bytes.count else { return false }
    return (0..<length).allSatisfy { bit in
      (address.bytes[bit / 8] ^ other.bytes[bit / 8]) & (0x80 >> (bit % 8)) == 0
    }
  }

  func contains(_ other: AddressBlock) -> Bool { other.length >= length && contains(other.address) }

  func overlaps(_ other: AddressBlock) -> Bool { contains(other) || other.contains(self) }
}
