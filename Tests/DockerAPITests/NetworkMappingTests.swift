import DockerTypes
import Engine
import Errors
import FoundationEssentials
import Netlink
import Networking
import Testing

@testable import DockerAPI

struct NetworkMappingTests {
  private func request(_ text: String, version: APIVersion = .current) throws -> NetworkRequest {
    try NetworkRequest(try decoded(NetworkCreateRequest.self, text), version: version)
  }

  @Test func everyOptionOfANetworkReachesTheEngine() throws {
    let asked = try request(
      #"""
      {"Name":"n","CheckDuplicate":true,"Driver":"bridge","Scope":"local","EnableIPv4":true,"EnableIPv6":false,
      "IPAM":{"Driver":"default","Options":{},"Config":[{"Subnet":"10.1.0.0/16","IPRange":"10.1.5.0/24",
      "Gateway":"10.1.5.254","AuxiliaryAddresses":{"a":"10.1.1.5"}},{"Subnet":"fd00::/64"}]},"Internal":true,
      "Attachable":true,"Ingress":false,"ConfigOnly":false,"ConfigFrom":{"Network":""},
      "Options":{"com.docker.network.driver.mtu":"1400"},"Labels":{"k":"v"}}
      """#)
    var expected = NetworkRequest(name: "n")
    expected.driver = "bridge"
    expected.addressDriver = "default"
    expected.enableIPv4 = true
    expected.enableIPv6 = false
    expected.isInternal = true
    expected.isAttachable = true
    expected.pools = [
      PoolRequest(
        subnet: "10.1.0.0/16", range: "10.1.5.0/24", gateway: "10.1.5.254", auxiliary: ["a": "10.1.1.5"]),
      PoolRequest(subnet: "fd00::/64"),
    ]
    expected.options = ["com.docker.network.driver.mtu": "1400"]
    expected.labels = ["k": "v"]
    #expect(asked == expected)
    #expect(try request(#"{"Name":"n","IPAM":null,"Options":null}"#) == NetworkRequest(name: "n"))
    #expect(try request(#"{"Name":"n","EnableIPv4":false}"#, version: APIVersion(1, 47)).enableIPv4 == nil)
  }

  @Test(arguments: [
    (#"{"Name":"n","Scope":"swarm"}"#, ErrorCode.unavailable), (#"{"Name":"n","Driver":"overlay"}"#, .permissionDenied),
    (#"{"Name":"n","Scope":"moon"}"#, .invalidArgument), (#"{"Name":"n","Ingress":true}"#, .permissionDenied),
    (#"{"Name":"n","ConfigOnly":true}"#, .unsupported), (#"{"Name":"n","ConfigFrom":{"Network":"x"}}"#, .unsupported),
  ])
  func whatNeedsASwarmIsRefused(body: String, code: ErrorCode) throws {
    let error = #expect(throws: ApusError.self) { try request(body) }
    #expect(error?.code == code)
  }

  @Test func aNetworkHasDockersShape() throws {
    var network = exampleNetworks[0]
    network.pools[0].auxiliary = ["router": "10.9.0.7"]
    let endpoint = Endpoint(
      id: "e1", networkID: network.id, interface: "eth0", mac: try #require(MACAddress("02:00:00:00:00:07")),
      ipv4: IPSubnet("10.9.0.2/24"))
    network.members = [NetworkMember(instanceID: "i1", instanceName: "web", endpoint: endpoint)]
    let id = String(repeating: "b", count: 64)
    let head =
      #"{"Name":"back","Id":"\#(id)","Created":"2023-11-14T22:13:20Z","Scope":"local","Driver":"bridge","#
      + #""EnableIPv4":true,"EnableIPv6":false,"IPAM":{"Driver":"default","Options":null,"Config":[{"Subnet":"#
      + #""10.9.0.0/24","Gateway":"10.9.0.1","AuxiliaryAddresses":{"router":"10.9.0.7"}}]},"Internal":true,"#
      + #""Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,"Containers":"#
    let tail = #","Options":{},"Labels":{"tier":"2"}}"#
    #expect(try json(NetworkSummary(network, containers: false)) == head + "{}" + tail)
    #expect(
      try json(NetworkSummary(network, containers: true)) == head
        + #"{"i1":{"Name":"web","EndpointID":"e1","MacAddress":"02:00:00:00:00:07","IPv4Address":"10.9.0.2/24","#
        + #""IPv6Address":""}}"# + tail)
    #expect(try json(NetworkCreateResponse()) == #"{"Id":"","Warning":""}"#)
    #expect(try json(NetworksPruneReport()) == #"{"NetworksDeleted":null}"#)
  }

  @Test(arguments: [
    ("", ["back", "bridge", "front", "host", "none"]), (#"{"name":["b"]}"#, ["back", "bridge"]),
    (#"{"name":["^br","nt$"]}"#, ["bridge", "front"]), (#"{"id":["bbbb"]}"#, ["back"]),
    (#"{"driver":["null","host"]}"#, ["host", "none"]), (#"{"type":["custom"]}"#, ["back", "front"]),
    (#"{"type":["builtin"]}"#, ["bridge", "host", "none"]), (#"{"label":["tier=2"]}"#, ["back"]),
    (#"{"label":["tier"],"name":["front"]}"#, []), (#"{"scope":["swarm"]}"#, []),
    (#"{"scope":["local"],"driver":["bridge"]}"#, ["back", "bridge", "front"]),
    (#"{"dangling":["true"]}"#, ["back"]), (#"{"dangling":{"false":true}}"#, ["bridge", "front", "host", "none"]),
  ])
  func networksAreFiltered(filters: String, names: [String]) throws {
    let used: Set<String> = [String(repeating: "f", count: 64)]
    let filter = try NetworkFilter(try Filters(json: filters), used: used)
    #expect(exampleNetworks.filter(filter.allows).map(\.name) == names)
  }

  @Test func filtersThatMeanNothingAreRefused() {
    for filters in [#"{"dangling":["perhaps"]}"#, #"{"dangling":["1","0"]}"#, #"{"type":["odd"]}"#] {
      #expect(throws: ApusError.self) { try NetworkFilter(try Filters(json: filters), used: []) }
    }
  }
}
