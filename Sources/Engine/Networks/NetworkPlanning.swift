import Errors
import FoundationEssentials
import Netlink
import Networking

/// Turns a request for a network into one that can be made, or says why it cannot.
struct NetworkPlanning {
  let pools: SubnetPools
  /// Subnets of the other networks.
  let networks: [(name: String, subnet: IPSubnet)]
  /// What the host has routes and addresses for.
  let host: [IPSubnet]

  /// The network's kernel name would not fit beyond.
  static let longestInterface = 15

  func record(_ request: NetworkRequest, id: String) throws(ApusError) -> NetworkRecord {
    let driver = try driver(request)
    let interface = try interface(request, driver: driver, id: id)
    var subnets: [NetworkDefinition.Subnet] = []
    var described: [PoolRequest] = []
    for pool in request.pools {
      let (subnet, description) = try explicit(pool, request, driver: driver)
      guard !subnets.contains(where: { $0.subnet.family == subnet.subnet.family }) else {
        throw invalid("network \(request.name) has more than one subnet of a family: one of each is possible")
      }
      guard !subnets.contains(where: { $0.subnet.overlaps(subnet.subnet) }) else {
        throw invalid("the subnets of network \(request.name) overlap")
      }
      subnets.append(subnet)
      described.append(description)
    }
    for family in [IPAddress.Family.v4, .v6] where wants(family, request, driver: driver) {
      if subnets.contains(where: { $0.subnet.family == family }) { continue }
      let subnet = try automatic(family, request)
      subnets.append(subnet)
      described.append(
        PoolRequest(subnet: subnet.subnet.description, gateway: subnet.gateway?.description))
    }
    guard !subnets.isEmpty else {
      throw invalid("network \(request.name) would have neither IPv4 nor IPv6: at least one must be enabled")
    }
    subnets.sort { $0.subnet.family.rawValue < $1.subnet.family.rawValue }
    var definition = NetworkDefinition(
      id: id, name: request.name, driver: driver, interface: interface, subnets: subnets)
    definition.isInternal = request.isInternal
    // A bridge that somebody names may be his own.
    definition.adoptsInterface = driver == .bridge && request.options[NetworkOption.bridgeName] ?? "" != ""
    try apply(request.options, to: &definition)
    var record = NetworkRecord(
      definition: definition, created: Date(), pools: described, options: request.options, labels: request.labels,
      isAttachable: request.isAttachable)
    record.addressOptions = request.addressOptions
    record.namesIPv6 =
      request.enableIPv6 == true || request.pools.contains { $0.subnet?.utf8.contains(UInt8(ascii: ":")) ?? false }
    return record
  }

  // MARK: Driver and options

  private func driver(_ request: NetworkRequest) throws(ApusError) -> NetworkDefinition.Driver {
    if let manager = request.addressDriver, !manager.isEmpty, manager != "default" {
      throw ApusError(.notFound, "the address driver \"\(manager)\" is not known: there is only \"default\"")
    }
    switch request.driver ?? "" {
    case "", "bridge": return .bridge
    case "macvlan": return .macvlan
    case "host", "null", "none":
      throw ApusError(
        .permissionDenied, "only one instance of \"\(request.driver ?? "")\" network is allowed")
    case "overlay", "ipvlan":
      throw ApusError(
        .unsupported, "the network driver \"\(request.driver ?? "")\" is not available: use bridge or macvlan")
    case let other: throw ApusError(.notFound, "could not find plugin \(other) in v1 plugin registry: plugin not found")
    }
  }

  private func interface(
    _ request: NetworkRequest, driver: NetworkDefinition.Driver, id: String
  ) throws(ApusError) -> String {
    let asked = request.options[driver == .bridge ? NetworkOption.bridgeName : NetworkOption.parent] ?? ""
    if asked.isEmpty {
      guard driver == .bridge else {
        throw invalid("network \(request.name) needs the interface of the host it is on: say --opt parent=NAME")
      }
      return "ap-" + id.prefix(12)
    }
    guard asked.utf8.count <= Self.longestInterface, asked != ".", asked != "..",
      asked.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") })
    else { throw invalid("\"\(asked.prefix(40))\" is no name for an interface: it has 1 to 15 printable characters") }
    return asked
  }

  private func apply(_ options: [String: String], to definition: inout NetworkDefinition) throws(ApusError) {
    if let text = options[NetworkOption.mtu], !text.isEmpty {
      guard let mtu = Int(text), (68...65_535).contains(mtu) else {
        throw invalid("invalid MTU \"\(text)\": it is a number of bytes from 68 to 65535")
      }
      if definition.subnet(.v6) != nil, mtu < 1_280 {
        throw invalid("an MTU of \(mtu) is too small for IPv6, which needs 1280: enlarge it, or say --ipv6=false")
      }
      definition.mtu = mtu
    }
    for name in [NetworkOption.neighbours, NetworkOption.masquerade] {
      guard let text = options[name] else { continue }
      guard ["1", "t", "true", "0", "f", "false"].contains(text.lowercased()) else {
        throw invalid("invalid value \"\(text)\" for \(name): it is true or false")
      }
    }
    definition.allowsNeighbours = options[NetworkOption.neighbours].map(NetworkOption.isTrue) ?? true
    definition.routing4 = try routing(options, NetworkOption.gatewayMode4, internal: &definition.isInternal)
    definition.routing6 = try routing(options, NetworkOption.gatewayMode6, internal: &definition.isInternal)
    if let text = options[NetworkOption.hostBinding], IPAddress(text) == nil {
      throw invalid("invalid value \"\(text)\" for \(NetworkOption.hostBinding): it is an address of the host")
    }
    if let mode = options[NetworkOption.macvlanMode], definition.driver == .macvlan {
      guard ["bridge", "private", "vepa", "passthru"].contains(mode) else {
        throw invalid("invalid macvlan_mode \"\(mode)\": it is bridge, private, vepa or passthru")
      }
      definition.macvlanMode = mode
    }
  }

  private func routing(
    _ options: [String: String], _ name: String, internal isInternal: inout Bool
  ) throws(ApusError) -> NetworkDefinition.Routing {
    switch options[name] ?? "nat" {
    case "nat", "": return .nat
    case "routed": return .routed
    case "isolated":
      guard isInternal else { throw invalid("\(name)=isolated is for internal networks: say --internal too") }
      return .nat
    case let other: throw invalid("invalid value \"\(other)\" for \(name): it is nat, routed or isolated")
    }
  }

  // MARK: Subnets

  private func wants(
    _ family: IPAddress.Family, _ request: NetworkRequest, driver: NetworkDefinition.Driver
  ) -> Bool {
    switch family {
    case .v4: request.enableIPv4 ?? true
    // On the wire of another's network nobody expects addresses that were made up.
    case .v6: request.enableIPv6 ?? (driver == .bridge)
    }
  }

  private func explicit(
    _ pool: PoolRequest, _ request: NetworkRequest, driver: NetworkDefinition.Driver
  ) throws(ApusError) -> (NetworkDefinition.Subnet, PoolRequest) {
    var text = pool.subnet ?? ""
    if text.isEmpty {
      guard pool.range ?? "" == "", pool.gateway ?? "" == "", pool.auxiliary.isEmpty else {
        throw invalid("network \(request.name): a range, gateway or auxiliary address needs a subnet to be in")
      }
      text = try automatic(.v4, request).subnet.description
    }
    guard let asked = IPSubnet(text) else { throw invalid("invalid subnet \(text): invalid CIDR address") }
    // Docker takes `10.1.2.3/24` for the network it is in.
    let subnet = asked.network
    guard wants(subnet.family, request, driver: driver) || (subnet.family == .v6 && request.enableIPv6 == nil) else {
      throw invalid("network \(request.name) has the subnet \(subnet), but that family is not enabled")
    }
    guard subnet.prefixLength > 0, !subnet.first.isMulticast, !subnet.first.isLoopback else {
      throw invalid("invalid subnet \(subnet): it is not one of addresses for instances")
    }
    try checkFree(subnet, request, driver: driver)
    func inside(_ text: String?, _ what: String) throws(ApusError) -> IPAddress? {
      guard let text, !text.isEmpty else { return nil }
      // `--gateway 10.0.0.1/24` is what some files say.
      guard let address = IPAddress(text) ?? IPSubnet(text)?.address else {
        throw invalid("invalid \(what) \(text): it is not an address")
      }
      guard subnet.contains(address) else {
        throw invalid("no matching subnet for \(what) \"\(text)\": it is not in \(subnet)")
      }
      return address
    }
    var gateway = try inside(pool.gateway, "gateway")
    var range: IPSubnet?
    if let text = pool.range, !text.isEmpty {
      guard let asked = IPSubnet(text) else { throw invalid("invalid ip-range \(text): invalid CIDR address") }
      guard subnet.contains(asked.network) else {
        throw invalid("no matching subnet for range \"\(text)\": it is not in \(subnet)")
      }
      range = asked.network
    }
    var auxiliary: [String: String] = [:]
    for (name, text) in pool.auxiliary {
      guard let address = try inside(text, "auxiliary address") else { continue }
      auxiliary[name] = address.description
    }
    if gateway == nil, needsGateway(request, driver: driver) {
      let taken = auxiliary.values.compactMap { IPAddress($0) }
      gateway = Self.gateway(of: subnet, range: range, avoiding: taken)
    }
    return (
      NetworkDefinition.Subnet(subnet: subnet, gateway: gateway),
      PoolRequest(
        subnet: subnet.description, range: range?.description, gateway: gateway?.description, auxiliary: auxiliary)
    )
  }

  private func automatic(
    _ family: IPAddress.Family, _ request: NetworkRequest
  ) throws(ApusError) -> NetworkDefinition.Subnet {
    guard let subnet = pools.free(family, avoiding: networks.map(\.subnet) + host) else {
      throw ApusError(
        .resourceExhausted,
        "all predefined address pools have been fully subnetted: remove networks that are not used (network prune), "
          + "or name a subnet for network \(request.name)")
    }
    return NetworkDefinition.Subnet(subnet: subnet, gateway: Self.gateway(of: subnet, range: nil, avoiding: []))
  }

  private func needsGateway(_ request: NetworkRequest, driver: NetworkDefinition.Driver) -> Bool {
    driver == .bridge || !request.isInternal
  }

  /// The first address of the range, or of the subnet.
  private static func gateway(of subnet: IPSubnet, range: IPSubnet?, avoiding taken: [IPAddress]) -> IPAddress? {
    var pool = AddressPool(subnet: subnet, range: range, reserved: taken)
    return pool.take()
  }

  private func checkFree(
    _ subnet: IPSubnet, _ request: NetworkRequest, driver: NetworkDefinition.Driver
  ) throws(ApusError) {
    if let other = networks.first(where: { $0.subnet.overlaps(subnet) }) {
      throw ApusError(
        .conflict,
        "invalid pool request: Pool overlaps with other one on this address space: \(subnet) of network "
          + "\(request.name) with \(other.subnet) of network \(other.name)")
    }
    // macvlan is on a subnet that the host may be in itself.
    guard driver == .bridge else { return }
    if let other = host.first(where: { $0.family == subnet.family && $0.prefixLength > 0 && $0.overlaps(subnet) }) {
      throw ApusError(
        .conflict,
        "the subnet \(subnet) of network \(request.name) overlaps \(other), for which the host has a route or address: "
          + "choose another one")
    }
  }

  private func invalid(_ sentence: String) -> ApusError { ApusError(.invalidArgument, sentence) }
}
