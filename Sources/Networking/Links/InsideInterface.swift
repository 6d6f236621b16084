import Errors
import Glibc
import Linux
import Netlink

/// The end of an instance, in its namespace: what all drivers do there.
struct InsideInterface {
  let endpoint: Endpoint
  /// What it is called so far.
  let name: String
  let mtu: Int?
  /// Whether routers on the link may configure it: where the link is the outside's.
  let acceptsRouters: Bool

  /// Names it, gives it its addresses and routes, and takes it up. What is as it should be stays.
  func configure(in namespace: NetworkNamespace) throws(ApusError) {
    var socket = try namespace.run { () throws(ApusError) in
      // Before it is up: nothing is asked of a router then, nor taken from one.
      if endpoint.ipv6 != nil, !acceptsRouters {
        try KernelParameter.acceptRouterAdvertisements(0, on: name).set()
      }
      return try NetlinkSocket()
    }
    guard let index = try socket.index(of: name) else {
      throw ApusError(.notFound, "cannot set up the interface \(endpoint.interface): it is not there")
    }
    let requests = requests(index)
    do {
      try socket.perform(requests)
    } catch let error where error.errno == EACCES && endpoint.ipv6 != nil {
      // IPv6 is off by default in this namespace, but this interface has an address.
      try namespace.run { () throws(ApusError) in _ = try KernelParameter.allowIPv6(on: endpoint.interface).set() }
      try socket.perform(requests)
    }
    if let address = endpoint.ipv6?.address { try awaitListening(address, index, &socket) }
  }

  /// Waits until the address answers its neighbours' questions.
  ///
  /// The kernel gives an IPv6 address at once, but joins the group in which it is asked for a little later. A question
  /// before that is lost, and repeated after a second.
  private func awaitListening(_ address: IPAddress, _ index: Int32, _ socket: inout NetlinkSocket) throws(ApusError) {
    let group = address.solicitedNodeGroup
    for _ in 0..<100 {
      let groups = try socket.multicastGroups(of: index)
      if groups.isEmpty || groups.contains(group) { return }
      usleep(500)
    }
  }

  func requests(_ index: Int32) -> [NetlinkRequest] {
    var requests: [NetlinkRequest] = []
    if name != endpoint.interface {
      requests.append(.change(.index(index), LinkChange(name: endpoint.interface)))
    }
    if let rate = endpoint.rate.egress { requests.append(.limit(index, to: rate)) }
    // Without an IPv6 address of its network it gets none at all; with one, the link-local address below, which can be
    // used at once: one that the kernel makes is under examination for a second. In one request with the next the kernel
    // would come to it last.
    let generates = acceptsRouters && endpoint.ipv6 != nil
    if !generates { requests.append(.change(.index(index), LinkChange(generatesAddresses: false))) }
    requests.append(.change(.index(index), LinkChange(isUp: true)))
    var addresses = [endpoint.ipv4, endpoint.ipv6].compactMap { $0 } + endpoint.additional
    if endpoint.ipv6 != nil, !generates { addresses.append(.linkLocal(of: endpoint.mac)) }
    requests += addresses.map { .addAddress($0, to: index) }
    requests += [endpoint.gateway4, endpoint.gateway6].compactMap { $0 }.map {
      .setRoute(.standard(through: $0, on: index))
    }
    return requests
  }
}

extension IPSubnet {
  /// What an Ethernet interface calls itself on its link (RFC 4291, appendix A).
  static func linkLocal(of mac: MACAddress) -> IPSubnet {
    let bytes = mac.bytes
    let identifier = [bytes[0] ^ 2, bytes[1], bytes[2], 0xff, 0xfe, bytes[3], bytes[4], bytes[5]]
    let value = identifier.reduce(0 as UInt128) { $0 << 8 | UInt128($1) }
    return IPSubnet(IPAddress(v6: 0xfe80 << 112 | value), prefixLength: 64)
  }
}

extension IPAddress {
  /// Where who has an IPv6 address is asked for (RFC 4291, 2.7.1).
  var solicitedNodeGroup: IPAddress { IPAddress(v6: 0xff02 << 112 | 0x1_ff00_0000 | value & 0xff_ffff) }
}
