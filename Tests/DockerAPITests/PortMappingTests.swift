import DockerTypes
import Engine
import Errors
import Testing

@testable import DockerAPI

struct PortMappingTests {
  private func bindings(_ text: String) throws -> [String: [PortBindingConfig]?] {
    try decoded([String: [PortBindingConfig]?].self, text)
  }

  @Test func bindingsAreRead() throws {
    let read = try PortBinding.all(
      try bindings(
        #"""
        {"80":[{"HostIp":"","HostPort":"8080"},{"HostIp":"::1","HostPort":"0"}],"90/sctp":[{"HostPort":"5-7/sctp"}],
        "53/UDP":[{}],"99/tcp":null,"98/tcp":[]}
        """#))
    #expect(
      read == [
        PortBinding(proto: .udp, port: 53), PortBinding(proto: .tcp, port: 80, hostPorts: 8_080...8_080),
        PortBinding(proto: .tcp, port: 80, hostAddress: "::1"), PortBinding(proto: .sctp, port: 90, hostPorts: 5...7),
      ])
  }

  @Test(arguments: [
    (#"{"x/tcp":[]}"#, #"invalid port specification: "x/tcp""#),
    (#"{"0/tcp":[]}"#, #"invalid port specification: "0/tcp""#),
    (#"{"80-81/tcp":[]}"#, #"invalid port specification: "80-81/tcp""#),
    (#"{"65536":[]}"#, #"invalid port specification: "65536""#),
    (#"{"80/tcp":[{"HostPort":"9-8"}]}"#, #"invalid port specification: "9-8""#),
    (#"{"80/tcp":[{"HostPort":"-1"}]}"#, #"invalid port specification: "-1""#),
    (#"{"80/tcp":[{"HostPort":"70000"}]}"#, #"invalid port specification: "70000""#),
    (#"{"80/tcp":[{"HostIp":"localhost"}]}"#, "invalid IP address: localhost"),
    (#"{"80/icmp":[]}"#, "invalid proto: icmp, in the port '80/icmp': it is tcp, udp or sctp"),
  ])
  func whatIsNoPortIsRefused(text: String, sentence: String) throws {
    let asked = try bindings(text)
    let error = #expect(throws: ApusError.self) { try PortBinding.all(asked) }
    #expect(error?.message == sentence && error?.code == .invalidArgument)
  }

  /// As the client spelled it where it still is so; what came and went since is seen.
  @Test func bindingsAreGivenBackAsAsked() throws {
    let asked = try bindings(#"{"80":[{"HostPort":"0"},{"HostPort":"8080"}],"81/tcp":[]}"#)
    var published = try PortBinding.all(asked)
    func text() throws -> String { try json(PortBindingConfig.described(published, asked: asked)) }
    #expect(
      try text() == #"{"80":[{"HostIp":"","HostPort":"0"},{"HostIp":"","HostPort":"8080"}],"81/tcp":[]}"#)
    published.removeFirst()
    published.append(PortBinding(proto: .udp, port: 53, hostAddress: "127.0.0.1", hostPorts: 50...60))
    #expect(
      try text()
        == #"{"53/udp":[{"HostIp":"127.0.0.1","HostPort":"50-60"}],"80":[{"HostIp":"","HostPort":"8080"}],"81/tcp":[]}"#
    )
    published = []
    #expect(try text() == #"{"81/tcp":[]}"#)
  }

  @Test func anUpdateMayChangePorts() throws {
    let update = try decoded(
      ContainerUpdateRequest.self,
      #"{"PublishPorts":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"UnpublishPorts":{"81/tcp":[{}]}}"#)
    #expect(
      try PortBinding.all(update.publishPorts ?? [:]) == [PortBinding(proto: .tcp, port: 80, hostPorts: 8_080...8_080)])
    #expect(try PortBinding.all(update.unpublishPorts ?? [:]) == [PortBinding(proto: .tcp, port: 81)])
    #expect(update.resources == ContainerResources())
    #expect(try json(ContainerUpdateRequest()).contains("Ports") == false)
  }
}
