import Errors
import Linux
import Netlink

/// Through whom an instance reaches what is on none of its networks.
public struct DefaultRoute: Sendable, Equatable {
  public var gateway: IPAddress
  /// Of the instance.
  public var interface: String

  public init(through gateway: IPAddress, on interface: String) {
    self.gateway = gateway
    self.interface = interface
  }

  /// Gives a running instance the default routes it should have, after a network came or went; nil: none of that family.
  public static func set(
    v4: DefaultRoute?, v6: DefaultRoute?, in namespace: NetworkNamespace
  ) throws(ApusError) {
    var socket = try NetlinkSocket(in: namespace)
    let present = try socket.routes().filter { $0.destination.prefixLength == 0 }
    var requests: [NetlinkRequest] = []
    for (family, wanted) in [(IPAddress.Family.v4, v4), (.v6, v6)] {
      var route: Route?
      if let wanted {
        guard let index = try socket.index(of: wanted.interface) else {
          throw ApusError(
            .notFound,
            "cannot set the default route through \(wanted.gateway): there is no interface \(wanted.interface)")
        }
        route = .standard(through: wanted.gateway, on: index)
      }
      let others = present.filter {
        $0.destination.family == family && ($0.gateway != route?.gateway || $0.index != route?.index)
      }
      // First the new one: there is no moment without. It replaces one of the same metric.
      if let route { requests.append(.setRoute(route)) }
      requests += others.map { .deleteRoute($0) }
    }
    try socket.perform(requests)
  }
}
