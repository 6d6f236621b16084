import Errors
import Foundation
import Glibc
import Linux
import Logging
import Netlink

@testable import Networking

/// A host with its networks in namespaces of their own, thrown away with this object.
///
/// ```
///             outside                198.51.100.9, 2001:db8:9::9
///                |
///  host ---------+                   198.51.100.1, 2001:db8:9::1
///   |- tw0       a, b                172.31.1.0/24, fd00:31:1::/64      (nat)
///   |- tw1       c                   172.31.2.0/24, fd00:31:2::/64      (nat)
///   |- tw2       i                   172.31.3.0/24, fd00:31:3::/64      (internal)
///   `- tw3       r                   172.31.4.0/24, fd00:31:4::/64      (routed)
/// ```
/// In every namespace but the host's, `EchoServer`s say who they are and whom they see.
final class FirewallWorld {
  static let isPossible = geteuid() == 0 && access("/usr/sbin/nft", X_OK) == 0 && access("/sys/fs/cgroup", F_OK) == 0

  private static let prefix = "apusfw\(getpid())"
  let firewall: Firewall
  private var names: [String] = []
  private var servers: [EchoServer] = []

  static func subnet(_ index: Int) -> (v4: String, v6: String) { ("172.31.\(index + 1)", "fd00:31:\(index + 1)") }

  static let networks = (0..<4).map { index in
    let (v4, v6) = subnet(index)
    var network = FirewallNetwork(
      interface: "tw\(index)", subnet4: IPSubnet("\(v4).0/24"), subnet6: IPSubnet("\(v6)::/64"),
      gateway4: IPAddress("\(v4).1"), gateway6: IPAddress("\(v6)::1"))
    network.isInternal = index == 2
    if index == 3 { (network.routing4, network.routing6) = (.routed, .routed) }
    return network
  }

  init(bridgeFilter: Bool = true) throws {
    firewall = Firewall(table: "apus", logger: Logger(label: "firewall"))
    try namespace("host")
    try inside("host", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.accept_dad=0")
    // As a host has them beside the bridges.
    if access("/proc/sys/net/bridge", F_OK) == 0 {
      try inside(
        "host",
        "sysctl -qw net.bridge.bridge-nf-call-iptables=\(bridgeFilter ? 1 : 0) net.bridge.bridge-nf-call-ip6tables=0")
    }
    for index in 0..<4 {
      let (v4, v6) = Self.subnet(index)
      try inside(
        "host",
        """
        ip link add tw\(index) type bridge && ip link set tw\(index) up
        ip addr add \(v4).1/24 dev tw\(index); ip addr add \(v6)::1/64 dev tw\(index) nodad
        sysctl -qw net.ipv4.conf.tw\(index).route_localnet=1
        ip -6 route append local ::1 dev tw\(index) table local metric 4096
        """)
    }
    try plug("a", index: 0, host: 2)
    try plug("b", index: 0, host: 3)
    try plug("c", index: 1, host: 2)
    try plug("i", index: 2, host: 2, isInternal: true)
    try plug("r", index: 3, host: 2)
    try namespace("outside")
    try run("ip link add o0 netns \(name("host")) type veth peer name eth0 netns \(name("outside"))")
    try inside(
      "host", "ip addr add 198.51.100.1/24 dev o0; ip addr add 2001:db8:9::1/64 dev o0 nodad; ip link set o0 up")
    try inside(
      "outside",
      """
      ip addr add 198.51.100.9/24 dev eth0; ip addr add 2001:db8:9::9/64 dev eth0 nodad; ip link set eth0 up
      ip route add 172.31.0.0/16 via 198.51.100.1; ip -6 route add fd00:31::/32 via 2001:db8:9::1
      """)
    for name in ["a", "b", "c", "i", "r", "outside"] {
      servers.append(try EchoServer(name, port: 80, namespace: path(name)))
    }
    // The first packets of all wait until the links have addresses of their own, longer than a client of these tests.
    for address in ["fd00:31:1::2", "fd00:31:1::3", "fd00:31:2::2", "fd00:31:3::2", "fd00:31:4::2", "2001:db8:9::9"] {
      var tries = 0
      while try ask(from: "host", address, 80, udp: true, timeout: 100) == nil {
        tries += 1
        guard tries < 50 else { throw ApusError(.internal, "\(address) is not reached") }
      }
    }
  }

  deinit {
    for server in servers { server.stop() }
    for name in names { _ = try? run("ip netns del \(name)") }
  }

  private func name(_ short: String) -> String { "\(Self.prefix)-\(short)" }
  func path(_ short: String) -> String { "/run/netns/\(name(short))" }

  private func namespace(_ short: String) throws {
    try run("ip netns add \(name(short))")
    names.append(name(short))
    try inside(short, "ip link set lo up")
  }

  private func plug(_ short: String, index: Int, host: Int, isInternal: Bool = false) throws {
    let (v4, v6) = Self.subnet(index)
    try namespace(short)
    try run("ip link add v\(short) netns \(name("host")) type veth peer name eth0 netns \(name(short))")
    try inside("host", "ip link set v\(short) master tw\(index) up && bridge link set dev v\(short) hairpin on")
    try inside(
      short, "ip addr add \(v4).\(host)/24 dev eth0; ip addr add \(v6)::\(host)/64 dev eth0 nodad; ip link set eth0 up")
    if !isInternal {
      try inside(short, "ip route add default via \(v4).1; ip -6 route add default via \(v6)::1")
    }
  }

  /// A server on the host itself.
  func serve(_ port: UInt16) throws {
    servers.append(try EchoServer("host", port: port, namespace: path("host")))
  }

  // MARK: Doing things

  @discardableResult
  func run(_ command: String) throws -> String {
    guard let pipe = popen("set -e; (\(command)) 2>&1", "r") else {
      throw ApusError(errno: errno, "cannot run \(command)")
    }
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = fread(&buffer, 1, buffer.count, pipe)
      if count == 0 { break }
      output += buffer.prefix(count)
    }
    let text = String(decoding: output, as: UTF8.self)
    guard pclose(pipe) == 0 else { throw ApusError(.internal, "\(command): \(text)") }
    return text
  }

  @discardableResult
  func inside(_ short: String, _ script: String) throws -> String {
    try run("ip netns exec \(name(short)) sh -ec '\(script)'")
  }

  /// On the host of this world.
  func onHost<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
    try Self.thread(in: path("host"), body)
  }

  /// What the server says, or nil when it cannot be reached: "who whom".
  func ask(
    from short: String, _ address: String, _ port: UInt16, udp: Bool = false, timeout: Int = 400,
    sourcePort: UInt16 = 0
  ) throws -> String? {
    try Self.thread(in: path(short)) {
      Client.ask(address, port, udp: udp, timeout: timeout, from: sourcePort)
    }
  }

  /// ``ask(from:_:_:udp:timeout:sourcePort:)`` where no answer is expected.
  func isRefused(_ short: String, _ address: String, _ port: UInt16, udp: Bool = false) throws -> Bool {
    try ask(from: short, address, port, udp: udp, timeout: 150) == nil
  }

  /// Runs `body` on a new thread in a network namespace.
  static func thread<Result: Sendable>(
    in path: String, _ body: @escaping @Sendable () throws -> Result
  ) throws -> Result {
    nonisolated(unsafe) var result: Swift.Result<Result, any Error>?
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
      result = Swift.Result {
        let namespace = try Files.open(path, flags: O_RDONLY)
        try check(setns(namespace.raw, CLONE_NEWNET), "cannot enter \(path)")
        return try body()
      }
      done.signal()
    }
    thread.start()
    done.wait()
    guard let result else { throw ApusError(.internal, "a thread has ended without a result") }
    return try result.get()
  }
}
