import DockerTypes
import Engine
import Errors

/// The names that the API gives a meaning of their own.
enum NetworkName {
  static let bridge = "bridge"
  static let host = "host"
  static let none = "none"

  /// `HostConfig.NetworkMode` as it is kept: what stands for the default is called by its name.
  static func mode(_ asked: String) -> String { asked.isEmpty || asked == "default" ? bridge : asked }

  /// Shares the network of another container.
  static func isContainer(_ mode: String) -> Bool { mode.hasPrefix("container:") }

  /// A network that somebody made.
  static func isUserDefined(_ mode: String) -> Bool {
    !["", "default", bridge, host, none].contains(mode) && !isContainer(mode)
  }
}

extension NetworkRequest {
  /// What a `POST /networks/create` asks for.
  ///
  /// - Throws: what a Docker without swarm answers; the engine checks the rest.
  init(_ request: NetworkCreateRequest, version: APIVersion) throws(ApusError) {
    self.init(name: request.name)
    if request.scope == "swarm" { throw ApusError(.unavailable, SwarmAbsent.sentence) }
    if request.driver == "overlay" { throw ApusError(.permissionDenied, SwarmAbsent.sentence) }
    guard ["", "local"].contains(request.scope) else {
      throw ApusError(.invalidArgument, "invalid network scope: '\(request.scope)': networks here are local")
    }
    if request.ingress { throw ApusError(.permissionDenied, "Ingress network can only be global scope network") }
    if request.configOnly || request.configFrom.map({ !$0.network.isEmpty }) == true {
      throw ApusError(
        .unsupported, "networks as templates of others are not available: give each network its own configuration")
    }
    driver = request.driver.nonEmpty
    isInternal = request.isInternal
    // Older clients do not know it, whatever they send.
    enableIPv4 = version < .gatewayPriorities ? nil : request.enableIPv4
    enableIPv6 = request.enableIPv6
    pools = (request.ipam?.config ?? []).map(PoolRequest.init)
    addressDriver = request.ipam?.driver.nonEmpty
    options = request.options ?? [:]
    labels = request.labels ?? [:]
    isAttachable = request.attachable
  }
}

extension PoolRequest {
  init(_ pool: NetworkIPAMPool) {
    self.init(
      subnet: pool.subnet?.nonEmpty, range: pool.ipRange?.nonEmpty, gateway: pool.gateway?.nonEmpty,
      auxiliary: pool.auxiliaryAddresses ?? [:])
  }
}

extension NetworkIPAMPool {
  init(_ pool: PoolRequest) {
    self.init()
    subnet = pool.subnet
    ipRange = pool.range
    gateway = pool.gateway
    auxiliaryAddresses = pool.auxiliary.isEmpty ? nil : pool.auxiliary
  }
}

extension NetworkSummary {
  /// - Parameter containers: with those that run in it, as an inspect shows them and a list does not.
  init(_ network: NetworkInformation, containers showsContainers: Bool) {
    self.init()
    name = network.name
    id = network.id
    created = GoTime.string(network.created)
    scope = "local"
    driver = network.driver
    enableIPv4 = network.enableIPv4
    enableIPv6 = network.enableIPv6
    ipam.driver = "default"
    ipam.config = network.pools.map(NetworkIPAMPool.init)
    isInternal = network.isInternal
    attachable = network.isAttachable
    options = network.options
    labels = network.labels
    if showsContainers {
      for member in network.members { containers[member.instanceID] = NetworkEndpoint(member) }
    }
  }
}

extension NetworkEndpoint {
  init(_ member: NetworkMember) {
    self.init()
    name = member.instanceName
    endpointID = member.endpoint.id
    macAddress = member.endpoint.mac.description
    iPv4Address = member.endpoint.ipv4?.description ?? ""
    iPv6Address = member.endpoint.ipv6?.description ?? ""
  }
}
