import ArgumentParser
import Testing

@testable import apus

@Suite("Networks of a new container") struct NetworkArgumentTests {
  /// The options of `run` that this is about; reading the others takes a test a second.
  private struct Options: ParsableCommand {
    @OptionGroup var frequent: FrequentOptions
    @OptionGroup var network: NetworkOptions
  }

  private func body(_ words: [String]) throws -> JSON {
    let options = try Options.parse(words)
    var request = CreateRequest()
    let networks = try request.network(options.frequent, options.network)
    var body = JSON.object(request.config)
    body["HostConfig"] = .object(request.host)
    body["NetworkingConfig"] = networks ?? .null
    return body
  }

  private func endpoints(_ words: String...) throws -> JSON { try body(words)["NetworkingConfig"]["EndpointsConfig"] }

  @Test("one network that nothing is said about is the mode alone")
  func mode() throws {
    for name in ["none", "host", "bridge", "backend", "container:db", "default"] {
      let body = try body(["--network", name])
      #expect(body["HostConfig"]["NetworkMode"] == .string(name))
      #expect(body["NetworkingConfig"].isNull)
    }
    #expect(try body([])["HostConfig"]["NetworkMode"] == "default")
    #expect(try body(["--net", "name=a"])["HostConfig"]["NetworkMode"] == "a")
  }

  @Test("the options without a network of their own belong to the first")
  func options() throws {
    let endpoints = try endpoints(
      "--network", "a", "--network", "b", "--ip", "10.0.0.2", "--ip6", "fd00::2", "--link-local-ip", "169.254.1.1",
      "--network-alias", "x", "--net-alias", "y", "--mac-address", "02:42:ac:11:00:02", "--link", "db:sql",
      "--network-rate", "ingress=1.5mbit,egress=64KBIT")
    #expect(
      endpoints["a"] == [
        "IPAMConfig": ["IPv4Address": "10.0.0.2", "IPv6Address": "fd00::2", "LinkLocalIPs": ["169.254.1.1"]],
        "Aliases": ["x", "y"], "Links": ["db:sql"], "MacAddress": "02:42:ac:11:00:02",
        "DriverOpts": ["apus.rate.ingress": "1500kbit", "apus.rate.egress": "64kbit"],
      ])
    #expect(endpoints["b"] == .object([]))
    #expect(try self.endpoints("--ip", "10.0.0.2") == ["default": ["IPAMConfig": ["IPv4Address": "10.0.0.2"]]])
  }

  @Test("the long form says it of any")
  func long() throws {
    let endpoints = try endpoints(
      "--network", "name=a,alias=x,alias=y,ip=10.0.0.2,ip6=fd00::2,mac-address=02-42-AC-11-00-02,gw-priority=-5",
      "--network", #"name=b,link-local-ip=fe80::5,"driver-opt=k=v,w",driver-opt=z="#, "--network-rate", "egress=1gbit")
    #expect(
      endpoints["a"] == [
        "IPAMConfig": ["IPv4Address": "10.0.0.2", "IPv6Address": "fd00::2"], "Aliases": ["x", "y"],
        "MacAddress": "02-42-AC-11-00-02", "DriverOpts": ["apus.rate.egress": "1gbit"], "GwPriority": -5,
      ])
    #expect(
      endpoints["b"] == ["IPAMConfig": ["LinkLocalIPs": ["fe80::5"]], "DriverOpts": ["k": "v,w", "z": ""]])
  }

  @Test("a link on the default bridge is the container's")
  func links() throws {
    let body = try body(["--link", "db:sql", "--link", "cache"])
    #expect(body["HostConfig"]["Links"] == ["db:sql", "cache"])
    #expect(body["NetworkingConfig"].isNull)
  }

  @Test("names and ports")
  func names() throws {
    let body = try body([
      "--dns", "1.1.1.1", "--dns", "fd00::1", "--dns-search", ".", "--dns-option", "ndots:2", "--dns-opt", "rotate",
      "-P",
      "--add-host", "a:1.2.3.4", "--add-host", "b=[::1]", "--add-host", "c:fd00::1", "--add-host", "d:host-gateway",
      "--expose", "80-81", "-p", "8080:80", "-p", "53:53/udp",
    ])
    let host = body["HostConfig"]
    #expect(host["Dns"] == ["1.1.1.1", "fd00::1"])
    #expect(host["DnsSearch"] == ["."])
    #expect(host["DnsOptions"] == ["ndots:2", "rotate"])
    #expect(host["ExtraHosts"] == ["a:1.2.3.4", "b:::1", "c:fd00::1", "d:host-gateway"])
    #expect(host["PublishAllPorts"] == true)
    #expect(body["ExposedPorts"].members.map(\.key) == ["80/tcp", "81/tcp", "53/udp"])
    #expect(host["PortBindings"]["80/tcp"] == [["HostIp": "", "HostPort": "8080"]])
  }

  @Test(
    "what is wrong is said",
    arguments: [
      (["--network", ""], "Option --network cannot be '': it names no network."),
      (["--network", "alias=x"], "Option --network cannot be 'alias=x': it names no network: name=…."),
      (
        ["--network", "name=a,foo=b"],
        "Option --network cannot be 'name=a,foo=b': there is no field 'foo'; there are name, alias, ip, ip6, mac-address, "
          + "link-local-ip, driver-opt and gw-priority."
      ),
      (
        ["--network", "name=a,alias"],
        "Option --network cannot be 'name=a,alias': the field 'alias' is not written as key=value."
      ),
      (
        ["--network", "name=a,ip=fd00::1"],
        "Option --network cannot be 'name=a,ip=fd00::1': ip wants an IPv4 address such as 172.28.0.9, not 'fd00::1'."
      ),
      (
        ["--network", "name=a,gw-priority=high"],
        "Option --network cannot be 'name=a,gw-priority=high': 'high' is not a number."
      ),
      (
        ["--network", "name=a,driver-opt=x"],
        "Option --network cannot be 'name=a,driver-opt=x': driver-opt wants key=value, not 'x'."
      ),
      (["--network", "a", "--network", "a"], "Option --network names 'a' more than once."),
      (["--network", "a", "--network", "host"], "Option --network host allows no other network beside it."),
      (
        ["--network", "container:x", "--network", "a"],
        "Option --network container:x allows no other network beside it."
      ),
      (
        ["--network", "none", "--ip", "10.0.0.2"],
        "The network 'none' gives the container no interface of its own: leave out its addresses, aliases, options and "
          + "rates."
      ),
      (
        ["--network-alias", "x"],
        "Names are looked up in networks made with 'apus network create', not in 'default': leave out the alias, or name "
          + "such a network with --network."
      ),
      (
        ["--network", "name=a,ip=10.0.0.2", "--ip", "10.0.0.3"],
        "Option --ip and 'ip=' of --network say the same; give one of them."
      ),
      (["--ip", "fd00::1"], "Option --ip cannot be 'fd00::1': it wants an IPv4 address such as 172.28.0.9."),
      (["--ip6", "10.0.0.1"], "Option --ip6 cannot be '10.0.0.1': it wants an IPv6 address such as fd00::9."),
      (["--link-local-ip", "x"], "Option --link-local-ip cannot be 'x': it wants an IP address."),
      (
        ["--mac-address", "02:42"],
        "Option --mac-address cannot be '02:42': it wants six bytes such as 02:42:ac:11:00:02."
      ),
      (
        ["--network-rate", "10mbit"],
        "Option --network-rate cannot be '10mbit': it wants ingress=RATE, egress=RATE or both, such as "
          + "ingress=10mbit,egress=5mbit."
      ),
      (
        ["--network-rate", "ingress=fast"],
        "Option --network-rate cannot be 'ingress=fast': 'fast' is not a rate, a number of bit, kbit, mbit, gbit or tbit "
          + "a second."
      ),
      (
        ["--network-rate", "egress=1,egress=2"],
        "Option --network-rate cannot be 'egress=1,egress=2': it says egress twice."
      ),
      (["--dns", "dns.example"], "Option --dns cannot be 'dns.example': it wants an IP address."),
      (["--link", "a:b:c"], "Option --link cannot be 'a:b:c': it wants CONTAINER or CONTAINER:ALIAS."),
      (
        ["--add-host", "db"],
        "Option --add-host cannot be 'db': it wants name:address, such as db:10.0.0.5 or host.internal:host-gateway."
      ),
      (
        ["--add-host", "db:gateway"],
        "Option --add-host cannot be 'db:gateway': 'gateway' is neither an IP address nor host-gateway."
      ),
    ])
  func refused(words: [String], sentence: String) {
    let error = #expect(throws: UsageError.self) { try body(words) }
    #expect(error?.message == sentence)
  }

  @Test(
    "rates in the largest unit that has a whole number of it",
    arguments: [
      ("10mbit", "10mbit"), ("1.5mbit", "1500kbit"), ("64k", "64kbit"), ("1000000", "1mbit"), ("1GBIT", "1gbit"),
      ("1500bit", "1500bit"), ("0.5kbit", "500bit"), ("2tbit", "2000gbit"),
    ])
  func rates(text: String, expected: String) { #expect(NetworkRate.rate(text) == expected) }

  @Test("no rates", arguments: ["", "0", "bit", "10mbps", "-1mbit", "1e3", "1.2.3", "9999999tbit", "10 mbit"])
  func noRates(text: String) { #expect(NetworkRate.rate(text) == nil) }
}

@Suite("Addresses") struct AddressTests {
  @Test("of both families")
  func addresses() {
    #expect(Address("10.0.0.1")?.bytes == [10, 0, 0, 1])
    #expect(Address("::1")?.bytes == [UInt8](repeating: 0, count: 15) + [1])
    for text in ["", "1.2.3", "256.0.0.1", "1.2.3.4 ", "localhost", "::1%lo", "[::1]", ":::"] {
      #expect(Address(text) == nil, "\(text)")
    }
  }

  @Test("blocks hold addresses and blocks")
  func blocks() throws {
    let block = try #require(AddressBlock("10.9.1.0/23"))
    #expect(block.contains(try #require(Address("10.9.0.255"))))
    #expect(!block.contains(try #require(Address("10.9.2.0"))))
    #expect(!block.contains(try #require(Address("::"))))
    #expect(block.contains(try #require(AddressBlock("10.9.1.128/25"))))
    #expect(!block.contains(try #require(AddressBlock("10.0.0.0/8"))))
    #expect(block.overlaps(try #require(AddressBlock("10.0.0.0/8"))))
    #expect(try #require(AddressBlock("::/0")).contains(try #require(Address("fd00::1"))))
    for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "/8", "fd00::/129", "a/8", "10.0.0.0/8/8"] {
      #expect(AddressBlock(text) == nil, "\(text)")
    }
  }
}
