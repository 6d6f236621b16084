import Errors
import Glibc
import Linux
import Netlink

extension BridgeDriver {
  public func plug(
    _ endpoint: Endpoint, of network: NetworkDefinition, into namespace: NetworkNamespace
  ) throws(ApusError) {
    var socket = try NetlinkSocket()
    let bridge = try bridge(of: network, socket)
    let outside = VirtualEthernetEnd(name: endpoint.hostInterface)
    let inside = VirtualEthernetEnd(name: endpoint.interface, mac: endpoint.mac)
    let pair = NetlinkRequest.makePair(outside, inside, in: namespace.descriptor, mtu: network.mtu, master: bridge)
    do {
      try socket.perform(pair)
    } catch let error where error.errno == EEXIST {
      try checkTaken(endpoint, of: network, in: namespace)
      if try isPlugged(endpoint, in: namespace) == false {
        try socket.perform(.delete(.name(outside.name)))
        try socket.perform(pair)
      }
    }
    do {
      try socket.perform(try portRequests(endpoint, network, socket))
      try InsideInterface(endpoint: endpoint, name: inside.name, mtu: network.mtu, acceptsRouters: false)
        .configure(in: namespace)
      try awaitRunning(outside.name, &socket)
    } catch {
      try? socket.perform(.delete(.name(outside.name)))
      throw error
    }
  }

  public func unplug(
    _ endpoint: Endpoint, of network: NetworkDefinition, from namespace: NetworkNamespace?
  ) throws(ApusError) {
    var socket = try NetlinkSocket()
    var requests: [NetlinkRequest] = []
    // Where the namespace has gone the kernel takes the pair away, and what waits for that takes tens of milliseconds.
    // Nobody does it for a tap.
    let mustDelete = namespace == nil ? try isTap(endpoint.hostInterface, &socket) : true
    if mustDelete {
      requests.append(.delete(.name(endpoint.hostInterface)))
    }
    if let bridge = try socket.index(of: network.interface) {
      requests += endpoint.addresses.map { .deleteNeighbour($0, on: bridge) }
    }
    try socket.perform(requests)
  }

  public func makeTap(
    _ endpoint: Endpoint, of network: NetworkDefinition, owner: UInt32
  ) throws(ApusError) -> String {
    guard endpoint.rate.egress == nil else {
      throw ApusError(.unsupported, "cannot limit what a machine sends: only what it receives can be limited")
    }
    var socket = try NetlinkSocket()
    let bridge = try bridge(of: network, socket)
    let name = endpoint.hostInterface
    try Tap.make(name, owner: owner)
    do {
      try socket.perform(.change(.name(name), LinkChange(mtu: network.mtu, master: bridge)))
      try socket.perform(try portRequests(endpoint, network, socket))
    } catch {
      try? socket.perform(.delete(.name(name)))
      throw error
    }
    return name
  }

  /// Deletes the ends of instances on the network's bridge whose endpoint is none of `endpoints`: what a daemon that was
  /// killed has left, and of an instance whose namespace another still uses.
  public func removeStrays(of network: NetworkDefinition, except endpoints: [Endpoint]) throws(ApusError) {
    var socket = try NetlinkSocket()
    guard let bridge = try socket.index(of: network.interface) else { return }
    let known = Set(endpoints.map(\.hostInterface))
    let strays = try socket.links().filter {
      $0.master == bridge && $0.name.hasPrefix(Endpoint.hostPrefix) && !known.contains($0.name)
    }
    try socket.perform(strays.map { .delete(.index($0.index)) })
  }

  private func isTap(_ name: String, _ socket: inout NetlinkSocket) throws(ApusError) -> Bool {
    guard try socket.index(of: name) != nil else { return false }
    return try socket.link(name)?.kind == "tun"
  }

  private func bridge(of network: NetworkDefinition, _ socket: borrowing NetlinkSocket) throws(ApusError) -> Int32 {
    guard let bridge = try socket.index(of: network.interface) else {
      throw ApusError(
        .unavailable,
        "the bridge \(network.interface) of the network \(network.name) is gone; restart the daemon, which makes it again"
      )
    }
    return bridge
  }

  /// Takes the bridge's port up. It is no host of its own: it gets no address. (It would when packets can pass, which is
  /// when the other end is up too.)
  private func portRequests(
    _ endpoint: Endpoint, _ network: NetworkDefinition, _ socket: borrowing NetlinkSocket
  ) throws(ApusError) -> [NetlinkRequest] {
    let name = endpoint.hostInterface
    var requests: [NetlinkRequest] = []
    if let rate = endpoint.rate.ingress, let index = try socket.index(of: name) {
      requests.append(.limit(index, to: rate))
    }
    requests.append(
      .change(
        .name(name),
        LinkChange(isUp: true, generatesAddresses: false, isIsolated: network.allowsNeighbours ? nil : true)))
    return requests
  }

  /// Waits until packets pass.
  ///
  /// The kernel takes note of an interface's being connected a little later, and until then drops what is sent: the first
  /// question for a neighbour would be lost, and repeated after a second. Being asked, it takes note at once (Linux 6.8);
  /// before, it takes a few milliseconds.
  private func awaitRunning(_ name: String, _ socket: inout NetlinkSocket) throws(ApusError) {
    for _ in 0..<100 {
      guard let link = try socket.link(name), !link.isRunning else { return }
      usleep(1_000)
    }
  }

  /// Whether the interface inside is the one that the endpoint wants: it was plugged before.
  private func isPlugged(_ endpoint: Endpoint, in namespace: NetworkNamespace) throws(ApusError) -> Bool {
    var socket = try NetlinkSocket(in: namespace)
    return try socket.link(endpoint.interface)?.mac == endpoint.mac
  }

  /// Refuses where what exists already is the name inside, in the hands of another interface.
  private func checkTaken(
    _ endpoint: Endpoint, of network: NetworkDefinition, in namespace: NetworkNamespace
  ) throws(ApusError) {
    var inside = try NetlinkSocket(in: namespace)
    guard let link = try inside.link(endpoint.interface), link.mac != endpoint.mac else { return }
    throw ApusError(
      .conflict,
      "cannot plug the network \(network.name): the instance has another interface \(endpoint.interface) already")
  }
}
