import Engine
import Netlink
import Networking

/// The networks there are at one moment, for answers about instances.
struct NetworkDirectory: Sendable {
  private let byID: [String: NetworkInformation]
  private let byName: [String: NetworkInformation]

  init(_ networks: [NetworkInformation]) {
    byID = Dictionary(networks.map { ($0.id, $0) }) { $1 }
    byName = Dictionary(networks.map { ($0.name, $0) }) { $1 }
  }

  /// An instance in one network.
  struct Membership: Sendable {
    let name: String
    let networkID: String
    /// nil where the network is gone.
    let network: NetworkInformation?
    let configuration: EndpointConfiguration
    /// While it runs.
    let endpoint: Endpoint?

    var isUserDefined: Bool { network.map { !$0.isPredefined } ?? NetworkName.isUserDefined(name) }
  }

  /// Every network the instance is in while it runs, or will be when it is started.
  func memberships(of record: InstanceRecord) -> [Membership] {
    let network = record.configuration.network
    if network.disabled || NetworkName.isContainer(network.mode) { return [] }
    var configurations = network.endpoints
    for attached in record.state.endpoints
    where !configurations.contains(where: { Self.same($0, attached) }) {
      var configuration = EndpointConfiguration(network: attached.networkName)
      configuration.networkID = attached.endpoint.networkID
      configurations.append(configuration)
    }
    // There is nothing to configure of the host's network, and of none.
    if configurations.isEmpty, ["default", NetworkName.host, NetworkName.none].contains(network.mode) {
      configurations = [EndpointConfiguration(network: NetworkName.mode(network.mode))]
    }
    return configurations.map { configuration in
      let network = byID[configuration.networkID] ?? byName[configuration.network]
      return Membership(
        name: network?.name ?? configuration.network, networkID: network?.id ?? configuration.networkID,
        network: network, configuration: configuration,
        endpoint: record.state.endpoints.first { Self.same(configuration, $0) }?.endpoint)
    }
  }

  private static func same(_ configuration: EndpointConfiguration, _ attached: AttachedEndpoint) -> Bool {
    configuration.networkID == attached.endpoint.networkID || configuration.network == attached.networkName
  }
}

extension NetworkDirectory.Membership {
  /// The network's, whether or not it is this instance's way out.
  func gateway(of family: IPAddress.Family) -> String {
    guard let network, !network.isInternal else { return "" }
    return network.pools.lazy.compactMap(\.gateway).first { IPAddress($0)?.family == family } ?? ""
  }
}
