import Errors
import Glibc
import Linux
import Netlink
import Testing

/// With the kernel, in namespaces of its own that nothing leads out of; they need root.
@Suite(.enabled(if: geteuid() == 0)) struct LiveTests {
  private func subnet(_ text: String) throws(ApusError) -> IPSubnet {
    guard let subnet = IPSubnet(text) else { throw ApusError(.internal, "\(text) is no subnet") }
    return subnet
  }

  @Test func aNamespaceIsEnteredAndLeft() throws {
    func inode(_ path: String) throws(ApusError) -> String { try Files.readLink(path) }
    let own = try inode("/proc/thread-self/ns/net")
    let other = try NetworkNamespace.make()
    let seen = try other.run { () throws(ApusError) in try inode("/proc/thread-self/ns/net") }
    #expect(seen != own)
    #expect(throws: ApusError.self) {
      try other.run { () throws(ApusError) in throw ApusError(.internal, "on purpose") }
    }
    #expect(try inode("/proc/thread-self/ns/net") == own)
    var socket = try NetlinkSocket(in: other)
    #expect(try socket.links().map(\.name) == ["lo"])
  }

  @Test func aPairOnABridge() throws {
    let host = try NetworkNamespace.make()
    let guest = try NetworkNamespace.make()
    var socket = try NetlinkSocket(in: host)
    let mac = try #require(MACAddress("02:00:00:00:00:02"))
    try socket.perform([
      .makeBridge("br0", mac: mac, mtu: 1400),
      .change(.name("br0"), LinkChange(isUp: true, alias: "somebody", generatesAddresses: false)),
    ])
    let bridge = try #require(try socket.link("br0"))
    #expect(bridge.kind == "bridge" && bridge.alias == "somebody" && bridge.mac == mac && bridge.isUp)
    #expect(bridge.mtu == 1400)
    #expect(try socket.index(of: "br0") == bridge.index)
    #expect(try socket.index(of: "br1") == nil)
    #expect(try socket.link("br1") == nil)

    try socket.perform([
      .makePair(
        VirtualEthernetEnd(name: "av1"), VirtualEthernetEnd(name: "eth0", mac: MACAddress("02:00:00:00:00:03")),
        in: guest.descriptor, mtu: 1400, master: bridge.index),
      .change(.name("av1"), LinkChange(isUp: true, generatesAddresses: false, isIsolated: true)),
    ])
    let end = try #require(try socket.link("av1"))
    #expect(end.master == bridge.index && end.isUp && end.mtu == 1400 && end.kind == "veth")
    let isolated = try host.run { () throws(ApusError) in
      // sysfs shows the namespace of its mount; netlink must do.
      try NetlinkSocket().index(of: "av1")
    }
    #expect(isolated == end.index)

    var inside = try NetlinkSocket(in: guest)
    let eth0 = try #require(try inside.link("eth0"))
    #expect(eth0.mac?.description == "02:00:00:00:00:03" && eth0.mtu == 1400 && !eth0.isUp)
    try inside.perform([
      .change(.index(eth0.index), LinkChange(isUp: true, generatesAddresses: false)),
      .addAddress(try subnet("10.9.0.2/24"), to: eth0.index),
      .addAddress(try subnet("fd09::2/64"), to: eth0.index),
      .addAddress(try subnet("169.254.3.4/16"), to: eth0.index),
      .setRoute(.standard(through: try subnet("10.9.0.1/24").address, on: eth0.index)),
      .setRoute(.standard(through: try subnet("fd09::1/64").address, on: eth0.index)),
    ])
    let addresses = try inside.addresses().filter { $0.index == eth0.index }
    #expect(Set(addresses.map(\.address.description)) == ["10.9.0.2/24", "fd09::2/64", "169.254.3.4/16"])
    #expect(addresses.allSatisfy { !$0.isTentative })
    let standard = try inside.routes().filter { $0.destination.prefixLength == 0 }
    #expect(Set(standard.compactMap { $0.gateway?.description }) == ["10.9.0.1", "fd09::1"])

    // Twice is the same as once.
    try inside.perform([
      .addAddress(try subnet("10.9.0.2/24"), to: eth0.index),
      .addAddress(try subnet("fd09::2/64"), to: eth0.index),
      .deleteAddress(try subnet("169.254.3.4/16"), from: eth0.index),
      .deleteAddress(try subnet("169.254.3.4/16"), from: eth0.index),
      .deleteNeighbour(try subnet("10.9.0.7/24").address, on: eth0.index),
    ])
    #expect(try inside.addresses().filter { $0.index == eth0.index }.count == 2)

    try socket.perform([.delete(.name("av1")), .delete(.name("av1"))])
    #expect(try inside.links().map(\.name) == ["lo"])
  }

  @Test func theFirstFailureIsSaidAndTheRestIsDone() throws {
    let host = try NetworkNamespace.make()
    var socket = try NetlinkSocket(in: host)
    let failure = #expect(throws: ApusError.self) {
      try socket.perform([
        .makeBridge("br0", mac: nil, mtu: nil),
        .change(.name("nowhere"), LinkChange(isUp: true)),
        .setRoute(.standard(through: IPAddress(v4: 0x0a00_0001), on: 77)),
        .makeBridge("br1", mac: nil, mtu: nil),
      ])
    }
    #expect(failure?.message == "cannot set up nowhere: no such device")
    #expect(Set(try socket.links().map(\.name)) == ["lo", "br0", "br1"])
    // The socket goes on working, with more than one system call's worth of requests.
    try socket.perform((0..<300).map { .addAddress(IPSubnet(IPAddress(v4: 0x0a00_0001 + $0), prefixLength: 8), to: 1) })
    #expect(try socket.addresses().count == 300)
  }

  @Test func theKernelsWordsAreKept() throws {
    var socket = try NetlinkSocket(in: try NetworkNamespace.make())
    try socket.perform(.makeBridge("br0", mac: nil, mtu: nil))
    let refused = #expect(throws: ApusError.self) {
      try socket.perform(.change(.name("br0"), LinkChange(mtu: 1)))
    }
    #expect(refused?.message.hasPrefix("cannot set up br0: invalid argument (the kernel says: ") == true)
  }

  @Test func routesOfOtherTables() throws {
    var socket = try NetlinkSocket(in: try NetworkNamespace.make())
    try socket.perform([
      .makeBridge("br0", mac: nil, mtu: nil), .change(.name("br0"), LinkChange(isUp: true)),
    ])
    let index = try #require(try socket.index(of: "br0"))
    let local = Route(try subnet("::1/128"), on: index, kind: .local, table: Route.localTable, metric: 4096)
    let direct = Route(try subnet("10.7.0.0/16"), on: index, table: 1000, metric: 7)
    try socket.perform([.setRoute(local), .setRoute(direct)])
    #expect(try socket.routes(table: Route.localTable).contains(local))
    #expect(try socket.routes(table: 1000) == [direct])
    try socket.perform([.deleteRoute(local), .deleteRoute(direct), .deleteRoute(direct)])
    #expect(try socket.routes(table: 1000).isEmpty)
  }

  @Test func macvlanInANamespace() throws {
    let host = try NetworkNamespace.make()
    let guest = try NetworkNamespace.make()
    var socket = try NetlinkSocket(in: host)
    try socket.perform([.makeBridge("up0", mac: nil, mtu: nil), .change(.name("up0"), LinkChange(isUp: true))])
    let parent = try #require(try socket.index(of: "up0"))
    for mode in MacvlanMode.allCases where mode != .passthru {
      let end = VirtualEthernetEnd(name: "mv-\(mode)", mac: .random())
      try socket.perform(.makeMacvlan(end, on: parent, mode: mode, in: guest.descriptor, mtu: nil))
      var inside = try NetlinkSocket(in: guest)
      let link = try #require(try inside.link(end.name))
      #expect(link.kind == "macvlan" && link.mac == end.mac)
      try inside.perform(.change(.index(link.index), LinkChange(name: "eth0")))
      #expect(try inside.index(of: "eth0") == link.index)
      try inside.perform(.delete(.index(link.index)))
    }
  }

  @Test func aLimit() throws {
    var socket = try NetlinkSocket(in: try NetworkNamespace.make())
    try socket.perform(.makeBridge("br0", mac: nil, mtu: nil))
    let index = try #require(try socket.index(of: "br0"))
    for rate: UInt64 in [8_000, 1_000_000, 50_000_000_000] {
      try socket.perform(.limit(index, to: rate))
      #expect(try socket.discipline(of: index) == "tbf")
    }
    try socket.perform([.unlimit(index), .unlimit(index)])
    #expect(try socket.discipline(of: index) != "tbf")
  }

  @Test(.enabled(if: Files.exists("/dev/net/tun"))) func aTap() throws {
    let host = try NetworkNamespace.make()
    var socket = try NetlinkSocket(in: host)
    try host.run { () throws(ApusError) in try Tap.make("av7", owner: 1000) }
    let link = try #require(try socket.link("av7"))
    #expect(link.kind == "tun" && link.mac != nil)
    #expect(throws: ApusError.self) {
      try host.run { () throws(ApusError) in try Tap.make("a name that is too long", owner: 0) }
    }
  }
}
