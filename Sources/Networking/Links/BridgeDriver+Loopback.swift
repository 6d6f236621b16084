import Errors
import Netlink

extension BridgeDriver {
  /// Where the routes to ::1 through bridges begin: after every route that the host has for itself.
  private static let loopbackMetric: UInt32 = 4_096

  /// Lets connections that the host makes to its own 127.0.0.1 and ::1 come back over a bridge; for networks with
  /// published ports. May be repeated.
  ///
  /// What arrives at a bridge for 127.0.0.0/8 otherwise is dropped by the firewall (CVE-2020-8558), for ::1 by the kernel
  /// itself (RFC 4291, 2.5.3). A reply has that destination only once its addresses are translated back. IPv6 then looks for
  /// a route of the interface it came in by, and finds none but this one.
  public func publishLoopback(of network: NetworkDefinition) throws(ApusError) {
    if network.subnet(.v4) != nil, let change = try KernelParameter.routeLoopback(on: network.interface).set() {
      report(change)
    }
    guard network.subnet(.v6) != nil else { return }
    if let change = try KernelParameter.bridgedPacketsSkipIP6Tables.set() { report(change) }
    var socket = try NetlinkSocket()
    guard let index = try socket.index(of: network.interface) else { return }
    try socket.perform([
      .setRoute(
        Route(
          IPSubnet(IPAddress(v6: 1), prefixLength: 128), on: index, kind: .local, table: Route.localTable,
          metric: Self.loopbackMetric + UInt32(index)))
    ])
  }

  /// Lets an instance reach its own published ports by the host's addresses where bridged IPv4 packets pass iptables
  /// (br_netfilter): their addresses are translated within the bridge then, and the frame has to go back to where it came
  /// from. May be repeated.
  public func publishToItself(_ endpoint: Endpoint) throws(ApusError) {
    guard endpoint.ipv4 != nil, KernelParameter.bridgedPacketsPassIPTables.isSet else { return }
    var socket = try NetlinkSocket()
    guard let index = try socket.index(of: endpoint.hostInterface) else { return }
    try socket.perform([.change(.index(index), LinkChange(reflects: true))])
  }
}
