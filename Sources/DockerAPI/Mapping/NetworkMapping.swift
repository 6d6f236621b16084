import DockerTypes
import Engine

/// The networks there are without a network driver: a private namespace with loopback under the name every client asks
/// for, the host's, and none.
enum PredefinedNetwork: String, CaseIterable, Sendable {
  case bridge, host, none

  /// Docker's mode (`HostConfig.NetworkMode`) as one of these; nil for `container:…` and names that are not known.
  init?(mode: String) {
    self.init(rawValue: mode == "default" ? "bridge" : mode)
  }

  /// 64 hex digits, the same on every host: nothing about these networks is particular to one.
  var id: String {
    let digit =
      switch self {
      case .bridge: "b"
      case .host: "a"
      case .none: "0"
      }
    return String(repeating: "a9c5" + digit + "d1e", count: 8)
  }

  var driver: String { self == .none ? "null" : rawValue }
}

extension NetworkSettings {
  init(_ record: InstanceRecord) {
    self.init()
    let asked = ClientData.networking(record.configuration.clientData)?.endpointsConfig ?? [:]
    guard let network = PredefinedNetwork(mode: record.configuration.network.mode) else { return }
    networks = [network.rawValue: EndpointSettings(network, asked: asked[network.rawValue] ?? asked["default"])]
    guard record.state.status == .running || record.state.status == .paused else { return }
    sandboxKey = "/proc/\(record.state.pid)/ns/net"
    sandboxID = record.id
    let exposed = network == .host ? [] : record.resolved.exposedPorts
    ports = Dictionary(exposed.map { ($0, nil) }) { $1 }
  }
}

extension EndpointSettings {
  init(_ network: PredefinedNetwork, asked: EndpointSettings?) {
    self = asked ?? EndpointSettings()
    networkID = network.id
  }
}

extension NetworkSummary {
  init(_ network: PredefinedNetwork, created: String) {
    self.init()
    name = network.rawValue
    id = network.id
    self.created = created
    scope = "local"
    driver = network.driver
    enableIPv4 = true
    ipam.driver = "default"
    ipam.config = []
  }
}
