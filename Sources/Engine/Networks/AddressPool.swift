import Errors
import Netlink

/// The addresses of one subnet, and which of them are leased.
///
/// Leases go round: an address that has been given back is the last to be given out again, so that nothing which still
/// remembers its last holder (a client's connection, a neighbour's cache) meets the next one.
struct AddressPool: Sendable {
  let subnet: IPSubnet
  /// What is leased where nobody asks for an address of his own.
  private let range: ClosedRange<UInt128>
  private let reserved: Set<UInt128>
  private var taken: Set<UInt128> = []
  private var next: UInt128

  /// - Parameters:
  ///   - range: within the subnet; nil: all of it.
  ///   - reserved: the gateway's address, and what belongs to others.
  init(subnet: IPSubnet, range: IPSubnet? = nil, reserved: [IPAddress] = []) {
    self.subnet = subnet
    let usable = Self.usable(subnet)
    let asked = range.map { $0.first.value...$0.last.value } ?? usable
    self.range = asked.clamped(to: usable)
    self.reserved = Set(reserved.map(\.value))
    next = self.range.lowerBound
  }

  /// Without the network's and the broadcast address; of IPv6 without the routers' anycast address (RFC 4291, 2.6.1).
  private static func usable(_ subnet: IPSubnet) -> ClosedRange<UInt128> {
    let (first, last) = (subnet.first.value, subnet.last.value)
    guard last - first > 1 else { return first...last }
    return subnet.family == .v4 ? first + 1...last - 1 : first + 1...last
  }

  /// The next free one; nil where there is none.
  mutating func take() -> IPAddress? {
    // More cannot be in the way.
    let obstacles = UInt128(taken.count + reserved.count)
    var candidate = next
    for _ in 0...min(obstacles, range.upperBound - range.lowerBound) {
      if candidate > range.upperBound || candidate < range.lowerBound { candidate = range.lowerBound }
      if !reserved.contains(candidate), taken.insert(candidate).inserted {
        next = candidate == .max ? range.lowerBound : candidate + 1
        return IPAddress(subnet.family, candidate)
      }
      candidate = candidate == .max ? range.lowerBound : candidate + 1
    }
    return nil
  }

  /// A certain one of the subnet. - Returns: false where it is not free.
  mutating func take(_ address: IPAddress) -> Bool {
    guard subnet.contains(address), Self.usable(subnet).contains(address.value), !reserved.contains(address.value)
    else { return false }
    return taken.insert(address.value).inserted
  }

  mutating func release(_ address: IPAddress) { taken.remove(address.value) }

  var isUnused: Bool { taken.isEmpty }
}
