import Netlink

/// Names under in-addr.arpa (RFC 1035, 3.5) and ip6.arpa (RFC 3596, 2.5), which stand for addresses.
enum ReverseName {
  /// The address whose name is asked for; nil where `name` (lower case, no trailing dot) is not such a name in full.
  static func address(_ name: String) -> IPAddress? {
    let labels = name.split(separator: ".", omittingEmptySubsequences: false)
    switch (labels.count, name.hasSuffix(".in-addr.arpa"), name.hasSuffix(".ip6.arpa")) {
    case (6, true, _):
      return IPAddress(labels.prefix(4).reversed().joined(separator: "."))
    case (34, _, true):
      var value: UInt128 = 0
      for label in labels.prefix(32).reversed() {
        guard label.utf8.count == 1, let digit = UInt8(label, radix: 16) else { return nil }
        value = value << 4 | UInt128(digit)
      }
      return IPAddress(v6: value)
    default:
      return nil
    }
  }
}
