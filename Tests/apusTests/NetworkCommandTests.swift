import ArgumentParser
import DockerTypes
import FoundationEssentials
import Testing

@testable import apus

@Suite("The network commands") struct NetworkCommandTests {
  private func command<Command: ParsableCommand>(_ words: [String], as type: Command.Type) throws -> Command {
    let syntax = DockerSyntax(["network"] + words, root: Apus.self)
    return try #require(try syntax.command.parseAsRoot(syntax.words) as? Command)
  }

  private func create(_ words: String...) throws -> JSON {
    try command(["create"] + words, as: NetworkCreateCommand.self).body()
  }

  @Test("a network says what was said, and no more")
  func create() throws {
    #expect(try create("n") == ["Name": "n", "Driver": "bridge"])
    #expect(
      try create(
        "-d", "macvlan", "--internal", "--attachable", "--ipv4=false", "--ipv6", "-o", "parent=eth0", "-o", "x=a=b",
        "--label", "k=v", "n")
        == [
          "Name": "n", "Driver": "macvlan", "Internal": true, "Attachable": true, "EnableIPv4": false,
          "EnableIPv6": true,
          "Options": ["parent": "eth0", "x": "a=b"], "Labels": ["k": "v"],
        ])
  }

  @Test("gateways, ranges and auxiliary addresses go to their subnets")
  func pools() throws {
    let body = try create(
      "--subnet", "10.9.0.0/24,fd00:9::/64", "--gateway", "fd00:9::1", "--gateway", "10.9.0.1", "--ip-range",
      "10.9.0.128/25", "--aux-address", "router=10.9.0.2", "--aux-address", "dns=10.9.0.3", "n")
    #expect(
      body["IPAM"] == [
        "Driver": "default",
        "Config": [
          [
            "Subnet": "10.9.0.0/24", "IPRange": "10.9.0.128/25", "Gateway": "10.9.0.1",
            "AuxiliaryAddresses": ["router": "10.9.0.2", "dns": "10.9.0.3"],
          ], ["Subnet": "fd00:9::/64", "Gateway": "fd00:9::1"],
        ],
      ])
    #expect(
      try create("--ipam-driver", "x", "--ipam-opt", "a=b", "n")["IPAM"] == ["Driver": "x", "Options": ["a": "b"]])
  }

  @Test(
    "what is wrong is said",
    arguments: [
      (["--subnet", "10.9.0.0"], "subnet", "10.9.0.0", "it wants address/length, such as 10.9.0.0/24 or fd00:9::/64"),
      (["--subnet", "10.0.0.0/8", "--subnet", "10.9.0.0/24"], "subnet", "10.9.0.0/24", "it overlaps 10.0.0.0/8"),
      (["--gateway", "10.9.0.1"], "gateway", "10.9.0.1", "it needs the subnet that it lies in: --subnet"),
      (["--subnet", "10.9.0.0/24", "--gateway", "x"], "gateway", "x", "it wants an IP address such as 10.9.0.1"),
      (
        ["--subnet", "10.9.0.0/24", "--gateway", "10.8.0.1"], "gateway", "10.8.0.1",
        "it lies in no --subnet, which are 10.9.0.0/24"
      ),
      (
        ["--subnet", "10.9.0.0/24", "--gateway", "10.9.0.1", "--gateway", "10.9.0.2"], "gateway", "10.9.0.2",
        "the subnet 10.9.0.0/24 has 10.9.0.1 already"
      ),
      (
        ["--subnet", "10.9.0.0/24", "--ip-range", "10.9.0.0/16"], "ip-range", "10.9.0.0/16",
        "it lies in no --subnet, which are 10.9.0.0/24"
      ),
      (
        ["--subnet", "10.9.0.0/24", "--ip-range", "10.9.0.9"], "ip-range", "10.9.0.9",
        "it wants a part of the subnet such as 10.9.0.128/25"
      ),
      (
        ["--subnet", "10.9.0.0/24", "--aux-address", "10.9.0.9"], "aux-address", "10.9.0.9=",
        "it wants name=address, such as router=10.9.0.2"
      ),
    ])
  func refused(words: [String], option: String, value: String, why: String) {
    let error = #expect(throws: UsageError.self) {
      try command(["create"] + words + ["n"], as: NetworkCreateCommand.self).body()
    }
    #expect(error?.message == "Option --\(option) cannot be '\(value)': \(why).")
  }

  @Test("connect says how")
  func connect() throws {
    let command = try command(
      [
        "connect", "--ip", "10.9.0.7", "--alias", "a,b", "--alias", "c", "--link", "x:y", "--driver-opt", "k=v",
        "--gw-priority", "-1", "--mac-address", "02:42:ac:11:00:02", "--network-rate", "ingress=1mbit", "n", "web",
      ], as: NetworkConnectCommand.self)
    #expect(command.network == "n")
    #expect(
      try command.body() == [
        "Container": "web",
        "EndpointConfig": [
          "IPAMConfig": ["IPv4Address": "10.9.0.7"], "Aliases": ["a", "b", "c"], "Links": ["x:y"],
          "MacAddress": "02:42:ac:11:00:02", "DriverOpts": ["k": "v", "apus.rate.ingress": "1mbit"], "GwPriority": -1,
        ],
      ])
    let wrong = try self.command(["connect", "--ip", "10.9.0", "n", "web"], as: NetworkConnectCommand.self)
    #expect(throws: UsageError.self) { try wrong.body() }
  }

  @Test("a row of the list")
  func row() {
    let network: JSON = [
      "Name": "n", "Id": "0123456789abcdef", "Created": "2026-11-21T07:00:00.5Z", "Scope": "local", "Driver": "bridge",
      "EnableIPv6": true, "Internal": false, "Labels": ["b": "2", "a": "1"],
    ]
    let row = NetworkLsCommand.row(network, full: false)
    #expect(row["ID"] == "0123456789ab")
    #expect(row["Labels"] == "a=1,b=2")
    #expect(row["IPv4"] == "true" && row["IPv6"] == "true" && row["Internal"] == "false")
    #expect(NetworkLsCommand.row(network, full: true)["ID"] == "0123456789abcdef")
  }

  @Test("update publishes and withdraws")
  func update() throws {
    let syntax = DockerSyntax(
      ["update", "-p", "8443:443", "--unpublish", "8080:80", "--unpublish", "53/udp", "web"], root: Apus.self)
    let command = try #require(try syntax.command.parseAsRoot(syntax.words) as? UpdateCommand)
    #expect(
      try CreateRequest.update(
        command.limits, restart: nil, publish: command.publish, unpublish: command.unpublish)
        == [
          "PublishPorts": ["443/tcp": [["HostIp": "", "HostPort": "8443"]]],
          "UnpublishPorts": [
            "80/tcp": [["HostIp": "", "HostPort": "8080"]], "53/udp": [["HostIp": "", "HostPort": ""]],
          ],
        ])
    let error = #expect(throws: UsageError.self) {
      try CreateRequest.update(command.limits, restart: nil, unpublish: ["x"])
    }
    #expect(error?.message == "Option --unpublish cannot be 'x': 'x' is not a port, a number from 1 to 65535.")
  }

  @Test("the daemon's types read what is sent")
  func types() throws {
    func read<Value: Decodable>(_ body: JSON, as type: Value.Type) throws -> Value {
      try JSONDecoder().decode(type, from: Data(body.bytes()))
    }
    let network = try read(
      try create(
        "--subnet", "10.9.0.0/24", "--aux-address", "a=10.9.0.2", "--ipv4=false", "--config-from", "x", "--label",
        "k=v",
        "n"), as: NetworkCreateRequest.self)
    #expect(network.name == "n" && network.enableIPv4 == false && network.configFrom?.network == "x")
    #expect(network.ipam?.config?.first?.auxiliaryAddresses == ["a": "10.9.0.2"])
    let connect = try read(
      try command(
        [
          "connect", "--ip6", "fd00::9", "--alias", "a", "--gw-priority", "7", "--network-rate", "egress=1mbit", "n",
          "c",
        ],
        as: NetworkConnectCommand.self
      ).body(), as: NetworkConnectRequest.self)
    #expect(connect.container == "c" && connect.endpointConfig?.gwPriority == 7)
    #expect(connect.endpointConfig?.ipamConfig?.iPv6Address == "fd00::9")
    #expect(connect.endpointConfig?.driverOpts == ["apus.rate.egress": "1mbit"])
    let ports: JSON = ["80/tcp": [["HostIp": "::1", "HostPort": "80"]]]
    let update = try read(["PublishPorts": ports, "UnpublishPorts": ports], as: ContainerUpdateRequest.self)
    #expect(update.publishPorts == update.unpublishPorts)
    #expect(update.publishPorts?["80/tcp"]??.first?.hostPort == "80")
  }

  @Test("what is not there is followed by where to look")
  func missing() {
    #expect(
      Failure.sentence(APIFailure(status: 404, message: "network x not found"))
        == "Network x not found; 'apus network ls' lists what there is.")
    #expect(
      Failure.sentence(APIFailure(status: 404, message: "No such container: x"))
        == "No such container: x; 'apus ps --all' lists what there is.")
    #expect(Failure.sentence(APIFailure(status: 404, message: "No such volume")) == "No such volume.")
  }
}
