import Errors
import Glibc
import Linux
import Netlink
import Synchronization
import Testing

@testable import Networking

/// The drivers with the kernel: one namespace plays the host, others instances. They need root.
@Suite(.enabled(if: geteuid() == 0)) struct LinksTests {
  let host: NetworkNamespace
  let changes = Changes()
  let driver: BridgeDriver
  var network: NetworkDefinition

  final class Changes: Sendable {
    let all = Mutex<[KernelParameter.Change]>([])
  }

  init() throws {
    host = try NetworkNamespace.make()
    let changes = changes
    driver = BridgeDriver(identity: "test") { change in changes.all.withLock { $0.append(change) } }
    network = NetworkDefinition(
      id: String(repeating: "5a", count: 32), name: "net", driver: .bridge, interface: "ap-5a5a5a5a5a5a",
      subnets: [
        .init(subnet: try #require(IPSubnet("172.30.0.0/24")), gateway: IPAddress("172.30.0.1")),
        .init(subnet: try #require(IPSubnet("fd30::/64")), gateway: IPAddress("fd30::1")),
      ])
  }

  private func endpoint(_ number: Int, interface: String = "eth0") -> Endpoint {
    var endpoint = Endpoint(
      id: String(repeating: "\(number)", count: 64), networkID: network.id, interface: interface, mac: .random(),
      ipv4: IPSubnet("172.30.0.\(number)/24"), ipv6: IPSubnet("fd30::\(number)/64"))
    endpoint.gateway4 = network.subnets[0].gateway
    endpoint.gateway6 = network.subnets[1].gateway
    return endpoint
  }

  private func prepare(_ network: NetworkDefinition) throws {
    try host.run { () throws(ApusError) in try driver.prepare(network) }
  }

  private func plug(_ endpoint: Endpoint, into namespace: NetworkNamespace) throws {
    let network = network
    try host.run { () throws(ApusError) in try driver.plug(endpoint, of: network, into: namespace) }
  }

  /// Whether a datagram from one namespace's socket reaches another's, within two seconds unless said otherwise.
  private func reaches(
    _ from: NetworkNamespace, _ to: NetworkNamespace, _ address: String, milliseconds: Int32 = 2000
  ) throws -> Bool {
    let isV6 = address.contains(":")
    let family = isV6 ? AF_INET6 : AF_INET
    let target = try #require(IPAddress(address))
    // struct sockaddr_in or sockaddr_in6, port 4242.
    var bytes: [UInt8] = [UInt8(family), 0, 0x10, 0x92]
    bytes += isV6 ? [0, 0, 0, 0] + target.bytes + [0, 0, 0, 0] : target.bytes + [UInt8](repeating: 0, count: 8)
    func make() throws(ApusError) -> OwnedDescriptor {
      OwnedDescriptor(owning: try check(socket(family, Int32(SOCK_DGRAM.rawValue), 0), "cannot open a socket"))
    }
    let receiver = try to.run { () throws(ApusError) in try make() }
    let sender = try from.run { () throws(ApusError) in try make() }
    func with(_ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
      bytes.withUnsafeBytes { buffer in
        guard let address = buffer.baseAddress else { return -1 }
        return call(address.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
      }
    }
    try check(with { bind(receiver.raw, __CONST_SOCKADDR_ARG(__sockaddr__: $0), $1) }, "cannot bind")
    guard with({ connect(sender.raw, __CONST_SOCKADDR_ARG(__sockaddr__: $0), $1) }) == 0,
      send(sender.raw, "x", 1, 0) == 1
    else { return false }
    var waiting = pollfd(fd: receiver.raw, events: Int16(POLLIN), revents: 0)
    return poll(&waiting, 1, milliseconds) == 1
  }

  @Test func aBridgeIsMadeOnceAndTaken() throws {
    try prepare(network)
    try prepare(network)
    var socket = try NetlinkSocket(in: host)
    let link = try #require(try socket.link(network.interface))
    #expect(link.alias == "apus test" && link.isUp && link.mac?.description == "02:5a:5a:5a:5a:5a")
    let addresses = try socket.addresses().filter { $0.index == link.index }
    #expect(
      Set(addresses.map(\.address.description))
        == ["172.30.0.1/24", "fd30::1/64", IPSubnet.linkLocal(of: try #require(link.mac)).description])
    #expect(addresses.allSatisfy { !$0.isTentative })
    let values = try host.run { () throws(ApusError) in
      [
        "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/\(network.interface)/accept_ra",
      ].map { KernelParameter($0, value: "").current }
    }
    #expect(values == ["1", "1", "0"])
    // Said once each: the second time there is nothing to change.
    let names = changes.all.withLock { $0.map(\.name) }
    #expect(Set(names).count == names.count)
    #expect(names.contains("net/ipv6/conf/\(network.interface)/accept_ra"))
    let used = try host.run { () throws(ApusError) in try HostLinks.subnetsInUse() }
    #expect(used.map(\.description).contains("172.30.0.0/24") && used.map(\.description).contains("fd30::/64"))
    let others = try host.run { () throws(ApusError) in try HostLinks.subnetsInUse(except: [network.interface]) }
    #expect(!others.contains { $0.overlaps(network.subnets[0].subnet) || $0.overlaps(network.subnets[1].subnet) })

    try host.run { () throws(ApusError) in
      try driver.remove(network)
      try driver.remove(network)
    }
    #expect(try socket.link(network.interface) == nil)
  }

  @Test mutating func aForeignInterfaceIsLeft() throws {
    var socket = try NetlinkSocket(in: host)
    try socket.perform(.makeBridge(network.interface, mac: nil, mtu: nil))
    let network = network
    let refused = #expect(throws: ApusError.self) { try prepare(network) }
    #expect(refused?.code == .conflict && refused?.message.contains("was not made by this engine") == true)
    try host.run { () throws(ApusError) in try driver.remove(network) }
    #expect(try socket.link(network.interface) != nil)

    try socket.perform(.change(.name(network.interface), LinkChange(alias: "apus another")))
    let other = #expect(throws: ApusError.self) { try prepare(network) }
    #expect(other?.message.contains("another engine") == true)

    self.network.adoptsInterface = true
    try prepare(self.network)
    let adopted = self.network
    try host.run { () throws(ApusError) in try driver.remove(adopted) }
    let link = try #require(try socket.link(network.interface))
    #expect(link.alias == "apus another")
    #expect(try socket.addresses().filter { $0.index == link.index }.isEmpty)
  }

  @Test func instancesReachEachOtherAndTheHost() throws {
    try prepare(network)
    let first = try NetworkNamespace.make()
    let second = try NetworkNamespace.make()
    try plug(endpoint(2), into: first)
    try plug(endpoint(3), into: second)
    for address in ["172.30.0.3", "fd30::3"] { #expect(try reaches(first, second, address)) }
    for address in ["172.30.0.1", "fd30::1"] { #expect(try reaches(second, host, address)) }
    for address in ["172.30.0.2", "fd30::2"] { #expect(try reaches(host, first, address)) }

    var inside = try NetlinkSocket(in: first)
    let link = try #require(try inside.link("eth0"))
    let addresses = try inside.addresses().filter { $0.index == link.index }
    #expect(addresses.count == 3 && addresses.allSatisfy { !$0.isTentative }, "\(addresses)")
    let gateways = try inside.routes().filter { $0.destination.prefixLength == 0 }.compactMap {
      $0.gateway?.description
    }
    #expect(Set(gateways) == ["172.30.0.1", "fd30::1"])
    let accepts = try first.run { () throws(ApusError) in
      KernelParameter.acceptRouterAdvertisements(0, on: "eth0").current
    }
    #expect(accepts == "0")
    var socket = try NetlinkSocket(in: host)
    let port = try #require(try socket.index(of: endpoint(2).hostInterface))
    #expect(try socket.addresses().filter { $0.index == port }.isEmpty)
  }

  /// A question for a neighbour that is lost would be repeated after a second.
  @Test func whatIsPluggedIsReachedAtOnce() throws {
    try prepare(network)
    for number in 2..<10 {
      let instance = try NetworkNamespace.make()
      let endpoint = endpoint(number)
      try plug(endpoint, into: instance)
      let address = number % 2 == 0 ? "172.30.0.\(number)" : "fd30::\(number)"
      #expect(try reaches(host, instance, address, milliseconds: 900), "\(address)")
    }
  }

  @Test mutating func neighboursCanBeKeptApart() throws {
    network.allowsNeighbours = false
    try prepare(network)
    let first = try NetworkNamespace.make()
    let second = try NetworkNamespace.make()
    try plug(endpoint(2), into: first)
    try plug(endpoint(3), into: second)
    #expect(try !reaches(first, second, "172.30.0.3"))
    #expect(try reaches(first, host, "172.30.0.1"))
  }

  @Test func plugsTwiceAndUnplugsTwice() throws {
    try prepare(network)
    let instance = try NetworkNamespace.make()
    let endpoint = endpoint(2)
    try plug(endpoint, into: instance)
    let inside = try NetlinkSocket(in: instance)
    let before = try inside.index(of: "eth0")
    try plug(endpoint, into: instance)
    #expect(try inside.index(of: "eth0") == before)
    #expect(try reaches(host, instance, "172.30.0.2"))

    let network = network
    try host.run { () throws(ApusError) in
      try driver.unplug(endpoint, of: network, from: instance)
      try driver.unplug(endpoint, of: network, from: nil)
    }
    #expect(try inside.index(of: "eth0") == nil)
    var socket = try NetlinkSocket(in: host)
    #expect(try !socket.neighbours().contains { endpoint.addresses.contains($0.address) })
  }

  @Test func straysAreRemoved() throws {
    try prepare(network)
    let instances = [try NetworkNamespace.make(), try NetworkNamespace.make()]
    try plug(endpoint(2), into: instances[0])
    try plug(endpoint(3), into: instances[1])
    try host.run { () throws(ApusError) in try driver.removeStrays(of: network, except: [endpoint(3)]) }
    let socket = try NetlinkSocket(in: host)
    #expect(try socket.index(of: endpoint(2).hostInterface) == nil)
    #expect(try socket.index(of: endpoint(3).hostInterface) != nil)
  }

  @Test func aNamespaceTakesItsEndsAlong() throws {
    try prepare(network)
    let (endpoint, network) = (endpoint(2), network)
    var instance: NetworkNamespace? = try NetworkNamespace.make()
    if let instance { try plug(endpoint, into: instance) }
    #expect(instance != nil)
    instance = nil
    try host.run { () throws(ApusError) in try driver.unplug(endpoint, of: network, from: nil) }
    let socket = try NetlinkSocket(in: host)
    for _ in 0..<200 where try socket.index(of: endpoint.hostInterface) != nil { usleep(10_000) }
    #expect(try socket.index(of: endpoint.hostInterface) == nil)
  }

  @Test func aTakenNameLeavesNothing() throws {
    try prepare(network)
    let instance = try NetworkNamespace.make()
    try plug(endpoint(2), into: instance)
    let refused = #expect(throws: ApusError.self) { try plug(endpoint(3), into: instance) }
    #expect(refused?.code == .conflict)
    let socket = try NetlinkSocket(in: host)
    #expect(try socket.index(of: endpoint(3).hostInterface) == nil)
    #expect(try reaches(host, instance, "172.30.0.2"))
  }

  @Test func aWrongGatewayLeavesNothing() throws {
    try prepare(network)
    let instance = try NetworkNamespace.make()
    var endpoint = endpoint(2)
    endpoint.gateway4 = IPAddress("0.0.0.0")
    endpoint.gateway6 = IPAddress("ff02::1")
    #expect(throws: ApusError.self) { try plug(endpoint, into: instance) }
    var inside = try NetlinkSocket(in: instance)
    #expect(try inside.links().map(\.name) == ["lo"])
  }

  @Test func groupsOfAddresses() {
    #expect(IPAddress("fd30::1:2ab:cdef")?.solicitedNodeGroup.description == "ff02::1:ffab:cdef")
    #expect(MACAddress("02:42:ac:11:00:02").map { IPSubnet.linkLocal(of: $0).description } == "fe80::42:acff:fe11:2/64")
  }

  @Test func ipv6OffByDefault() throws {
    try prepare(network)
    let instance = try NetworkNamespace.make()
    try instance.run { () throws(ApusError) in
      _ = try KernelParameter("net/ipv6/conf/default/disable_ipv6", value: "1").set()
    }
    try plug(endpoint(2), into: instance)
    #expect(try reaches(host, instance, "fd30::2"))
  }

  @Test func defaultRoutesMove() throws {
    try prepare(network)
    let instance = try NetworkNamespace.make()
    try plug(endpoint(2), into: instance)
    var more = endpoint(3, interface: "eth1")
    more.gateway4 = nil
    more.gateway6 = nil
    try plug(more, into: instance)
    var inside = try NetlinkSocket(in: instance)
    let eth1 = try #require(try inside.index(of: "eth1"))
    func standard() throws -> [Route] { try inside.routes().filter { $0.destination.prefixLength == 0 } }
    let gateway = try #require(IPAddress("172.30.0.99"))
    try DefaultRoute.set(v4: DefaultRoute(through: gateway, on: "eth1"), v6: nil, in: instance)
    #expect(try standard().map(\.gateway) == [gateway])
    #expect(try standard().map(\.index) == [eth1])
    let gateway6 = try #require(IPAddress("fd30::99"))
    try DefaultRoute.set(v4: nil, v6: DefaultRoute(through: gateway6, on: "eth0"), in: instance)
    #expect(try standard().map(\.gateway) == [gateway6])
  }

  @Test mutating func limits() throws {
    try prepare(network)
    let instance = try NetworkNamespace.make()
    var endpoint = endpoint(2)
    endpoint.rate = .init(ingress: 10_000_000, egress: 20_000_000)
    try plug(endpoint, into: instance)
    var socket = try NetlinkSocket(in: host)
    #expect(try socket.discipline(of: try #require(try socket.index(of: endpoint.hostInterface))) == "tbf")
    var inside = try NetlinkSocket(in: instance)
    #expect(try inside.discipline(of: try #require(try inside.index(of: "eth0"))) == "tbf")
    #expect(try reaches(host, instance, "172.30.0.2"))
  }

  @Test(.enabled(if: Files.exists("/dev/net/tun"))) func aTapOnTheBridge() throws {
    try prepare(network)
    let network = network
    let endpoint = endpoint(2)
    let name = try host.run { () throws(ApusError) in try driver.makeTap(endpoint, of: network, owner: 0) }
    var socket = try NetlinkSocket(in: host)
    let link = try #require(try socket.link(name))
    let bridge = try socket.index(of: network.interface)
    #expect(link.kind == "tun" && link.master == bridge && link.isUp)
    try host.run { () throws(ApusError) in try driver.unplug(endpoint, of: network, from: nil) }
    #expect(try socket.index(of: name) == nil)
  }

  @Test mutating func macvlan() throws {
    var socket = try NetlinkSocket(in: host)
    try socket.perform([
      .makeBridge("eth0", mac: nil, mtu: nil), .change(.name("eth0"), LinkChange(isUp: true)),
    ])
    network.driver = .macvlan
    network.interface = "eth0"
    let network = network
    let driver = MacvlanDriver()
    let first = try NetworkNamespace.make()
    let second = try NetworkNamespace.make()
    let (one, two) = (endpoint(2), endpoint(3))
    try host.run { () throws(ApusError) in
      try driver.prepare(network)
      for _ in 0..<2 {
        try driver.plug(one, of: network, into: first)
        try driver.plug(two, of: network, into: second)
      }
    }
    for address in ["172.30.0.3", "fd30::3"] { #expect(try reaches(first, second, address)) }
    try host.run { () throws(ApusError) in
      for _ in 0..<2 { try driver.unplug(one, of: network, from: first) }
      try driver.unplug(two, of: network, from: nil)
    }
    var inside = try NetlinkSocket(in: first)
    #expect(try inside.links().map(\.name) == ["lo"])
    var wrong = network
    wrong.interface = "eth9"
    let refused = #expect(throws: ApusError.self) {
      try host.run { () throws(ApusError) in try driver.prepare(wrong) }
    }
    #expect(refused?.code == .notFound)
  }
}
