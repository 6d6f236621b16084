import Errors
import FoundationEssentials
import GRDB
import Logging
import Netlink
import Networking
import Synchronization

/// The networks of one engine: their definitions and leases in the state database, themselves on the host.
///
/// A network appears on the host with its first running instance and is left there until it is removed; what the host
/// has lost (a reboot, somebody's `ip link del`) is made again with the next start. What an instance has of the networks
/// is written down before it is used, so a killed daemon's successor never leases an address twice.
public final class NetworkService: Sendable {
  struct State {
    var networks: [String: NetworkEntry] = [:]
    var reservations: [String: [PortReservation]] = [:]
    /// Rows of instances that are gone.
    var deletions: Set<String> = []
    var isDeletionDue = false
    /// Something has been made on the host.
    var isOnHost = false
    /// Nothing is made any more.
    var isClosed = false
  }

  let database: any DatabaseWriter
  let blocking: BlockingPool
  let index: InstanceIndex
  let bridges: BridgeDriver
  let macvlans: MacvlanDriver
  let firewall: Firewall
  let hostPorts = HostPorts()
  private let hostServers = HostNameServers()
  let pools: SubnetPools
  let settings: NetworkSettings
  let publish: @Sendable (EngineEvent) -> Void
  let logger: Logger
  let state = Mutex(State())
  /// Held while networks are made and removed, on the host and in the database. Taken on threads that may block, and
  /// before `state`.
  let changing = Mutex<Void>(())
  private let resolverBox = Mutex<Resolver?>(nil)
  private let eviction = Mutex<(@Sendable (_ network: String) async -> Void)?>(nil)

  /// - Parameters:
  ///   - database: the engine's state database; the tables are made here.
  ///   - identity: of the engine: what marks its interfaces.
  /// - Throws: when the tables cannot be read. Blocks.
  init(
    database: any DatabaseWriter, blocking: BlockingPool, index: InstanceIndex, identity: String,
    settings: NetworkSettings,
    publish: @escaping @Sendable (EngineEvent) -> Void, logger: Logger
  ) throws {
    self.database = database
    self.blocking = blocking
    self.index = index
    self.settings = settings
    self.publish = publish
    self.logger = logger
    bridges = BridgeDriver(identity: identity) { change in
      logger.notice("networks need it: \(change)")
    }
    macvlans = MacvlanDriver()
    firewall = Firewall(table: settings.table, logger: logger)
    pools = SubnetPools(pools: settings.pools, identity: identity)
    var migrator = DatabaseMigrator()
    NetworkTable.register(in: &migrator)
    try migrator.migrate(database)
    for record in try read({ try NetworkTable.networks($0) }) {
      state.withLock { $0.networks[record.definition.id] = NetworkEntry(record) }
    }
    try makeDefault()
  }

  /// - Parameter body: ends what stands by in a network for instances to come, and gives back what it has leased.
  func setEviction(_ body: @escaping @Sendable (_ network: String) async -> Void) { eviction.withLock { $0 = body } }

  /// What stands by gives way to what is asked for.
  func evict(_ network: String) async { await eviction.withLock { $0 }?(network) }

  /// Made with the first answer that needs it.
  var resolver: Resolver {
    resolverBox.withLock { resolver in
      if let resolver { return resolver }
      let new = Resolver(
        source: NetworkNames(service: self), upstreams: { [hostServers] in hostServers.addresses }, logger: logger)
      resolver = new
      return new
    }
  }

  var resolverIfMade: Resolver? { resolverBox.withLock { $0 } }

  /// The network `bridge`, with the first free subnets.
  private func makeDefault() throws {
    guard !state.withLock({ $0.networks.values.contains { $0.record.isDefault } }) else { return }
    var request = NetworkRequest(name: Self.defaultName)
    request.options = [
      NetworkOption.bridgeName: settings.bridge, NetworkOption.neighbours: "true", NetworkOption.masquerade: "true",
      NetworkOption.hostBinding: "0.0.0.0", "com.docker.network.bridge.default_bridge": "true",
      NetworkOption.mtu: String(Self.defaultMTU),
    ]
    var record = try planning().record(request, id: Self.newIdentifier())
    record.isDefault = true
    record.definition.adoptsInterface = false
    try write { try NetworkTable.put(record, $0) }
    let entry = NetworkEntry(record)
    state.withLock { $0.networks[record.definition.id] = entry }
  }

  static let defaultName = "bridge"
  private static let defaultMTU = 1_500

  // MARK: What the API asks for

  /// Makes a network; on the host it appears with its first running instance.
  ///
  /// - Throws: `conflict` where the name is taken or a subnet overlaps another network's or one of the host's,
  ///   `invalidArgument` for a request that contradicts itself, `resourceExhausted` where every pool is in use.
  public func create(_ request: NetworkRequest) async throws -> (network: NetworkInformation, warnings: [String]) {
    try Self.check(name: request.name)
    let record = try await blocking.run { [self] in
      try changing.withLock { _ in
        if let known = state.withLock({ $0.networks.values.first { $0.record.definition.name == request.name } }) {
          throw ApusError(
            .conflict, "network with name \(request.name) already exists (its id is \(known.record.definition.id))")
        }
        let record = try planning().record(request, id: Self.newIdentifier())
        try checkInterface(of: record)
        try write { try NetworkTable.put(record, $0) }
        let entry = NetworkEntry(record)
        state.withLock { $0.networks[record.definition.id] = entry }
        return record
      }
    }
    event("create", record.definition)
    return (record.information([]), [])
  }

  /// Every network, the predefined ones too, by name.
  public func list() async -> [NetworkInformation] {
    let made = state.withLock { $0.networks.values.map(\.information) }
    return (made + PlainNetwork.allCases.map { $0.information() }).sorted { $0.name < $1.name }
  }

  /// The same without their members.
  public func known() -> [NetworkInformation] {
    let made = state.withLock { $0.networks.values.map { $0.record.information([]) } }
    return made + PlainNetwork.allCases.map { $0.information() }
  }

  /// By its name, its id, or an unambiguous prefix of that. - Throws: `notFound` with Docker's sentence.
  public func get(_ reference: String) async throws -> NetworkInformation {
    switch try find(reference) {
    case .plain(let network): network.information()
    case .made(let id): try entry(id).information
    }
  }

  /// - Throws: `permissionDenied` for a predefined network, `conflict` while an instance is in it.
  public func remove(_ reference: String) async throws {
    guard case .made(let id) = try find(reference) else { throw Self.permanent(reference) }
    if try entry(id).members.isEmpty { await evict(id) }
    let definition = try await blocking.run { [self] in
      try changing.withLock { _ in
        let entry = try entry(id)
        let definition = entry.record.definition
        guard !entry.record.isDefault else { throw Self.permanent(definition.name) }
        guard entry.members.isEmpty else {
          let names = entry.members.values.map { "\"\($0.instanceName)\"" }.sorted().joined(separator: ", ")
          throw ApusError(
            .permissionDenied,
            "error while removing network: network \(definition.name) has active endpoints (name:\(names)): "
              + "disconnect or stop these instances first")
        }
        try leaveHost(entry)
        try write { try NetworkTable.deleteNetwork(id, $0) }
        state.withLock { _ = $0.networks.removeValue(forKey: id) }
        return definition
      }
    }
    event("destroy", definition)
  }

  /// Removes every network that no instance (running or not) has and that `filter` wants gone. - Returns: their names.
  public func prune(filter: @Sendable (NetworkInformation) -> Bool) async throws -> [String] {
    var users: Set<String> = []
    for instance in index.all() {
      users.formUnion(await instance.record.configuration.network.endpoints.map(\.networkID))
    }
    var names: [String] = []
    for network in await list()
    where !network.isPredefined && network.members.isEmpty && !users.contains(network.id) && filter(network) {
      do {
        try await remove(network.id)
        names.append(network.name)
      } catch {
        // Somebody took it meanwhile, or it cannot be removed: the others still can.
        logger.notice("prune: network \(network.name): \(error)")
      }
    }
    publish(
      EngineEvent(kind: "network", action: "prune", subject: "", attributes: ["reclaimed": "0"], time: Date()))
    return names
  }

  // MARK: Finding

  enum Found {
    case plain(PlainNetwork)
    case made(String)
  }

  func find(_ reference: String) throws(ApusError) -> Found {
    if let plain = PlainNetwork(rawValue: reference) ?? PlainNetwork.allCases.first(where: { $0.id == reference }) {
      return .plain(plain)
    }
    let matches = state.withLock { state -> [String] in
      if state.networks[reference] != nil { return [reference] }
      if let named = state.networks.values.first(where: { $0.record.definition.name == reference }) {
        return [named.record.definition.id]
      }
      return reference.isEmpty ? [] : state.networks.keys.filter { $0.hasPrefix(reference) }
    }
    let plain = PlainNetwork.allCases.filter { reference.utf8.count >= 3 && $0.id.hasPrefix(reference) }
    switch (matches.count, plain.count) {
    case (1, 0): return .made(matches[0])
    case (0, 1): return .plain(plain[0])
    case (0, 0): throw ApusError(.notFound, "network \(reference) not found")
    default:
      throw ApusError(
        .invalidArgument, "network \(reference) is ambiguous (\(matches.count + plain.count) matches found on name)")
    }
  }

  /// The id of the network `bridge`.
  var defaultID: String {
    state.withLock { $0.networks.values.first { $0.record.isDefault }?.record.definition.id } ?? ""
  }

  func entry(_ id: String) throws(ApusError) -> NetworkEntry {
    guard let entry = state.withLock({ $0.networks[id] }) else {
      throw ApusError(.notFound, "network \(id) not found")
    }
    return entry
  }

  // MARK: Small things

  private func planning() throws(ApusError) -> NetworkPlanning {
    let own = state.withLock { state in
      state.networks.values.flatMap { entry in
        entry.record.definition.subnets.map { (name: entry.record.definition.name, subnet: $0.subnet) }
      }
    }
    let interfaces = state.withLock { Set($0.networks.values.map(\.record.definition.interface)) }
    return NetworkPlanning(pools: pools, networks: own, host: try HostLinks.subnetsInUse(except: interfaces))
  }

  private func checkInterface(of record: NetworkRecord) throws(ApusError) {
    let definition = record.definition
    let other = state.withLock { state in
      state.networks.values.first { $0.record.definition.interface == definition.interface }?.record.definition
    }
    if let other {
      throw ApusError(
        .conflict, "the interface \(definition.interface) belongs to network \(other.name): name another one")
    }
    if definition.driver == .macvlan, try !HostLinks.names().contains(definition.interface) {
      throw ApusError(
        .invalidArgument,
        "network \(definition.name) is to be on the interface \(definition.interface), which the host has not")
    }
  }

  private static func check(name: String) throws(ApusError) {
    guard !name.trimmed.isEmpty else { throw ApusError(.invalidArgument, "network name cannot be empty") }
    let isFirst = { (byte: UInt8) in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }
    guard name.utf8.count <= 255, let first = name.utf8.first, isFirst(first),
      name.utf8.allSatisfy({ isFirst($0) || "_.- ".utf8.contains($0) })
    else {
      throw ApusError(
        .invalidArgument,
        "\"\(name.prefix(80))\" is no name for a network: it has letters, digits, '_', '.' and '-', and begins with a "
          + "letter or digit")
    }
    if PlainNetwork(rawValue: name) != nil || name == defaultName || name == "default" { throw predefined(name) }
    if name.hasPrefix("container:") { throw ApusError(.invalidArgument, "a network cannot be named \(name)") }
  }

  static func predefined(_ name: String) -> ApusError {
    ApusError(.permissionDenied, "operation is not permitted on predefined \(name) network")
  }

  private static func permanent(_ name: String) -> ApusError {
    ApusError(.permissionDenied, "\(name) is a pre-defined network and cannot be removed")
  }

  static func newIdentifier() -> String { InstanceName.newIdentifier() }

  func event(_ action: String, _ definition: NetworkDefinition, instance: String? = nil) {
    var attributes = ["name": definition.name, "type": definition.driver.rawValue]
    attributes["container"] = instance
    publish(
      EngineEvent(kind: "network", action: action, subject: definition.id, attributes: attributes, time: Date()))
  }

  func write<Result>(_ body: (Database) throws -> Result) throws -> Result {
    do {
      return try database.write(body)
    } catch let error as DatabaseError {
      throw ApusError(
        error.resultCode == .SQLITE_FULL ? .resourceExhausted : .internal,
        "the state database refused: \(error.message ?? "no reason given")", cause: error)
    }
  }

  private func read<Result>(_ body: (Database) throws -> Result) throws -> Result { try database.read(body) }
}

/// Bounds and names of an engine's networks.
public struct NetworkSettings: Sendable {
  /// The interface of the network `bridge`.
  public var bridge: String
  /// The nftables table of family inet.
  public var table: String
  var pools = SubnetPools.standard

  public init(bridge: String = "apus0", table: String = "apus") {
    self.bridge = bridge
    self.table = table
  }

  /// Those that fit a root: the usual one has the short names, others are told from each other by their engines'
  /// identities, for a name belongs to one daemon.
  public init(root: String, identity: String) {
    guard root != EngineConfiguration.standardRoot else {
      self.init()
      return
    }
    let name = "apus" + identity.filter(\.isHexDigit).prefix(8)
    self.init(bridge: name, table: name)
  }
}
