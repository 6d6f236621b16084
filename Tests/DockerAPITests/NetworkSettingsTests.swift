import DockerTypes
import Engine
import Netlink
import Networking
import Testing

@testable import DockerAPI

struct NetworkSettingsTests {
  private func record(_ text: String) throws -> InstanceRecord {
    try exampleRecord(try decoded(ContainerCreateRequest.self, text))
  }

  private func published(_ address: String, _ hostPort: UInt16, to target: String, _ port: UInt16) throws
    -> PublishedPort
  {
    PublishedPort(
      proto: .tcp, hostAddress: try #require(IPAddress(address)), hostPort: hostPort,
      address: try #require(IPAddress(target)), port: port)
  }

  @Test func theDefaultNetworkIsShownTwice() throws {
    let web = try running(
      try record(#"{"Image":"i","ExposedPorts":{"80/tcp":{},"81/tcp":{}}}"#), "05",
      ports: [
        try published("::", 8_080, to: "fd00:17::5", 80), try published("0.0.0.0", 8_080, to: "172.17.0.5", 80),
      ])
    let settings = inspect(web).networkSettings
    #expect(settings.sandboxKey == "/proc/42/ns/net" && settings.sandboxID == web.id)
    #expect(settings.ports.keys.sorted() == ["80/tcp", "81/tcp"])
    #expect(
      settings.ports["80/tcp"] == [
        PortBindingConfig(hostIP: "0.0.0.0", hostPort: "8080"), PortBindingConfig(hostIP: "::", hostPort: "8080"),
      ])
    #expect(try json(settings.ports).contains(#""81/tcp":null"#))
    let bridge = try #require(settings.networks["bridge"])
    #expect(bridge.ipAddress == "172.17.0.5" && bridge.ipPrefixLen == 16 && bridge.gateway == "172.17.0.1")
    #expect(bridge.globalIPv6Address == "fd00:17::5" && bridge.globalIPv6PrefixLen == 64)
    #expect(bridge.iPv6Gateway == "fd00:17::1" && bridge.macAddress == "02:00:00:00:00:05")
    #expect(bridge.networkID == String(repeating: "d", count: 64) && bridge.dnsNames == nil && bridge.ipamConfig == nil)
    #expect(settings.ipAddress == bridge.ipAddress && settings.gateway == bridge.gateway)
    #expect(settings.macAddress == bridge.macAddress && settings.globalIPv6Address == bridge.globalIPv6Address)
    let summary = ContainerSummary(web, image: "i", now: web.created, networks: NetworkDirectory(exampleNetworks))
    #expect(
      try json(summary.ports)
        == #"[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},"#
        + #"{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"PrivatePort":81,"Type":"tcp"}]"#)
    #expect(summary.hostConfig.networkMode == "bridge")
  }

  @Test func networksOfOnesOwnHaveNames() throws {
    let asked = try record(clientCreate)
    let stopped = inspect(asked)
    let waiting = try #require(stopped.networkSettings.networks["front"])
    #expect(waiting.aliases == ["al"] && waiting.links == ["db:db"] && waiting.driverOpts == ["k": "v"])
    #expect(waiting.ipamConfig?.iPv4Address == "172.18.0.9" && waiting.gwPriority == 3)
    #expect(waiting.macAddress == "02:42:ac:12:00:09" && stopped.config.macAddress == "02:42:ac:12:00:09")
    #expect(waiting.ipAddress.isEmpty && waiting.endpointID.isEmpty && waiting.networkID.hasPrefix("ff"))
    #expect(waiting.dnsNames == ["web", "al", "0123456789ab", "h"])
    #expect(stopped.networkSettings.ports.isEmpty && stopped.networkSettings.sandboxKey.isEmpty)
    #expect(stopped.hostConfig.networkMode == "front")

    let settings = inspect(try running(asked, "09")).networkSettings
    #expect(
      settings.networks["front"]?.ipAddress == "172.18.0.9" && settings.networks["front"]?.gateway == "172.18.0.1")
    #expect(settings.ipAddress.isEmpty)
    #expect(settings.networks["front"]?.summary.aliases == nil)
    #expect(settings.networks["front"]?.summary.ipamConfig?.iPv4Address == "172.18.0.9")
    var named = try #require(settings.networks["front"])
    named.addNames(["0123456789ab", "al", "h"])
    #expect(named.aliases == ["al", "0123456789ab", "h"])
  }

  @Test func whatHasNoNetworkOfItsOwnShowsNone() throws {
    let internals = try running(
      try record(#"{"Image":"i","ExposedPorts":{"80/tcp":{}},"HostConfig":{"NetworkMode":"back"}}"#), "02")
    #expect(inspect(internals).networkSettings.ports.isEmpty)
    #expect(inspect(internals).networkSettings.networks["back"]?.gateway == "")
    for mode in ["host", "none"] {
      var shared = try record(#"{"Image":"i","ExposedPorts":{"80/tcp":{}},"HostConfig":{"NetworkMode":"\#(mode)"}}"#)
      shared.state.status = .running
      let settings = inspect(shared).networkSettings
      #expect(settings.ports.isEmpty && settings.networks.keys.sorted() == [mode])
      #expect(settings.networks[mode]?.networkID.count == 64)
    }
    var joined = try record(#"{"Image":"i"}"#)
    joined.configuration.network.mode = "container:x"
    #expect(inspect(joined).networkSettings.networks.isEmpty)
  }
}
