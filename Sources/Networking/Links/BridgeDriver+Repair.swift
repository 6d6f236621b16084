import Errors
import Netlink

extension BridgeDriver {
  /// Makes the ends of running instances ports of the bridge again, where that was deleted under them and is new.
  public func plugAgain(_ endpoints: [Endpoint], of network: NetworkDefinition) throws(ApusError) {
    var socket = try NetlinkSocket()
    guard let bridge = try socket.index(of: network.interface) else { return }
    var requests: [NetlinkRequest] = []
    for endpoint in endpoints {
      guard let link = try socket.link(endpoint.hostInterface), link.master != bridge else { continue }
      requests.append(.change(.index(link.index), LinkChange(isUp: true, master: bridge)))
      if !network.allowsNeighbours { requests.append(.change(.index(link.index), LinkChange(isIsolated: true))) }
    }
    try socket.perform(requests)
  }

  /// Deletes the host's end of an instance that does not run any more: the kernel has, unless somebody else is still in
  /// the instance's namespace.
  public func deleteStray(_ endpoint: Endpoint) throws(ApusError) {
    var socket = try NetlinkSocket()
    try socket.perform([.delete(.name(endpoint.hostInterface))])
  }
}
