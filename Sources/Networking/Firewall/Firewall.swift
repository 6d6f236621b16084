import Errors
import Glibc
import Linux
import Logging
import Netlink
import Synchronization

/// The host's packet filter as far as it is ours: one nf_tables table (docs/decisions/0031).
///
/// The table outlives the daemon, as instances do. What it is to contain is kept here too: when somebody deletes it
/// (`nft flush ruleset`), or a change finds it other than expected, it is made anew. Everything blocks.
public final class Firewall: Sendable {
  private struct Current {
    var state = FirewallState()
    /// Whether the kernel's table is known to be as `state` says.
    var isBuilt = false
    /// Kept: to close one that is netfilter's waits until everything deleted is in nobody's hands any more, 10 ms.
    var socket: NetfilterSocket?
  }

  /// The table's name, in the family `inet`.
  public let table: String
  private let program: NFTProgram
  private let logger: Logger
  let forgetting: ForgettingQueue
  private let current = Mutex(Current())
  private let watching = Mutex<TableWatch?>(nil)
  private let commits: Mutex<GroupCommit<FirewallState.Request, ApusError?>?> = Mutex(nil)

  /// - Parameters:
  ///   - table: several daemons on one host have tables of different names.
  ///   - nft: the program; nil: where distributions put it.
  public init(table: String = "apus", nft: String? = nil, logger: Logger) {
    self.table = table
    program = NFTProgram(path: nft)
    self.logger = logger
    forgetting = ForgettingQueue(logger: logger)
  }

  /// Makes the whole table anew from what the engine knows, in one transaction: connections and published ports go on,
  /// and the administrator's chain `user` stays as it is.
  public func restore(networks: [FirewallNetwork], ports: [PublishedPort]) throws(ApusError) {
    try commit(.restore(networks: networks, ports: ports))
  }

  /// Adds a network, or replaces what is known of its bridge.
  public func add(_ network: FirewallNetwork) throws(ApusError) { try commit(.add(network)) }

  /// Forgets a network. Fine when it is not there.
  public func remove(_ network: FirewallNetwork) throws(ApusError) {
    try commit(.remove(interface: network.interface))
  }

  /// Lets ports of the host lead to instances.
  ///
  /// - Throws: conflict, when one of them leads elsewhere; then none of them is published.
  public func publish(_ ports: [PublishedPort]) throws(ApusError) {
    try commit(.publish(ports))
    // A client that has sent before would otherwise be answered by nobody for as long as it goes on. TCP begins anew by
    // itself.
    forget(ports.filter { $0.proto != .tcp }.map { .unpublished($0) })
  }

  /// The opposite of ``publish(_:)``; fine for those that are not there.
  public func withdraw(_ ports: [PublishedPort]) throws(ApusError) {
    try commit(.withdraw(ports))
    forget(ports.map { .target($0) })
  }

  /// Ends what is known of connections from and to these addresses, which are nobody's any more.
  ///
  /// Returns at once; it is done soon (``ForgettingQueue``).
  public func forget(addresses: [IPAddress]) {
    forget(addresses.map { .address($0) })
  }

  private func forget(_ matches: [ConnectionTracking.Match]) { forgetting.add(matches) }

  /// Takes what is ours from the host; the table goes with it, unless the administrator has rules in its chain `user`.
  public func removeTable() throws(ApusError) {
    try current.withLock { current throws(ApusError) in
      current = Current(socket: current.socket)
      let ruleset = Ruleset(table: table)
      guard let user = try? program.run(["list", "chain", "inet", table, "user"]) else { return }
      try program.apply(Ruleset.hasRules(user) ? ruleset.textWithoutOurs : ruleset.removal)
    }
  }

  private func commit(_ request: FirewallState.Request) throws(ApusError) {
    let commits = self.commits.withLock { commits in
      if let commits { return commits }
      let new = GroupCommit<FirewallState.Request, ApusError?> { [unowned self] in follow($0) }
      commits = new
      return new
    }
    if let error = commits.run(request) { throw error }
  }

  /// Does what several callers want in one transaction; where that fails, one after the other, so that nobody fails for
  /// another's sake.
  private func follow(_ requests: [FirewallState.Request]) -> [ApusError?] {
    current.withLock { current in
      var state = current.state
      var changes: [FirewallState.Change]? = []
      var outcomes: [ApusError?] = []
      for request in requests {
        do throws(ApusError) {
          let more = try state.follow(request)
          changes = if let more, let known = changes { known + more } else { nil }
          outcomes.append(nil)
        } catch {
          outcomes.append(error)
        }
      }
      do throws(ApusError) {
        if current.socket == nil { current.socket = try NetfilterSocket() }
        try apply(changes, of: state, by: current.isBuilt ? current.socket : nil)
        current.state = state
        current.isBuilt = true
        watch()
        return outcomes
      } catch {
        current.isBuilt = false
        if requests.count == 1 {
          // What was to go stays away once the table can be made again.
          if case .withdraw = requests[0] { current.state = state }
          if case .remove = requests[0] { current.state = state }
          return [error]
        }
      }
      return nil
    } ?? requests.flatMap { follow([$0]) }
  }

  /// From the first table on; in the network namespace of whoever makes it.
  private func watch() {
    watching.withLock { watching in
      guard watching == nil else { return }
      watching = try? TableWatch(table: table) { [weak self] in self?.makeAnew() }
    }
  }

  /// Somebody has deleted the table.
  private func makeAnew() {
    let isOurs = current.withLock { current in
      defer { current.isBuilt = false }
      return current.isBuilt
    }
    guard isOurs else { return }
    logger.warning("the table inet \(table) was deleted by another program, it is made anew")
    do throws(ApusError) {
      try commit(.withdraw([]))
    } catch {
      logger.error("published ports and isolation are missing until the next change: \(error)")
    }
  }

  /// - Parameter socket: nil: the kernel's table is not known to be as it was left.
  private func apply(
    _ changes: [FirewallState.Change]?, of state: FirewallState, by socket: NetfilterSocket?
  ) throws(ApusError) {
    if let changes, let socket {
      if changes.isEmpty { return }
      do throws(ApusError) {
        try socket.commit(.transaction(changes, table: table))
        return
      } catch {
        logger.warning("the firewall's table is not as it was left, it is made anew: \(error)")
      }
    }
    let ruleset = Ruleset(table: table)
    do throws(ApusError) {
      try program.apply(ruleset.text(elements: state.all))
    } catch {
      guard error.code == .internal else { throw error }
      let listing = try program.run(["-t", "list", "table", "inet", table])
      logger.warning("the table \(table) has parts of another form, which are replaced: \(error)")
      try program.apply(ruleset.text(elements: state.all, replacing: Ruleset.sets(listing)))
    }
  }
}
