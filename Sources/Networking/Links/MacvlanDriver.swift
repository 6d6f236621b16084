import Errors
import Glibc
import Linux
import Netlink

/// Networks that are the host's own link: every instance has an interface with an Ethernet address of its own on it.
///
/// The host itself is not reached over it (the kernel keeps parent and children apart), and no firewall of the host is
/// passed.
public struct MacvlanDriver: NetworkDriver {
  public init() {}

  public func prepare(_ network: NetworkDefinition) throws(ApusError) {
    _ = try mode(of: network)
    _ = try parent(of: network, try NetlinkSocket())
  }

  /// Nothing is on the host but the parent, which is not ours; interfaces go with their namespaces.
  public func remove(_ network: NetworkDefinition) throws(ApusError) {}

  public func plug(
    _ endpoint: Endpoint, of network: NetworkDefinition, into namespace: NetworkNamespace
  ) throws(ApusError) {
    var socket = try NetlinkSocket()
    let mode = try mode(of: network)
    let parent = try parent(of: network, socket)
    // The kernel looks for a name that is taken here, not there: "eth0" would be found. It is renamed inside.
    let name = endpoint.hostInterface
    guard try isPlugged(endpoint, in: namespace) == false else {
      return try configure(endpoint, endpoint.interface, network, in: namespace)
    }
    try socket.perform(
      .makeMacvlan(
        VirtualEthernetEnd(name: name, mac: endpoint.mac), on: parent, mode: mode, in: namespace.descriptor,
        mtu: network.mtu))
    do {
      try configure(endpoint, name, network, in: namespace)
    } catch {
      var inside = try NetlinkSocket(in: namespace)
      try? inside.perform([.delete(.name(name))])
      if let link = try? inside.link(endpoint.interface), link.mac == endpoint.mac {
        try? inside.perform(.delete(.index(link.index)))
      }
      throw error
    }
  }

  public func unplug(
    _ endpoint: Endpoint, of network: NetworkDefinition, from namespace: NetworkNamespace?
  ) throws(ApusError) {
    // Nothing of it is outside its namespace.
    guard let namespace else { return }
    var inside = try NetlinkSocket(in: namespace)
    guard let link = try inside.link(endpoint.interface), link.mac == endpoint.mac else { return }
    try inside.perform(.delete(.index(link.index)))
  }

  public func makeTap(
    _ endpoint: Endpoint, of network: NetworkDefinition, owner: UInt32
  ) throws(ApusError) -> String {
    throw ApusError(
      .unsupported,
      "cannot plug a machine into the network \(network.name): machines are plugged into bridges only; use a network of "
        + "the driver bridge")
  }

  private func configure(
    _ endpoint: Endpoint, _ name: String, _ network: NetworkDefinition, in namespace: NetworkNamespace
  ) throws(ApusError) {
    // The link is the outside's, and so are its routers.
    try InsideInterface(endpoint: endpoint, name: name, mtu: network.mtu, acceptsRouters: true).configure(in: namespace)
  }

  private func isPlugged(_ endpoint: Endpoint, in namespace: NetworkNamespace) throws(ApusError) -> Bool {
    var inside = try NetlinkSocket(in: namespace)
    guard let link = try inside.link(endpoint.interface) else { return false }
    guard link.mac == endpoint.mac else {
      throw ApusError(.conflict, "the instance has another interface \(endpoint.interface) already")
    }
    return true
  }

  private func mode(of network: NetworkDefinition) throws(ApusError) -> MacvlanMode {
    guard let mode = MacvlanMode(rawValue: network.macvlanMode) else {
      let known = MacvlanMode.allCases.map(\.rawValue).joined(separator: ", ")
      throw ApusError(
        .invalidArgument, "cannot make the network \(network.name): \(network.macvlanMode) is not one of \(known)")
    }
    return mode
  }

  private func parent(of network: NetworkDefinition, _ socket: borrowing NetlinkSocket) throws(ApusError) -> Int32 {
    guard let parent = try socket.index(of: network.interface) else {
      throw ApusError(
        .notFound,
        "the network \(network.name) is on the interface \(network.interface), which this host has not; name one of "
          + "its interfaces (ip link)")
    }
    return parent
  }
}
