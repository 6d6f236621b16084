import DockerTypes
import Engine
import Errors
import Testing

@testable import DockerAPI

struct NetworkConfigurationTests {
  /// As the handler of a create does.
  private func network(_ text: String, version: APIVersion = .current) throws -> (NetworkConfiguration, [String]) {
    var request = try decoded(ContainerCreateRequest.self, text)
    let warnings = try request.adapt(from: version)
    return (try InstanceConfiguration(request).network, warnings)
  }

  @Test func theDefaultHasAName() throws {
    for mode in ["", "default", "bridge"] {
      let made = try network(
        #"{"Image":"i","HostConfig":{"NetworkMode":"\#(mode)","Links":["db","/x:/web/y"]},"#
          + #""NetworkingConfig":{"EndpointsConfig":{"default":{"MacAddress":"02:00:00:00:00:01"}}}}"#
          .replacing("default", with: mode.isEmpty ? "bridge" : mode)
      ).0
      #expect(made.mode == "bridge")
      #expect(made.links == ["db:db", "x:y"])
      #expect(made.endpoints.map(\.network) == ["bridge"] && made.endpoints[0].mac == "02:00:00:00:00:01")
    }
    #expect(try network(#"{"Image":"i"}"#).0 == NetworkConfiguration.bridge)
  }

  @Test func severalNetworks() throws {
    let text =
      #"{"Image":"i","HostConfig":{"NetworkMode":"a"},"NetworkingConfig":{"EndpointsConfig":{"#
      + #""b":{"GwPriority":5,"IPAMConfig":{"IPv6Address":"fd00::5","LinkLocalIPs":["169.254.1.1"]}},"a":null}}}"#
    let made = try network(text).0
    #expect(made.mode == "a" && made.endpoints.map(\.network) == ["a", "b"])
    #expect(made.endpoints[1].gatewayPriority == 5 && made.endpoints[1].ipv6 == "fd00::5")
    #expect(made.endpoints[1].linkLocal == ["169.254.1.1"])
    #expect(try network(text, version: APIVersion(1, 47)).0.endpoints[1].gatewayPriority == 0)
    let error = #expect(throws: ApusError.self) { try network(text, version: APIVersion(1, 43)) }
    #expect(error?.message == "Container cannot be created with multiple network endpoints: a, b")
  }

  /// A network that is named is instead of the default one, not beside it.
  @Test func endpointsAloneSayWhereItIs() throws {
    let made = try network(#"{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"b":{},"a":{"GwPriority":1}}}}"#).0
    #expect(made.mode == "a" && made.endpoints.map(\.network) == ["a", "b"])
    #expect(try network(#"{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"b":{},"a":{}}}}"#).0.mode == "a")
  }

  @Test func theHostsNetworkHasNoEndpoints() throws {
    let made = try network(
      #"{"Image":"i","HostConfig":{"NetworkMode":"host","PublishAllPorts":true,"PortBindings":{"80/tcp":[{}]}},"#
        + #""NetworkingConfig":{"EndpointsConfig":{"host":{}}}}"#
    ).0
    #expect(made.mode == "host" && made.ports.count == 1 && made.publishAll && made.endpoints.isEmpty)
    #expect(made.exposedPorts == ["80/tcp"])
  }

  @Test func theEthernetAddressMoves() throws {
    let old = #"{"Image":"i","MacAddress":"02:00:00:00:00:01","HostConfig":{"NetworkMode":"n"}}"#
    let older = try network(old, version: APIVersion(1, 43))
    #expect(older.0.endpoints.map(\.mac) == ["02:00:00:00:00:01"] && older.1.isEmpty)
    let newer = try network(old)
    #expect(newer.0.endpoints.map(\.mac) == ["02:00:00:00:00:01"] && newer.1.count == 1)
    let unheard = try network(
      #"{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"n":{"MacAddress":"02:00:00:00:00:01"}}}}"#,
      version: APIVersion(1, 43))
    #expect(unheard.0.endpoints.map(\.mac) == [nil])
  }

  @Test(arguments: [
    (
      #"{"Image":"i","HostConfig":{"NetworkMode":"container:x","PublishAllPorts":true}}"#,
      "conflicting options: port publishing and the container type network mode"
    ),
    (
      #"{"Image":"i","HostConfig":{"NetworkMode":"container:x","Links":["a"]}}"#,
      "conflicting options: container type network can't be used with links. This would result in undefined behavior"
    ),
    (
      #"{"Image":"i","HostConfig":{"NetworkMode":"host","Links":["a"]}}"#,
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
    ),
    (
      #"{"Image":"i","HostConfig":{"NetworkMode":"host"},"NetworkingConfig":{"EndpointsConfig":{"a":{}}}}"#,
      "container sharing network namespace with another container or host cannot be connected to any other network"
    ),
    (
      #"{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"a":{},"none":{}}}}"#,
      "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    ),
    (
      #"{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"host":{}}}}"#,
      "cannot connect container to host network - container must be created in host network mode"
    ),
    (
      #"{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"bridge":{"Aliases":["x"]}}}}"#,
      "invalid config for network bridge: invalid endpoint settings: network-scoped alias is supported only for "
        + "containers in user defined networks"
    ),
    (
      #"{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"bridge":{"IPAMConfig":{"IPv4Address":"172.17.0.9"}}}}}"#,
      "invalid config for network bridge: invalid endpoint settings: user specified IP address is supported on user "
        + "defined networks only"
    ),
    (
      #"{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"n":{"IPAMConfig":{"IPv4Address":"fd00::1"}}}}}"#,
      "invalid config for network n: invalid endpoint settings: invalid IPv4 address: fd00::1"
    ),
    (
      #"{"Image":"i","NetworkingConfig":{"EndpointsConfig":{"n":{"MacAddress":"02:00"}}}}"#,
      "invalid config for network n: invalid endpoint settings: invalid MAC address 02:00"
    ),
    (
      #"{"Image":"i","MacAddress":"02:00:00:00:00:01","NetworkingConfig":{"EndpointsConfig":{"n":{}}}}"#,
      "unable to migrate container-wide MAC address to a specific network: HostConfig.NetworkMode must match the "
        + "identity of a network in NetworkSettings.Networks"
    ),
    (
      #"{"Image":"i","HostConfig":{"Links":["a:b:c"]}}"#, "bad format for links: a:b:c"
    ),
    (#"{"Image":"i","ExposedPorts":{"x/tcp":{}}}"#, #"invalid port specification: "x/tcp""#),
  ])
  func contradictionsAreRefusedInDockersWords(body: String, sentence: String) throws {
    let error = #expect(throws: ApusError.self) { try network(body) }
    #expect(error?.message == sentence)
    #expect(error?.code == .invalidArgument)
  }

  @Test func linksAreShownAsDockerShowsThem() {
    #expect(LinkText.described("db:store", by: "web") == "/db:/web/store")
  }
}

extension NetworkConfiguration {
  fileprivate static var bridge: NetworkConfiguration {
    var configuration = NetworkConfiguration()
    configuration.mode = "bridge"
    return configuration
  }
}
