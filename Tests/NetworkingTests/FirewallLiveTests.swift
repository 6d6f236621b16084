import Errors
import Foundation
import Linux
import Logging
import Netlink
import Synchronization
import Testing

@testable import Networking

/// The rules on real packets, in namespaces that are thrown away (root only).
@Suite(.serialized, .enabled(if: FirewallWorld.isPossible))
struct FirewallLiveTests {
  static func port(
    _ hostPort: UInt16, _ address: String, host: String? = nil, port: UInt16 = 80, _ proto: PortProtocol = .tcp
  ) throws -> PublishedPort {
    let target = try #require(IPAddress(address))
    let hostAddress = try host.map { try #require(IPAddress($0)) } ?? IPAddress(target.family, 0)
    return PublishedPort(proto: proto, hostAddress: hostAddress, hostPort: hostPort, address: target, port: port)
  }

  static func bothFamilies(_ hostPort: UInt16, _ v4: String, _ v6: String) throws -> [PublishedPort] {
    try [
      port(hostPort, v4), port(hostPort, v6), port(hostPort, v4, .udp), port(hostPort, v6, .udp),
    ]
  }

  @Test(arguments: [true, false])
  func `a published port is reached from everywhere by every address of the host`(bridgeFilter: Bool) throws {
    let world = try FirewallWorld(bridgeFilter: bridgeFilter)
    let firewall = world.firewall
    let ports = try Self.bothFamilies(8080, "172.31.1.2", "fd00:31:1::2")
    try world.onHost {
      try firewall.restore(networks: FirewallWorld.networks, ports: [])
      try firewall.publish(ports)
    }
    for udp in [false, true] {
      // Outside clients are seen as who they are.
      #expect(try world.ask(from: "outside", "198.51.100.1", 8080, udp: udp) == "a 198.51.100.9")
      #expect(try world.ask(from: "outside", "2001:db8:9::1", 8080, udp: udp) == "a 2001:db8:9::9")
      // The host itself, by its loopback and by its own address.
      #expect(try world.ask(from: "host", "127.0.0.1", 8080, udp: udp) == "a 172.31.1.1")
      #expect(try world.ask(from: "host", "127.9.9.9", 8080, udp: udp) == "a 172.31.1.1")
      #expect(try world.ask(from: "host", "::1", 8080, udp: udp) == "a fd00:31:1::1")
      #expect(try world.ask(from: "host", "198.51.100.1", 8080, udp: udp) == "a 198.51.100.1")
      #expect(try world.ask(from: "host", "2001:db8:9::1", 8080, udp: udp) == "a 2001:db8:9::1")
      // A neighbour and the instance itself, which see the host.
      #expect(try world.ask(from: "b", "198.51.100.1", 8080, udp: udp) == "a 172.31.1.1")
      #expect(try world.ask(from: "b", "172.31.1.1", 8080, udp: udp) == "a 172.31.1.1")
      #expect(try world.ask(from: "b", "fd00:31:1::1", 8080, udp: udp) == "a fd00:31:1::1")
      #expect(try world.ask(from: "a", "172.31.1.1", 8080, udp: udp) == "a 172.31.1.1")
      #expect(try world.ask(from: "a", "2001:db8:9::1", 8080, udp: udp) == "a fd00:31:1::1")
      // Another network.
      #expect(try world.ask(from: "c", "172.31.2.1", 8080, udp: udp) == "a 172.31.1.1")
      #expect(try world.ask(from: "c", "2001:db8:9::1", 8080, udp: udp) == "a fd00:31:1::1")
    }
  }

  @Test func `a port published on one address is reached there only`() throws {
    let world = try FirewallWorld()
    let firewall = world.firewall
    let ports = try [
      Self.port(8081, "172.31.1.2", host: "127.0.0.1"), Self.port(8082, "172.31.1.2", host: "198.51.100.1"),
      Self.port(8083, "fd00:31:1::2", host: "::1"), Self.port(8084, "fd00:31:1::2", host: "2001:db8:9::1"),
    ]
    try world.onHost { try firewall.restore(networks: FirewallWorld.networks, ports: ports) }
    #expect(try world.ask(from: "host", "127.0.0.1", 8081) == "a 172.31.1.1")
    #expect(try world.isRefused("host", "198.51.100.1", 8081))
    #expect(try world.isRefused("outside", "198.51.100.1", 8081))
    #expect(try world.isRefused("host", "127.0.0.1", 8082))
    #expect(try world.ask(from: "outside", "198.51.100.1", 8082) == "a 198.51.100.9")
    #expect(try world.ask(from: "host", "::1", 8083) == "a fd00:31:1::1")
    #expect(try world.isRefused("outside", "2001:db8:9::1", 8083))
    #expect(try world.isRefused("host", "::1", 8084))
    #expect(try world.ask(from: "outside", "2001:db8:9::1", 8084) == "a 2001:db8:9::9")
  }

  @Test func `the host's loopback is reached from nowhere else`() throws {
    let world = try FirewallWorld()
    let firewall = world.firewall
    try world.serve(9000)
    let ports = [try Self.port(8081, "172.31.1.2", host: "127.0.0.1")]
    try world.onHost { try firewall.restore(networks: FirewallWorld.networks, ports: ports) }
    // Neighbours that send packets for 127.0.0.1 to the host.
    for (name, gateway) in [("outside", "198.51.100.1"), ("c", "172.31.2.1")] {
      try world.inside(
        name,
        """
        ip addr del 127.0.0.1/8 dev lo; sysctl -qw net.ipv4.conf.all.route_localnet=1
        ip route add 127.0.0.0/8 via \(gateway)
        """)
    }
    #expect(try world.isRefused("outside", "127.0.0.1", 8081))
    #expect(try world.isRefused("c", "127.0.0.1", 9000))
    // It is the rules that keep them out.
    try world.inside("host", "nft flush chain inet apus loopback")
    #expect(try world.ask(from: "outside", "127.0.0.1", 8081) == "a 198.51.100.9")
    #expect(try world.ask(from: "c", "127.0.0.1", 9000) == "host 172.31.2.2")
  }

  @Test func `networks are kept apart, internal ones from everything but the host`() throws {
    let world = try FirewallWorld()
    let firewall = world.firewall
    try world.serve(9000)
    let ports = try Self.bothFamilies(8080, "172.31.1.2", "fd00:31:1::2")
    try world.onHost { try firewall.restore(networks: FirewallWorld.networks, ports: ports) }
    for (own, b, c, i, r, outside, seen) in [
      ("172.31.3.1", "172.31.1.3", "172.31.2.2", "172.31.3.2", "172.31.4.2", "198.51.100.9", "198.51.100.1"),
      (
        "fd00:31:3::1", "fd00:31:1::3", "fd00:31:2::2", "fd00:31:3::2", "fd00:31:4::2", "2001:db8:9::9", "2001:db8:9::1"
      ),
    ] {
      #expect(try world.ask(from: "a", b, 80)?.hasPrefix("b ") == true)
      #expect(try world.isRefused("a", c, 80))
      #expect(try world.isRefused("a", i, 80))
      #expect(try world.isRefused("a", r, 80))
      // What is not published is not reached from outside, though somebody there has a route.
      for target in [b, c, i, r] { #expect(try world.isRefused("outside", target, 80)) }
      // Out: with the host's address, or as routed.
      #expect(try world.ask(from: "a", outside, 80) == "outside \(seen)")
      #expect(try world.ask(from: "r", outside, 80) == "outside \(r)")
      #expect(try world.isRefused("i", outside, 80))
      // The host's own, in both directions; not what it leads on.
      #expect(try world.ask(from: "host", i, 80) == "i \(own)")
      #expect(try world.ask(from: "i", own, 9000)?.hasPrefix("host ") == true)
      #expect(try world.isRefused("i", own, 8080))
    }
  }

  @Test func `without neighbours there is no way over the host either`() throws {
    let world = try FirewallWorld()
    let firewall = world.firewall
    var networks = FirewallWorld.networks
    networks[0].allowsNeighbours = false
    let new = networks
    let ports = [try Self.port(8080, "172.31.1.2")]
    try world.onHost { try firewall.restore(networks: new, ports: ports) }
    // By the host, which routes packets back out of the interface they came from.
    try world.inside("host", "bridge link set dev va isolated on; bridge link set dev vb isolated on")
    try world.inside("b", "ip route add 172.31.1.2 via 172.31.1.1")
    try world.inside("a", "ip route add 172.31.1.3 via 172.31.1.1")
    #expect(try world.isRefused("b", "172.31.1.2", 80))
    let open = FirewallWorld.networks
    try world.onHost { try firewall.add(open[0]) }
    #expect(try world.ask(from: "b", "172.31.1.2", 80) == "a 172.31.1.3")
  }

  @Test func `a routed network's published port is reached at the instance's own address`() throws {
    let world = try FirewallWorld()
    let firewall = world.firewall
    let ports = try [Self.port(81, "172.31.4.2"), Self.port(82, "172.31.4.2"), Self.port(81, "fd00:31:4::2")]
    try world.onHost { try firewall.restore(networks: FirewallWorld.networks, ports: ports) }
    #expect(try world.ask(from: "outside", "172.31.4.2", 80) == "r 198.51.100.9")
    #expect(try world.ask(from: "outside", "fd00:31:4::2", 80) == "r 2001:db8:9::9")
    #expect(try world.ask(from: "a", "172.31.4.2", 80) == "r 172.31.1.2")
    #expect(try world.isRefused("outside", "198.51.100.1", 81))
    // One port by two: the second still holds it open.
    try world.onHost { try firewall.withdraw([ports[0]]) }
    #expect(try world.ask(from: "outside", "172.31.4.2", 80) == "r 198.51.100.9")
    try world.onHost { try firewall.withdraw(ports) }
    #expect(try world.isRefused("outside", "172.31.4.2", 80))
  }

  @Test func `the administrator's rules stay and decide`() throws {
    let world = try FirewallWorld()
    let firewall = world.firewall
    let ports = try Self.bothFamilies(8080, "172.31.1.2", "fd00:31:1::2")
    try world.onHost { try firewall.restore(networks: FirewallWorld.networks, ports: ports) }
    let rule = "iifname != @bridges meta l4proto tcp ct original proto-dst 8080 ip saddr != 10.0.0.0/8 counter drop"
    try world.inside("host", "nft \"add rule inet apus user \(rule)\"")
    #expect(try world.isRefused("outside", "198.51.100.1", 8080))
    #expect(try world.ask(from: "outside", "2001:db8:9::1", 8080) == "a 2001:db8:9::9")
    // Connections of the host itself are not asked about.
    #expect(try world.ask(from: "host", "198.51.100.1", 8080) == "a 198.51.100.1")
    for _ in 0..<2 {
      try world.onHost { try firewall.restore(networks: FirewallWorld.networks, ports: ports) }
      #expect(try world.inside("host", "nft list chain inet apus user").contains("proto-dst 8080"))
      #expect(try world.isRefused("outside", "198.51.100.1", 8080))
      try world.onHost { try firewall.removeTable() }
      #expect(try world.inside("host", "nft list chain inet apus user").contains("proto-dst 8080"))
      #expect(try world.isRefused("host", "198.51.100.1", 8080))
    }
    try world.inside("host", "nft flush chain inet apus user")
    try world.onHost { try firewall.removeTable() }
    #expect(try world.inside("host", "nft list tables").isEmpty)
    try world.onHost { try firewall.removeTable() }
  }

  @Test func `a table that somebody has flushed or that has another form comes back`() throws {
    let world = try FirewallWorld()
    let firewall = world.firewall
    // A set in use, a chain with another hook.
    try world.inside(
      "host",
      """
      nft "add table inet apus; add set inet apus bridges { type ipv4_addr; };
      add chain inet apus forward { type filter hook input priority 5; };
      add rule inet apus forward ip saddr @bridges drop"
      """)
    let ports = try [Self.port(8080, "172.31.1.2"), Self.port(8081, "172.31.1.3")]
    try world.onHost { try firewall.restore(networks: FirewallWorld.networks, ports: [ports[0]]) }
    #expect(try world.ask(from: "outside", "198.51.100.1", 8080) == "a 198.51.100.9")
    try world.inside("host", "nft flush ruleset")
    var tries = 0
    while try world.ask(from: "outside", "198.51.100.1", 8080, timeout: 100) != "a 198.51.100.9", tries < 30 {
      tries += 1
    }
    #expect(tries < 30)
    // By a file that begins with a flush and has the administrator's rules, too.
    try world.inside(
      "host",
      """
      nft "flush ruleset; add table inet apus; add chain inet apus user;
      add rule inet apus user ip saddr 198.51.100.9 tcp dport 81 drop"
      """)
    tries = 0
    while try world.inside("host", "nft list table inet apus").contains("chain forward") == false, tries < 100 {
      tries += 1
    }
    #expect(try world.inside("host", "nft list chain inet apus user").contains("tcp dport 81 drop"))
    try world.onHost { try firewall.publish([ports[1]]) }
    #expect(try world.ask(from: "outside", "198.51.100.1", 8080) == "a 198.51.100.9")
    #expect(try world.ask(from: "outside", "198.51.100.1", 8081) == "b 198.51.100.9")
    // An element that is gone already.
    try world.inside("host", "nft flush map inet apus published4")
    try world.onHost { try firewall.withdraw([ports[0]]) }
    #expect(try world.isRefused("outside", "198.51.100.1", 8080))
    #expect(try world.ask(from: "outside", "198.51.100.1", 8081) == "b 198.51.100.9")
  }

  @Test func `a client that goes on sending is led where the port leads now`() throws {
    let world = try FirewallWorld()
    let firewall = world.firewall
    let toA = try [Self.port(8080, "172.31.1.2", .udp), Self.port(8080, "fd00:31:1::2", .udp)]
    let toB = try [Self.port(8080, "172.31.1.3", .udp), Self.port(8080, "fd00:31:1::3", .udp)]
    try world.onHost { try firewall.restore(networks: FirewallWorld.networks, ports: []) }
    func ask(_ address: String) throws -> String? {
      try world.ask(from: "outside", address, 8080, udp: true, timeout: 150, sourcePort: 5000)
    }
    #expect(try ask("198.51.100.1") == nil)
    #expect(try ask("2001:db8:9::1") == nil)
    try world.onHost { try firewall.publish(toA) }
    firewall.forgetting.wait()
    #expect(try ask("198.51.100.1") == "a 198.51.100.9")
    #expect(try ask("2001:db8:9::1") == "a 2001:db8:9::9")
    try world.onHost {
      try firewall.restore(networks: FirewallWorld.networks, ports: toB)
    }
    // A restored table alone leaves connections as they are.
    #expect(try ask("198.51.100.1") == "a 198.51.100.9")
    try world.onHost { firewall.forget(addresses: toA.map(\.address)) }
    firewall.forgetting.wait()
    #expect(try ask("198.51.100.1") == "b 198.51.100.9")
    #expect(try ask("2001:db8:9::1") == "b 2001:db8:9::9")
    try world.onHost { try firewall.withdraw(toB) }
    firewall.forgetting.wait()
    #expect(try ask("198.51.100.1") == nil)
    #expect(try ask("2001:db8:9::1") == nil)
  }

  @Test func `what the kernel is told directly is what nft would have told it`() throws {
    let world = try FirewallWorld()
    let direct = world.firewall
    let byProgram = Firewall(table: "other", logger: Logger(label: "firewall"))
    let ports =
      try Self.bothFamilies(8080, "172.31.1.2", "fd00:31:1::2") + [
        Self.port(1, "172.31.1.2", host: "127.0.0.1", port: 65535, .sctp),
        Self.port(65535, "fd00:31:1::2", host: "2001:db8:9::1", port: 1), Self.port(90, "172.31.4.2"),
        Self.port(90, "fd00:31:4::2", .udp),
      ]
    try world.onHost {
      try direct.restore(networks: [], ports: [])
      for network in FirewallWorld.networks { try direct.add(network) }
      try direct.publish(ports)
      try byProgram.restore(networks: FirewallWorld.networks, ports: ports)
    }
    func elements(_ table: String) throws -> [String: Set<String>] {
      var sets: [String: Set<String>] = [:]
      let listing = try world.inside("host", "nft -j list table inet \(table)")
      let document = try JSONSerialization.jsonObject(with: Data(listing.utf8)) as? [String: Any]
      for object in document?["nftables"] as? [[String: Any]] ?? [] {
        guard let set = (object["set"] ?? object["map"]) as? [String: Any], let name = set["name"] as? String else {
          continue
        }
        sets[name] = Set(
          try (set["elem"] as? [Any] ?? []).map {
            String(
              decoding: try JSONSerialization.data(withJSONObject: ["": $0], options: [.sortedKeys]), as: UTF8.self)
          })
      }
      return sets
    }
    let expected = try elements("other")
    #expect(expected.count == SetElement.Name.allCases.count)
    #expect(expected.values.allSatisfy { !$0.isEmpty })
    #expect(try elements("apus") == expected)
    try world.onHost {
      try direct.withdraw(ports)
      for network in FirewallWorld.networks { try direct.remove(network) }
    }
    #expect(try elements("apus").values.allSatisfy(\.isEmpty))
  }

  @Test func `many at once are few transactions, and only who is wrong fails`() throws {
    let world = try FirewallWorld()
    let firewall = world.firewall
    try world.onHost { try firewall.restore(networks: FirewallWorld.networks, ports: []) }
    let ports = try (0..<200).map { try Self.port(UInt16(10000 + $0), "172.31.1.2") }
    let taken = try Self.port(10000, "172.31.1.3")
    let path = world.path("host")
    let outcomes = Mutex<[Int: Bool]>([:])
    DispatchQueue.concurrentPerform(iterations: 201) { index in
      let port = index < 200 ? ports[index] : taken
      let isDone = (try? FirewallWorld.thread(in: path) { try firewall.publish([port]) }) != nil
      outcomes.withLock { $0[index] = isDone }
    }
    let failed = outcomes.withLock { $0.filter { !$0.value } }
    // One of the two who want the same.
    #expect(failed.count == 1 && (failed[200] == false || failed[0] == false))
    let listing = try world.inside("host", "nft list map inet apus published4")
    #expect(listing.components(separatedBy: "172.31.1.").count - 1 == 200)
  }

  @Test func `another firewall of the host that refuses is named, and the advice helps`() throws {
    let world = try FirewallWorld()
    let firewall = world.firewall
    let ports = [try Self.port(8080, "172.31.1.2")]
    func warnings() throws -> [String] { try world.onHost { HostFirewall().warnings(interfaces: ["tw0"]) } }
    func follow(_ sentence: String?) throws {
      let commands = try #require(sentence?.components(separatedBy: "to let them through: ").last)
      for command in commands.components(separatedBy: "; ") { try world.inside("host", command) }
    }
    try world.onHost { try firewall.restore(networks: FirewallWorld.networks, ports: ports) }
    #expect(try warnings() == [])
    try world.inside(
      "host",
      "nft \"add table inet own; add chain inet own passing { type filter hook forward priority 0; policy drop; }\""
    )
    #expect(try world.isRefused("outside", "198.51.100.1", 8080))
    let first = try warnings()
    #expect(first.count == 1 && first.first?.contains("chain passing of table inet own refuses") == true)
    try follow(first.first)
    #expect(try warnings() == [])
    #expect(try world.ask(from: "outside", "198.51.100.1", 8080) == "a 198.51.100.9")
    // As dockerd leaves a host.
    try world.inside(
      "host",
      "iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; iptables -A FORWARD -j DOCKER-USER"
    )
    #expect(try world.isRefused("outside", "198.51.100.1", 8080))
    let second = try warnings()
    #expect(second.count == 1 && second.first?.contains("iptables -I DOCKER-USER -i tw0 -j ACCEPT") == true)
    try follow(second.first)
    #expect(try warnings() == [])
    #expect(try world.ask(from: "outside", "198.51.100.1", 8080) == "a 198.51.100.9")
  }
}
