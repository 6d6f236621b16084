import Errors
import Glibc
import Linux
import Testing

@testable import Netlink

/// The bytes on the wire, written out by hand from netlink(7) and rtnetlink(7) for a little-endian host.
@Suite(.enabled(if: 1.littleEndian == 1)) struct MessageTests {
  private func bytes(_ request: NetlinkRequest, sequence: UInt32 = 1) -> [UInt8] {
    var bytes: [UInt8] = []
    request.message.encode(sequence: sequence, into: &bytes)
    return bytes
  }

  @Test func address() throws {
    let request = NetlinkRequest.addAddress(try #require(IPSubnet("10.1.2.3/24")), to: 7)
    #expect(
      bytes(request) == [
        48, 0, 0, 0, 20, 0, 0x01, 0x05, 1, 0, 0, 0, 0, 0, 0, 0,  // 48 bytes, RTM_NEWADDR, request | create | replace
        2, 24, 0, 0, 7, 0, 0, 0,  // AF_INET, /24, no flags, universe, interface 7
        8, 0, 2, 0, 10, 1, 2, 3,  // IFA_LOCAL
        8, 0, 1, 0, 10, 1, 2, 3,  // IFA_ADDRESS
        8, 0, 4, 0, 10, 1, 2, 255,  // IFA_BROADCAST
      ])
  }

  @Test func address6IsUsableAtOnce() throws {
    let request = NetlinkRequest.addAddress(try #require(IPSubnet("fd00::2/64")), to: 7)
    let address: [UInt8] = [0xfd] + [UInt8](repeating: 0, count: 14) + [2]
    #expect(
      bytes(request) == [
        64, 0, 0, 0, 20, 0, 0x01, 0x05, 1, 0, 0, 0, 0, 0, 0, 0,
        10, 64, 2, 0, 7, 0, 0, 0,  // AF_INET6, /64, IFA_F_NODAD
      ] + [20, 0, 2, 0] + address + [20, 0, 1, 0] + address)
  }

  @Test func defaultRoute() throws {
    let route = Route.standard(through: try #require(IPAddress("10.1.2.1")), on: 7)
    #expect(
      bytes(.setRoute(route)) == [
        52, 0, 0, 0, 24, 0, 0x01, 0x05, 1, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0, 0, 254, 4, 0, 1, 4, 0, 0, 0,  // AF_INET, /0, main, static, universe, unicast, RTNH_F_ONLINK
        8, 0, 5, 0, 10, 1, 2, 1,  // RTA_GATEWAY
        8, 0, 4, 0, 7, 0, 0, 0,  // RTA_OIF
        8, 0, 15, 0, 254, 0, 0, 0,  // RTA_TABLE
      ])
  }

  @Test func localRoute() throws {
    let route = Route(
      try #require(IPSubnet("::1/128")), on: 3, kind: .local, table: Route.localTable, metric: 4096)
    let loopback = [UInt8](repeating: 0, count: 15) + [1]
    #expect(
      bytes(.setRoute(route)) == [
        72, 0, 0, 0, 24, 0, 0x01, 0x05, 1, 0, 0, 0, 0, 0, 0, 0,
        10, 128, 0, 0, 255, 4, 254, 2, 0, 0, 0, 0,  // local table, static, host, local
      ] + [20, 0, 1, 0] + loopback + [8, 0, 4, 0, 3, 0, 0, 0, 8, 0, 6, 0, 0, 16, 0, 0, 8, 0, 15, 0, 255, 0, 0, 0])
  }

  @Test func pair() throws {
    let mac = try #require(MACAddress("02:00:00:00:00:01"))
    let request = NetlinkRequest.makePair(
      VirtualEthernetEnd(name: "av1"), VirtualEthernetEnd(name: "eth0", mac: mac), in: 9, mtu: 1400, master: 5)
    #expect(
      bytes(request) == [
        168, 0, 0, 0, 16, 0, 0x01, 0x06, 1, 0, 0, 0, 0, 0, 0, 0,  // RTM_NEWLINK, request | create | exclusive
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        8, 0, 3, 0, 0x61, 0x76, 0x31, 0,  // IFLA_IFNAME
        8, 0, 4, 0, 0x78, 5, 0, 0,  // IFLA_MTU
        8, 0, 10, 0, 5, 0, 0, 0,  // IFLA_MASTER
        8, 0, 31, 0, 1, 0, 0, 0, 8, 0, 32, 0, 1, 0, 0, 0,  // IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES
        96, 0, 18, 0x80,  // IFLA_LINKINFO
        9, 0, 1, 0, 0x76, 0x65, 0x74, 0x68, 0, 0, 0, 0,  // IFLA_INFO_KIND
        80, 0, 2, 0x80,  // IFLA_INFO_DATA
        76, 0, 1, 0x80,  // VETH_INFO_PEER
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        9, 0, 3, 0, 0x65, 0x74, 0x68, 0x30, 0, 0, 0, 0,
        10, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 0,  // IFLA_ADDRESS
        8, 0, 4, 0, 0x78, 5, 0, 0,
        8, 0, 31, 0, 1, 0, 0, 0, 8, 0, 32, 0, 1, 0, 0, 0,
        8, 0, 28, 0, 9, 0, 0, 0,  // IFLA_NET_NS_FD
      ])
  }

  @Test func port() {
    let change = LinkChange(isUp: true, generatesAddresses: false, isIsolated: true)
    #expect(
      bytes(.change(.index(4), change)) == [
        76, 0, 0, 0, 16, 0, 0x01, 0x00, 1, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,  // IFF_UP of IFF_UP
        16, 0, 26, 0x80, 12, 0, 10, 0x80, 5, 0, 8, 0, 1, 0, 0, 0,  // IFLA_AF_SPEC, AF_INET6, IN6_ADDR_GEN_MODE_NONE
        28, 0, 18, 0x80, 11, 0, 4, 0, 0x62, 0x72, 0x69, 0x64, 0x67, 0x65, 0, 0,  // IFLA_INFO_SLAVE_KIND
        12, 0, 5, 0x80, 5, 0, 33, 0, 1, 0, 0, 0,  // IFLA_INFO_SLAVE_DATA, IFLA_BRPORT_ISOLATED
      ])
  }

  // MARK: Replies

  @Test func failureInTheKernelsWords() throws {
    // NLMSG_ERROR, capped and with attributes: -ENETUNREACH, the request's header, NLMSGERR_ATTR_MSG.
    let datagram: [UInt8] =
      [48, 0, 0, 0, 2, 0, 0x00, 0x03, 5, 0, 0, 0, 0, 0, 0, 0, 0x9b, 0xff, 0xff, 0xff]
      + [52, 0, 0, 0, 24, 0, 1, 5, 5, 0, 0, 0, 0, 0, 0, 0] + [11, 0, 1, 0] + Array("no way".utf8) + [0, 0]
    let reply = try #require(NetlinkReply.parse(datagram).first)
    let failure = try #require(NetlinkSocket.failure(reply, stage: "cannot go"))
    #expect(failure.message == "cannot go: network is unreachable (the kernel says: no way)")
    #expect(failure.errno == ENETUNREACH)
    #expect(NetlinkSocket.failure(reply, stage: "cannot go", tolerating: [ENETUNREACH]) == nil)
  }

  @Test(arguments: [
    [], [16], [8, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    [255, 255, 255, 255, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
  ])
  func malformed(_ datagram: [UInt8]) { #expect(NetlinkReply.parse(datagram).isEmpty) }

  @Test func attributesEndWhereTheyLie() {
    func types(_ bytes: [UInt8]) -> [UInt16] { NetlinkAttributes(bytes[...]).map(\.type) }
    #expect(types([5, 0, 3, 0, 1, 0, 0, 0, 4, 0, 4, 0x80]) == [3, 4])
    #expect(types([5, 0, 3, 0, 1]) == [3])
    #expect(types([9, 0, 3, 0, 1, 0, 0, 0]) == [])
    #expect(types([3, 0, 3, 0]) == [])
    #expect(types([4, 0, 3]) == [])
    #expect(NetlinkAttributes([5, 0, 3, 0, 1][...])[3, as: UInt32.self] == nil)
  }
}
