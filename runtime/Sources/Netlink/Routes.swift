import Errors
import Glibc

/// Where packets to a range of addresses go.
public struct Route: Sendable, Hashable {
  /// What rtnetlink(7) calls RTN_*.
  public enum Kind: UInt8, Sendable { case unicast = 1, local = 2 }

  /// The tables everybody has.
  public static let mainTable: UInt32 = 254
  public static let localTable: UInt32 = 255

  /// Prefix length 0: the default route.
  public var destination: IPSubnet
  /// nil: the destination is on the link itself.
  public var gateway: IPAddress?
  /// Of the interface; nil where it has none (unreachable, several).
  public var index: Int32?
  public var kind = Kind.unicast
  public var table = mainTable
  /// The lower is taken first; nil: as the kernel has it (IPv4 0, IPv6 1024).
  public var metric: UInt32?

  public init(
    _ destination: IPSubnet, through gateway: IPAddress? = nil, on index: Int32?, kind: Kind = .unicast,
    table: UInt32 = mainTable, metric: UInt32? = nil
  ) {
    self.destination = destination
    self.gateway = gateway
    self.index = index
    self.kind = kind
    self.table = table
    self.metric = metric
  }

  /// The default route of a gateway's family.
  public static func standard(through gateway: IPAddress, on index: Int32) -> Route {
    Route(IPSubnet(IPAddress(gateway.family, 0), prefixLength: 0), through: gateway, on: index)
  }

  /// struct rtmsg: u8 family, destination length, source length, tos, table, protocol, scope, type; u32 flags.
  init?(_ reply: NetlinkReply) {
    guard reply.type == RouteMessage.newRoute, let family = reply.payload.first.flatMap(IPAddress.Family.init),
      let length = reply.payload.integer(at: 1, as: UInt8.self).map({ Int($0) }), length <= family.width,
      let kind = reply.payload.integer(at: 7, as: UInt8.self).flatMap(Kind.init),
      let table = reply.payload.integer(at: 4, as: UInt8.self)
    else { return nil }
    let attributes = reply.attributes(after: 12)
    let destination = attributes[RouteAttribute.destination].flatMap { IPAddress(bytes: $0) } ?? IPAddress(family, 0)
    guard destination.family == family else { return nil }
    self.kind = kind
    self.table = attributes[RouteAttribute.table, as: UInt32.self] ?? UInt32(table)
    self.destination = IPSubnet(destination, prefixLength: length)
    gateway = attributes[RouteAttribute.gateway].flatMap { IPAddress(bytes: $0) }
    index = attributes[RouteAttribute.interface, as: Int32.self]
    metric = attributes[RouteAttribute.priority, as: UInt32.self]
  }
}

extension NetlinkSocket {
  /// The unicast and local routes of both families in one table of the namespace.
  public mutating func routes(table: UInt32 = Route.mainTable) throws(ApusError) -> [Route] {
    var routes: [Route] = []
    for family in IPAddress.Family.allCases {
      var message = NetlinkMessage(RouteMessage.getRoute)
      message.append(family.rawValue)
      message.append(bytes: [0, 0, 0, 0, 0, 0, 0])
      message.append(UInt32(0))
      // Of a family that the kernel has not, there are none.
      routes += try dump(
        NetlinkRequest(message, stage: "cannot list the routes", tolerating: [EAFNOSUPPORT, EOPNOTSUPP])
      ).compactMap(Route.init)
    }
    return routes.filter { $0.table == table }
  }
}

extension NetlinkRequest {
  /// Adds a route, or replaces the one to the same destination with the same metric.
  public static func setRoute(_ route: Route) -> NetlinkRequest {
    let what = route.destination.prefixLength == 0 ? "the default route" : "the route to \(route.destination)"
    let through = route.gateway.map { " through \($0)" } ?? ""
    return NetlinkRequest(
      message(RouteMessage.newRoute, [.create, .replace], route), stage: "cannot set \(what)\(through)")
  }

  /// Deletes a route. One that is gone already is fine.
  public static func deleteRoute(_ route: Route) -> NetlinkRequest {
    NetlinkRequest(
      message(RouteMessage.deleteRoute, [], route), stage: "cannot delete the route to \(route.destination)",
      tolerating: [ESRCH, ENODEV])
  }

  private static func message(_ type: UInt16, _ flags: NetlinkMessage.Flags, _ route: Route) -> NetlinkMessage {
    var message = NetlinkMessage(type, flags)
    let family = route.destination.family
    message.append(family.rawValue)
    message.append(UInt8(route.destination.prefixLength))
    message.append(UInt16(0))
    message.append(UInt8(route.table < 256 ? route.table : 0))
    // RTPROT_STATIC.
    message.append(4 as UInt8)
    // RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST; for deleting, RT_SCOPE_NOWHERE stands for any.
    let scope: UInt8 = route.kind == .local ? 254 : route.gateway == nil && family == .v4 ? 253 : 0
    message.append(type == RouteMessage.deleteRoute && family == .v4 ? 255 : scope)
    message.append(route.kind.rawValue)
    // RTNH_F_ONLINK: a gateway outside the interface's subnet is taken at its word.
    message.append(UInt32(route.gateway == nil ? 0 : 4))
    if route.destination.prefixLength > 0 {
      message.attribute(RouteAttribute.destination, bytes: route.destination.first.bytes)
    }
    if let gateway = route.gateway { message.attribute(RouteAttribute.gateway, bytes: gateway.bytes) }
    if let index = route.index { message.attribute(RouteAttribute.interface, index) }
    if let metric = route.metric { message.attribute(RouteAttribute.priority, metric) }
    message.attribute(RouteAttribute.table, route.table)
    return message
  }
}
