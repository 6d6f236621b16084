import Testing

@testable import apus

@Suite("Published ports") struct PortArgumentTests {
  /// `address|outside|inside`
  private func forms(_ text: String) throws -> [String] {
    try PortArgument.published(text).map { "\($0.address)|\($0.outside)|\($0.inside)" }
  }

  @Test(
    "every form",
    arguments: [
      ("80", ["||80/tcp"]), (":80", ["||80/tcp"]), ("0:80", ["||80/tcp"]), ("80/udp", ["||80/udp"]),
      ("8080:80", ["|8080|80/tcp"]), ("8080:80/TCP", ["|8080|80/tcp"]), ("38412:38412/sctp", ["|38412|38412/sctp"]),
      ("127.0.0.1:8080:80", ["127.0.0.1|8080|80/tcp"]), ("127.0.0.1::80/udp", ["127.0.0.1||80/udp"]),
      ("0.0.0.0:8080:80", ["0.0.0.0|8080|80/tcp"]), ("[::]:8080:80", ["::|8080|80/tcp"]),
      ("[::1]:8080:80/udp", ["::1|8080|80/udp"]), ("[::1]::80", ["::1||80/tcp"]), ("::1:8080:80", ["::1|8080|80/tcp"]),
      ("[fe80::1:2]:53:53/udp", ["fe80::1:2|53|53/udp"]), ("[10.0.0.1]:1:2", ["10.0.0.1|1|2/tcp"]),
      ("80-82", ["||80/tcp", "||81/tcp", "||82/tcp"]), ("8000-8001:80-81", ["|8000|80/tcp", "|8001|81/tcp"]),
      ("[::1]:1-2:3-4/udp", ["::1|1|3/udp", "::1|2|4/udp"]), ("8000-8010:80", ["|8000-8010|80/tcp"]),
      ("127.0.0.1:8000-8010:80", ["127.0.0.1|8000-8010|80/tcp"]), ("8000-8000:80", ["|8000|80/tcp"]),
      ("1:65535", ["|1|65535/tcp"]),
      ("published=8080,target=80", ["|8080|80/tcp"]), ("target=80", ["||80/tcp"]),
      ("target=53,published=5353,protocol=udp,mode=host", ["|5353|53/udp"]),
      ("published=8000-8001,target=80-81,mode=ingress", ["|8000|80/tcp", "|8001|81/tcp"]),
      ("published=127.0.0.1:8080,target=80", ["127.0.0.1|8080|80/tcp"]), ("Target=80, Published=1", ["|1|80/tcp"]),
    ])
  func published(text: String, expected: [String]) throws { #expect(try forms(text) == expected) }

  @Test(
    "what is wrong is said",
    arguments: [
      ("", "it wants [[IP:]PORT:]PORT[/PROTOCOL], such as 8080:80 or 127.0.0.1:53:53/udp"),
      ("8080:", "it does not say which port of the container"),
      (":", "it does not say which port of the container"),
      ("web", "'web' is not a port, a number from 1 to 65535"), ("0", "'0' is not a port, a number from 1 to 65535"),
      ("99999:80", "'99999' is not a port, a number from 1 to 65535"),
      ("8080:http", "'http' is not a port, a number from 1 to 65535"),
      ("-1:80", "'' is not a port, a number from 1 to 65535"), ("80-", "'' is not a port, a number from 1 to 65535"),
      ("1-2-3", "it wants [[IP:]PORT:]PORT[/PROTOCOL], such as 8080:80 or 127.0.0.1:53:53/udp"),
      ("+80", "'+80' is not a port, a number from 1 to 65535"), ("٨٠", "'٨٠' is not a port, a number from 1 to 65535"),
      ("80/icmp", "'icmp' is not a protocol; there are tcp, udp and sctp"),
      ("80/", "'' is not a protocol; there are tcp, udp and sctp"),
      ("80/tcp/udp", "'tcp/udp' is not a protocol; there are tcp, udp and sctp"),
      ("90-80", "the range 90-80 runs backwards"), ("8001-8000:80", "the range 8001-8000 runs backwards"),
      ("8000-8002:80-81", "3 ports of the host cannot lead to 2 of the container"),
      ("8000:80-81", "one port of the host cannot lead to 2 of the container"),
      ("localhost:8080:80", "'localhost' is not an IP address"),
      ("[localhost]:8080:80", "'localhost' is not an IP address"), ("1.2.3:80:80", "'1.2.3' is not an IP address"),
      ("1.2.3.4.5:80:80", "'1.2.3.4.5' is not an IP address"), ("[::1:8080:80", "'[::1' is not an IP address"),
      ("[fe80::1%eth0]:1:2", "'fe80::1%eth0' is not an IP address"), ("a:b:1:2", "'a:b' is not an IP address"),
      ("127.0.0.1:80", "for any free port of one address write 127.0.0.1::80"),
      ("[::1]:80", "for any free port of one address write [::1]::80"),
      ("published=8080", "it does not say which port of the container: target=80"),
      ("target=80,publish=1", "there is no field 'publish'; there are published, target, protocol and mode"),
      ("target=80,host", "the field 'host' is not written as key=value"),
      ("target=80,mode=swarm", "'swarm' is not a mode; there are host and ingress"),
      ("target=80,protocol=icmp", "'icmp' is not a protocol; there are tcp, udp and sctp"),
      ("target=http", "'http' is not a port, a number from 1 to 65535"),
    ])
  func refused(text: String, why: String) {
    let error = #expect(throws: UsageError.self) { try PortArgument.published(text) }
    #expect(error?.message == "Option --publish cannot be '\(text)': \(why).")
  }

  @Test("exposed ports")
  func exposed() throws {
    #expect(try PortArgument.exposed("80") == ["80/tcp"])
    #expect(try PortArgument.exposed("7000-7002/udp") == ["7000/udp", "7001/udp", "7002/udp"])
    for (text, why) in [
      ("", "'' is not a port, a number from 1 to 65535"), ("8080:80", "a port of the host belongs to --publish"),
      ("80/x", "'x' is not a protocol; there are tcp, udp and sctp"), ("2-1", "the range 2-1 runs backwards"),
    ] {
      let error = #expect(throws: UsageError.self) { try PortArgument.exposed(text) }
      #expect(error?.message == "Option --expose cannot be '\(text)': \(why).")
    }
  }

  @Test("one port may be published in several places")
  func bindings() throws {
    let ports = try ["8080:80", "[::1]:81:80", "53:53/udp", "82:80"].flatMap { try PortArgument.published($0) }
    #expect(
      PortArgument.bindings(ports) == [
        "80/tcp": [
          ["HostIp": "", "HostPort": "8080"], ["HostIp": "::1", "HostPort": "81"], ["HostIp": "", "HostPort": "82"],
        ],
        "53/udp": [["HostIp": "", "HostPort": "53"]],
      ])
  }
}

@Suite("Ports as they are shown") struct PortListTests {
  private func port(_ inside: Int, _ type: String = "tcp", _ address: String? = nil, _ outside: Int? = nil) -> JSON {
    var port: JSON = ["PrivatePort": JSON(inside), "Type": .string(type)]
    if let address { port["IP"] = .string(address) }
    if let outside { port["PublicPort"] = JSON(outside) }
    return port
  }

  @Test("in Docker's compressed form")
  func list() {
    #expect(PortList.text([]) == "")
    #expect(
      PortList.text([port(80, "tcp", "::", 8080), port(80, "tcp", "0.0.0.0", 8080), port(443)])
        == "443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp")
    #expect(PortList.text([port(82), port(80), port(81), port(81, "udp"), port(90)]) == "80-82/tcp, 90/tcp, 81/udp")
    #expect(
      PortList.text((80...82).flatMap { [port($0, "tcp", "0.0.0.0", $0), port($0, "tcp", "::", $0)] })
        == "0.0.0.0:80-82->80-82/tcp, [::]:80-82->80-82/tcp")
    #expect(
      PortList.text(
        (0...10).flatMap { [port(80 + $0, "tcp", "0.0.0.0", 8000 + $0)] } + [port(5, "udp", "127.0.0.1", 9)])
        == "127.0.0.1:9->5/udp, 0.0.0.0:8000-8010->80-90/tcp")
    #expect(
      PortList.text([
        port(80, "tcp", "0.0.0.0", 8001), port(80, "tcp", "0.0.0.0", 8000), port(81, "tcp", "0.0.0.0", 9000),
      ])
        == "0.0.0.0:8000->80/tcp, 0.0.0.0:8001->80/tcp, 0.0.0.0:9000->81/tcp")
  }

  @Test("one by one")
  func lines() {
    let binding = { (address: String, port: String) -> JSON in ["HostIp": .string(address), "HostPort": .string(port)] }
    let ports: JSON = [
      "443/tcp": [binding("::", "8443"), binding("0.0.0.0", "8443")], "80/tcp": [binding("127.0.0.1", "8080")],
      "53/udp": .null,
    ]
    #expect(
      PublishedPort.all(ports).map { "\($0.inside) \($0.outside)" }
        == ["80/tcp 127.0.0.1:8080", "443/tcp 0.0.0.0:8443", "443/tcp [::]:8443"])
    #expect(PublishedPort.all(.null).isEmpty)
  }
}
