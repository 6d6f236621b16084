import Errors
import Netlink
import Networking

/// What can be said of one endpoint, checked.
enum EndpointOptions {
  /// The slowest rate that a filter of one full packet can keep.
  private static let slowest: UInt64 = 8_000

  static func rate(_ options: [String: String]) throws(ApusError) -> Endpoint.RateLimit {
    Endpoint.RateLimit(
      ingress: try options[NetworkOption.ingressRate].map(bitsPerSecond),
      egress: try options[NetworkOption.egressRate].map(bitsPerSecond))
  }

  /// A number of bits with the units of tc(8): `bit`, `kbit`, `mbit`, `gbit`, powers of 1000; none is bit.
  static func bitsPerSecond(_ text: String) throws(ApusError) -> UInt64 {
    let lower = text.lowercased()
    let digits = lower.prefix { $0.isASCII && $0.isNumber }
    let factors: [Substring: UInt64] = [
      "": 1, "bit": 1, "k": 1_000, "kbit": 1_000, "m": 1_000_000, "mbit": 1_000_000, "g": 1_000_000_000,
      "gbit": 1_000_000_000,
    ]
    guard let number = UInt64(digits), let factor = factors[lower.dropFirst(digits.count)] else {
      throw ApusError(.invalidArgument, "invalid rate \"\(text)\": it is a number of bits per second, such as 10mbit")
    }
    let (rate, isTooLarge) = number.multipliedReportingOverflow(by: factor)
    guard !isTooLarge, rate >= slowest else {
      throw ApusError(.invalidArgument, "invalid rate \"\(text)\": it is at least \(slowest) bits per second")
    }
    return rate
  }

  static func mac(_ text: String) throws(ApusError) -> MACAddress {
    guard let mac = MACAddress(text), mac.isUsable else {
      throw ApusError(.invalidArgument, "invalid MAC address \"\(text)\": it is six bytes, not of a group")
    }
    return mac
  }
}
