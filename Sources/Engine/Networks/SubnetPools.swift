import Crypto
import Netlink

/// Where subnets come from when nobody asks for one.
struct SubnetPools: Sendable {
  /// What is cut into subnets of a size.
  struct Pool: Sendable, Equatable {
    var base: IPSubnet
    var prefixLength: Int
  }

  /// Docker's, in its order.
  static let standard: [Pool] =
    (17...31).compactMap { IPSubnet("172.\($0).0.0/16").map { Pool(base: $0, prefixLength: 16) } }
    + [IPSubnet("192.168.0.0/16")].compactMap { $0.map { Pool(base: $0, prefixLength: 20) } }

  var pools: [Pool]
  /// A /48 of unique local addresses (RFC 4193), of which each network gets a /64.
  let local: IPSubnet

  /// - Parameter identity: of the engine: its prefix is the same for good, and nobody else's.
  init(pools: [Pool] = standard, identity: String) {
    self.pools = pools
    var value: UInt128 = 0xfd
    for byte in SHA256.hash(data: Array(identity.utf8)).prefix(5) { value = value << 8 | UInt128(byte) }
    local = IPSubnet(IPAddress(v6: value << 80), prefixLength: 48)
  }

  /// The first subnet that overlaps none of `used`; nil where all do.
  func free(_ family: IPAddress.Family, avoiding used: [IPSubnet]) -> IPSubnet? {
    let used = used.filter { $0.family == family && $0.prefixLength > 0 }
    for pool in family == .v6 ? [Pool(base: local, prefixLength: 64)] : pools where pool.base.family == family {
      let step = UInt128(1) << UInt128(family.width - pool.prefixLength)
      var first = pool.base.first.value
      while true {
        let subnet = IPSubnet(IPAddress(family, first), prefixLength: pool.prefixLength)
        // What is in the way may be larger than a step.
        guard let obstacle = used.first(where: { $0.overlaps(subnet) }) else { return subnet }
        let (after, wraps) = max(obstacle.last.value, subnet.last.value).addingReportingOverflow(1)
        first = (after + step - 1) / step * step
        if wraps || !pool.base.contains(IPAddress(family, first)) { break }
      }
    }
    return nil
  }
}
