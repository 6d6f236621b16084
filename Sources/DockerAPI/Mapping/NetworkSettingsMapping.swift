import DockerTypes
import Engine
import Netlink
import Networking

extension DockerTypes.NetworkSettings {
  init(_ record: InstanceRecord, _ directory: NetworkDirectory) {
    self.init()
    let memberships = directory.memberships(of: record)
    for membership in memberships {
      networks[membership.name] = EndpointSettings(membership, record)
    }
    describeDefault()
    guard record.state.status == .running || record.state.status == .paused else { return }
    guard !NetworkName.isContainer(record.configuration.network.mode) else { return }
    sandboxKey = "/proc/\(record.state.pid)/ns/net"
    sandboxID = record.id
    // Others than bridges that lead outside have no ports to tell of.
    let publishes = memberships.contains { $0.network?.driver == "bridge" && $0.network?.isInternal == false }
    if publishes || !record.state.ports.isEmpty { ports = Self.ports(record) }
  }

  /// The members of old, for the default network alone.
  private mutating func describeDefault() {
    guard let bridge = networks[NetworkName.bridge] else { return }
    endpointID = bridge.endpointID
    gateway = bridge.gateway
    globalIPv6Address = bridge.globalIPv6Address
    globalIPv6PrefixLen = bridge.globalIPv6PrefixLen
    ipAddress = bridge.ipAddress
    ipPrefixLen = bridge.ipPrefixLen
    iPv6Gateway = bridge.iPv6Gateway
    macAddress = bridge.macAddress
  }
}

extension EndpointSettings {
  init(_ membership: NetworkDirectory.Membership, _ record: InstanceRecord) {
    self.init()
    let asked = membership.configuration
    ipamConfig = EndpointIPAMConfig(asked)
    // Those of the default network are the container's own.
    links = asked.links.isEmpty || !membership.isUserDefined ? nil : asked.links
    aliases = asked.aliases.isEmpty ? nil : asked.aliases
    macAddress = asked.mac ?? ""
    driverOpts = asked.driverOptions.isEmpty ? nil : asked.driverOptions
    gwPriority = asked.gatewayPriority
    networkID = membership.networkID
    if membership.isUserDefined {
      let names = [record.name] + asked.aliases + [String(record.id.prefix(12))]
      dnsNames = Self.distinct(names + (record.configuration.hostname.map { [$0] } ?? []))
    }
    guard let endpoint = membership.endpoint else { return }
    endpointID = endpoint.id
    macAddress = endpoint.mac.description
    if let address = endpoint.ipv4 {
      ipAddress = address.address.description
      ipPrefixLen = address.prefixLength
      gateway = membership.gateway(of: .v4)
    }
    if let address = endpoint.ipv6 {
      globalIPv6Address = address.address.description
      globalIPv6PrefixLen = address.prefixLength
      iPv6Gateway = membership.gateway(of: .v6)
    }
  }

  /// What a list of containers shows of it.
  var summary: EndpointSettings {
    var summary = self
    summary.links = nil
    summary.aliases = nil
    summary.driverOpts = nil
    summary.dnsNames = nil
    summary.ipamConfig?.linkLocalIPs = nil
    return summary
  }

  /// Before 1.45, the names that every container of a network has were among its aliases.
  mutating func addNames(_ names: [String]) { aliases = Self.distinct((aliases ?? []) + names) }

  private static func distinct(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { !$0.isEmpty && seen.insert($0).inserted }
  }
}

extension EndpointIPAMConfig {
  /// nil where nothing is asked for.
  init?(_ configuration: EndpointConfiguration) {
    guard configuration.ipv4 != nil || configuration.ipv6 != nil || !configuration.linkLocal.isEmpty else { return nil }
    self.init()
    iPv4Address = configuration.ipv4
    iPv6Address = configuration.ipv6
    linkLocalIPs = configuration.linkLocal.isEmpty ? nil : configuration.linkLocal
  }
}
