import Errors
import Foundation
import Netlink
import Synchronization
import Testing

@testable import Networking

@Suite struct FirewallRulesetTests {
  private let ruleset = Ruleset(table: "apus")

  private func port(
    _ hostPort: UInt16, _ address: String, host: String = "0.0.0.0", port: UInt16 = 80, _ proto: PortProtocol = .tcp
  ) throws -> PublishedPort {
    PublishedPort(
      proto: proto, hostAddress: try #require(IPAddress(host)), hostPort: hostPort,
      address: try #require(IPAddress(address)), port: port)
  }

  private var network: FirewallNetwork {
    FirewallNetwork(interface: "apus0", subnet4: IPSubnet("172.17.0.0/16"), subnet6: IPSubnet("fd00:17::/64"))
  }

  @Test func `the administrator's chain is neither emptied nor deleted`() {
    for text in [
      ruleset.text(elements: []), ruleset.text(elements: [], replacing: ["bridges"]), ruleset.textWithoutOurs,
    ] {
      let lines = text.split(separator: "\n")
      #expect(
        lines.filter { $0.contains(" user") }.allSatisfy { $0.hasPrefix("add chain ") || $0.hasSuffix("jump user") })
      #expect(!lines.contains { $0.hasPrefix("delete table") || $0.hasPrefix("flush table") })
    }
  }

  @Test func `what isolates stands behind what is published, and before that stands what is established`() throws {
    let rules = ruleset.text(elements: []).split(separator: "\n").map(String.init)
      .filter { $0.hasPrefix("add rule inet apus forward ") }.map { String($0.dropFirst(27)) }
    let order = try [
      "ct state established,related accept", "iifname != @bridges oifname != @bridges accept",
      "ct status dnat goto published", "iifname . oifname @neighbours accept", "iifname @internal drop",
      "ip daddr . meta l4proto . th dport @opened4 goto admitted", "oifname @bridges drop",
    ].map { rule in try #require(rules.firstIndex(of: rule)) }
    #expect(order == order.sorted())
    #expect(rules.last == "oifname @bridges drop")
  }

  @Test func `networks and ports are elements`() throws {
    var routed = network
    routed.interface = "ap-0123456789ab"
    routed.routing6 = .routed
    routed.isInternal = false
    var closed = network
    closed.interface = "ap-1"
    closed.isInternal = true
    closed.allowsNeighbours = false
    let elements =
      network.elements + routed.elements + closed.elements + [
        try port(8080, "172.17.0.2").element(isRouted: false),
        try port(53, "fd00:17::2", host: "::1", .udp).element(isRouted: false),
        try port(81, "fd00:17::2", host: "::").element(isRouted: true),
      ]
    let lines = ruleset.text(elements: elements).split(separator: "\n").filter { $0.hasPrefix("add element") }
    #expect(
      lines == [
        "add element inet apus bridges { \"ap-0123456789ab\", \"ap-1\", \"apus0\" }",
        "add element inet apus internal { \"ap-1\" }",
        "add element inet apus masqueraded { ipv4 . \"ap-0123456789ab\", ipv4 . \"apus0\", ipv6 . \"apus0\" }",
        "add element inet apus neighbours { \"ap-0123456789ab\" . \"ap-0123456789ab\", \"apus0\" . \"apus0\" }",
        "add element inet apus opened6 { fd00:17::2 . tcp . 80 }",
        "add element inet apus published4 { tcp . 8080 : 172.17.0.2 . 80 }",
        "add element inet apus published_at6 { ::1 . udp . 53 : fd00:17::2 . 80 }",
        "add element inet apus routed { ipv6 . \"ap-0123456789ab\" }",
      ])
  }

  @Test func `elements are whole registers`() throws {
    let element = try port(0x1234, "172.17.0.2", host: "127.0.0.1", port: 0x5678, .udp).element(isRouted: false)
    #expect(element.keyBytes == [127, 0, 0, 1, 17, 0, 0, 0, 0x12, 0x34, 0, 0])
    #expect(element.dataBytes == [172, 17, 0, 2, 0x56, 0x78, 0, 0])
    #expect(network.elements.first?.keyBytes == Array("apus0".utf8) + [UInt8](repeating: 0, count: 11))
  }

  @Test func `a transaction has one message for each run of one kind`() throws {
    let ports = try (0..<1000).map { try port(UInt16(1000 + $0), "172.17.0.2").element(isRouted: false) }
    let messages = NetfilterMessages.transaction(ports.map { .add($0) } + [.delete(ports[0])], table: "apus").bytes
    var types: [UInt16] = []
    var offset = 0
    while offset < messages.count {
      let length = messages[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
      types.append(UInt16(messages[offset + 4]) | UInt16(messages[offset + 5]) << 8)
      #expect(length % 4 == 0 && length >= 20)
      offset += length
    }
    #expect(offset == messages.count)
    #expect(types == [0x10, 0xa0c, 0xa0c, 0xa0c, 0xa0e, 0x11])
  }

  @Test func `the state says what changes`() throws {
    var state = FirewallState()
    #expect(try state.follow(.restore(networks: [network], ports: [])) == nil)
    let web = try port(8080, "172.17.0.2")
    #expect(try state.follow(.publish([web, web]))?.count == 1)
    #expect(try state.follow(.publish([web])) == [])
    let error = try #require(throws: ApusError.self) {
      try state.follow(.publish([try port(9, "172.17.0.3"), try port(8080, "172.17.0.3")]))
    }
    #expect(error.code == .conflict)
    #expect(state.ports.count == 1)
    #expect(try state.follow(.withdraw([try port(8080, "172.17.0.3")])) == [])
    #expect(try state.follow(.add(network)) == [])
    // Its addresses are routed now: the port of the host leads nowhere, the instance's own is open.
    var routed = network
    routed.routing4 = .routed
    let changes = try #require(try state.follow(.add(routed)))
    #expect(Set(changes.filter { !$0.isAddition }.map(\.element.set)) == [.masqueraded, .any4])
    #expect(Set(changes.filter(\.isAddition).map(\.element.set)) == [.routed, .opened4])
    #expect(try state.follow(.withdraw([web]))?.map(\.element.set) == [.opened4])
    #expect(try state.follow(.remove(interface: "apus0"))?.count == 4)
    #expect(try state.follow(.remove(interface: "apus0")) == [])
    #expect(state.all.isEmpty)
  }

  @Test func `who comes while a batch is under way is in the next one`() {
    let sizes = Mutex<[Int]>([])
    let commit = GroupCommit<Int, Int> { requests in
      sizes.withLock { $0.append(requests.count) }
      usleep(2000)
      return requests.map { $0 * 2 }
    }
    let sum = Mutex(0)
    let group = DispatchGroup()
    for index in 0..<100 {
      group.enter()
      Thread {
        let outcome = commit.run(index)
        sum.withLock { $0 += outcome }
        group.leave()
      }.start()
    }
    group.wait()
    #expect(sum.withLock { $0 } == 9900)
    #expect(sizes.withLock { $0.reduce(0, +) } == 100)
    #expect(sizes.withLock { $0.count } < 50)
  }

  @Test func `a connection's entry is read`() throws {
    var tuple = NetfilterMessages()
    func write(_ message: inout NetfilterMessages, _ source: String, _ destination: String, _ ports: (UInt8, UInt8)) {
      message.nested(1) { part in
        part.attribute(1, IPAddress(source)?.bytes ?? [])
        part.attribute(2, IPAddress(destination)?.bytes ?? [])
      }
      message.nested(2) { part in
        part.attribute(1, [17])
        part.attribute(2, [0, ports.0])
        part.attribute(3, [0, ports.1])
      }
    }
    tuple.add(type: 0x100, flags: 0, family: 2) { message in
      message.nested(1) { write(&$0, "198.51.100.9", "198.51.100.1", (50, 53)) }
      message.nested(2) { write(&$0, "172.17.0.2", "198.51.100.9", (80, 50)) }
      message.attribute(12, [1, 2, 3, 4])
    }
    let entry = try #require(
      tuple.bytes.withUnsafeBytes { bytes in
        ConnectionTracking.Entry(UnsafeRawBufferPointer(rebasing: bytes[16...]))
      })
    #expect(entry.original.destinationPort == 53 && entry.reply.source == IPAddress("172.17.0.2"))
    #expect(ConnectionTracking.Match.target(try port(53, "172.17.0.2", .udp)).includes(entry))
    #expect(!ConnectionTracking.Match.target(try port(53, "172.17.0.2", host: "127.0.0.1", .udp)).includes(entry))
    #expect(!ConnectionTracking.Match.target(try port(53, "172.17.0.3", .udp)).includes(entry))
    #expect(ConnectionTracking.Match.address(try #require(IPAddress("172.17.0.2"))).includes(entry))
    #expect(!ConnectionTracking.Match.unpublished(try port(53, "172.17.0.2", .udp)).includes(entry))
    // Whatever is cut off is not read.
    for length in 0..<tuple.bytes.count - 16 {
      _ = tuple.bytes.withUnsafeBytes { bytes in
        ConnectionTracking.Entry(UnsafeRawBufferPointer(rebasing: bytes[16..<16 + length]))
      }
    }
  }

  @Test func `chains that refuse are found in what nft lists`() {
    let chains = HostFirewall.forwarding(
      """
      table ip filter {
      \tchain INPUT {
      \t\ttype filter hook input priority filter; policy drop;
      \t}
      \tchain FORWARD {
      \t\ttype filter hook forward priority filter; policy drop;
      \t}
      \tchain DOCKER-USER {
      \t}
      }
      table inet firewalld {
      \tchain filter_FORWARD {
      \t\ttype filter hook forward priority filter + 10; policy accept;
      \t}
      }
      table bridge x {
      \tchain f {
      \t\ttype filter hook forward priority 0; policy drop;
      \t}
      }
      """)
    #expect(
      chains == [
        HostFirewall.Chain(family: "ip", table: "filter", name: "FORWARD", isDropping: true),
        HostFirewall.Chain(family: "inet", table: "firewalld", name: "filter_FORWARD", isDropping: false),
      ])
    let rules = HostFirewall.rules(
      "table inet firewalld {\n\tchain filter_FORWARD {\n\t\ttype filter hook forward priority 10; policy accept;\n"
        + "\t\tiifname { \"lo\", \"ap-*\" } accept\n\t\tjump zones\n\t\tcounter packets 1 bytes 2 reject with icmpx admin-prohibited\n\t}\n}\n"
    )
    #expect(HostFirewall.endsRefusing(rules))
    #expect(!HostFirewall.endsRefusing(Array(rules.dropLast())))
    #expect(HostFirewall.targets(rules) == ["zones"])
    #expect(HostFirewall.isNamed("ap-0123456789ab", in: rules) && !HostFirewall.isNamed("apus0", in: rules))
  }
}
