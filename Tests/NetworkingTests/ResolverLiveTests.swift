import Errors
import Glibc
import Linux
import Logging
import Netlink
import Testing

@testable import Networking

/// In a network namespace that is thrown away, as an instance is served (root only).
@Suite(.enabled(if: geteuid() == 0)) struct ResolverLiveTests {
  /// A namespace whose loopback interface is up, and a resolver that serves it.
  struct World {
    let namespace: NetworkNamespace
    let resolver: Resolver

    init() throws {
      let namespace = try NetworkNamespace.make()
      var route = try NetlinkSocket(.route, in: namespace)
      try route.perform(NetlinkRequest.change(.name("lo"), LinkChange(isUp: true)))
      self.namespace = namespace
      resolver = Resolver(source: TestNames(), upstreams: { [] }, logger: Logger(label: "names"))
      try serve()
    }

    func serve() throws { try resolver.serve("i", in: namespace, upstreams: []) }

    /// Asks port 53 as a client in the namespace does.
    func ask(_ name: String, _ type: UInt16 = DNSType.a, by kind: __socket_type = SOCK_DGRAM) throws -> [String] {
      let client = try inside { try TestSocket(kind) }
      // Connected, as libc's are: what does not come from 127.0.0.11:53 is not received.
      try client.connect("127.0.0.11", port: 53)
      try client.send(ResolverMessageTests.query(name, type))
      let answer = ResolverFixture.Answer(try #require(client.receive()?.message))
      return try #require(answer).addresses
    }

    func inside<Result>(_ body: () throws -> Result) throws -> Result {
      try namespace.run { () throws(ApusError) in Swift.Result { try body() } }.get()
    }

    /// What a program prints that is started inside.
    func run(_ arguments: [String]) throws -> String {
      let pipe = try Linux.Pipe()
      let child = try inside {
        try Spawn.process(
          try #require(ResolverLiveTests.path(of: arguments[0])), arguments: arguments,
          descriptors: [(pipe.writeEnd.raw, 1)])
      }
      _ = consume pipe.writeEnd
      let output = try Files.read(descriptor: pipe.readEnd.raw, limit: 1 << 20)
      waitpid(child, nil, 0)
      return String(decoding: output, as: UTF8.self)
    }
  }

  static func path(of program: String) -> String? {
    ["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"].map { $0 + program }.first { access($0, X_OK) == 0 }
  }

  static func exists(_ program: String) -> Bool { path(of: program) != nil }

  @Test func `port 53 of 127_0_0_11 answers connected clients`() throws {
    let world = try World()
    defer { world.resolver.shutdown() }
    for kind in [SOCK_DGRAM, SOCK_STREAM] {
      #expect(try world.ask("v4only", by: kind) == ["10.1.2.5"])
      #expect(try world.ask("web", DNSType.aaaa, by: kind) == ["fd00::3"])
    }
  }

  @Test func `port 53 stays free for the instance's own server`() throws {
    let world = try World()
    defer { world.resolver.shutdown() }
    let server = try world.inside { try TestSocket(SOCK_DGRAM) }
    try server.bind("0.0.0.0", port: 53)
    try world.inside { try TestSocket(SOCK_STREAM) }.bind("0.0.0.0", port: 53)
    let client = try world.inside { try TestSocket(SOCK_DGRAM) }
    try client.connect("127.0.0.1", port: 53)
    try client.send([1, 2, 3])
    #expect(server.receive()?.message == [1, 2, 3])
    #expect(try world.ask("v4only") == ["10.1.2.5"])
  }

  @Test func `whoever serves again replaces the rules and the sockets`() throws {
    let world = try World()
    for _ in 0..<3 {
      try world.serve()
      #expect(try world.ask("v4only") == ["10.1.2.5"])
      #expect(try world.ask("v4only", by: SOCK_STREAM) == ["10.1.2.5"])
    }
    // As after the daemon's death: its sockets are gone, its rules are not.
    world.resolver.shutdown()
    let next = Resolver(source: TestNames(), upstreams: { [] }, logger: Logger(label: "names"))
    defer { next.shutdown() }
    try next.serve("i", in: world.namespace, upstreams: [])
    #expect(try world.ask("v4only") == ["10.1.2.5"])
  }

  @Test func `tracking connections in the instance finds nothing amiss`() throws {
    guard Self.exists("nft") else { return }
    let world = try World()
    defer { world.resolver.shutdown() }
    let rules = { (hook: String) in
      "chain \(hook) { type filter hook \(hook) priority 0; policy drop; ct state established,new accept; };"
    }
    _ = try world.run(["nft", "table ip t { \(rules("input")) \(rules("output")) }"])
    #expect(try world.run(["nft", "list", "table", "ip", "t"]).contains("policy drop"))
    for kind in [SOCK_DGRAM, SOCK_STREAM] { #expect(try world.ask("v4only", by: kind) == ["10.1.2.5"]) }
  }

  @Test func `the rules are what nft would make of their text`() throws {
    guard Self.exists("nft") else { return }
    let world = try World()
    defer { world.resolver.shutdown() }
    let listed = try world.run(["nft", "list", "ruleset"])
    func ports(_ pattern: String) -> [Substring] {
      listed.split(separator: "\n").filter { $0.contains(pattern) }.compactMap { $0.split(separator: " ").last }
    }
    let datagrams = try #require(ports("udp dport set").first)
    let streams = try #require(ports("tcp dport set").first)
    #expect(
      listed == """
        table ip apus_dns {
        \tchain query {
        \t\ttype filter hook output priority raw; policy accept;
        \t\tip daddr 127.0.0.11 udp dport 53 udp dport set \(datagrams)
        \t\tip daddr 127.0.0.11 tcp dport 53 tcp dport set \(streams)
        \t}

        \tchain answer {
        \t\ttype filter hook postrouting priority 300; policy accept;
        \t\tip saddr 127.0.0.11 udp sport \(datagrams) udp sport set 53
        \t\tip saddr 127.0.0.11 tcp sport \(streams) tcp sport set 53
        \t}
        }

        """)
  }

  @Test func `other people's clients understand the answers`() throws {
    let world = try World()
    defer { world.resolver.shutdown() }
    if Self.exists("dig") {
      #expect(try world.run(["dig", "@127.0.0.11", "+short", "v4only"]) == "10.1.2.5\n")
      #expect(try world.run(["dig", "@127.0.0.11", "+short", "+tcp", "v4only"]) == "10.1.2.5\n")
      #expect(try world.run(["dig", "@127.0.0.11", "+short", "-x", "10.1.2.3"]) == "web.appnet.\n")
      #expect(try world.run(["dig", "@127.0.0.11", "+short", "-x", "fd00::3"]) == "web.appnet.\n")
      let whole = try world.run(["dig", "@127.0.0.11", "+dnssec", "WEB", "HTTPS"])
      #expect(whole.contains("status: NOERROR") && whole.contains("EDNS: version: 0, flags: do; udp: 1232"))
      #expect(!whole.contains("WARNING"))
    }
    if Self.exists("busybox") {
      let listed = try world.run(["busybox", "nslookup", "v4only", "127.0.0.11"])
      #expect(listed.contains("10.1.2.5"))
    }
  }

  @Test func `the sockets go, and the namespace is left alone`() throws {
    let world = try World()
    defer { world.resolver.shutdown() }
    let client = try world.inside { try TestSocket(SOCK_STREAM) }
    try client.connect("127.0.0.11", port: 53)
    try client.send(ResolverMessageTests.query("v4only"))
    #expect(client.receive() != nil)
    world.resolver.stop("i")
    #expect(client.receive() == nil)
    // The listening socket follows within the same turn.
    while (try? world.inside { try TestSocket(SOCK_STREAM) }.connect("127.0.0.11", port: 53)) != nil {}
  }
}
