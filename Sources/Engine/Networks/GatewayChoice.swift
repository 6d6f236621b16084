import Netlink
import Networking

/// Which of an instance's networks leads to everywhere else.
enum GatewayChoice {
  /// Sets the gateways, one for each family, and puts the endpoint that has them first.
  ///
  /// Internal networks lead nowhere. Of the others it is the one with the highest priority, and of these the first.
  static func assign(
    _ endpoints: [AttachedEndpoint], definitions: [NetworkDefinition?], priorities: [Int]
  ) -> [AttachedEndpoint] {
    var endpoints = endpoints
    let four = best(.v4, endpoints, definitions, priorities)
    let six = best(.v6, endpoints, definitions, priorities)
    for index in endpoints.indices {
      endpoints[index].endpoint.gateway4 = index == four ? definitions[index]?.subnet(.v4)?.gateway : nil
      endpoints[index].endpoint.gateway6 = index == six ? definitions[index]?.subnet(.v6)?.gateway : nil
    }
    if let first = four ?? six, first != 0 { endpoints.insert(endpoints.remove(at: first), at: 0) }
    return endpoints
  }

  private static func best(
    _ family: IPAddress.Family, _ endpoints: [AttachedEndpoint], _ definitions: [NetworkDefinition?],
    _ priorities: [Int]
  ) -> Int? {
    var best: Int?
    for index in endpoints.indices {
      let endpoint = endpoints[index].endpoint
      guard (family == .v4 ? endpoint.ipv4 : endpoint.ipv6) != nil, let definition = definitions[index],
        !definition.isInternal, definition.subnet(family)?.gateway != nil
      else { continue }
      if let best, priorities[best] >= priorities[index] { continue }
      best = index
    }
    return best
  }
}
