import Errors
import FoundationEssentials
import GRDB
import Logging
import Synchronization

/// Instance records on disk.
///
/// A create is on disk before it returns. Changes of state and removals are written shortly after, many in one
/// transaction: should the daemon be killed in between, the next one finds the truth in the kernel, in the exit file,
/// and in whether the instance's directory is there (a record without a directory was being removed).
final class InstanceStore: Sendable {
  private enum Change: Sendable {
    case state(InstanceState)
    case deletion
  }
  private struct Pending {
    var changes: [String: Change] = [:]
    var scheduled = false
  }

  private static let delay = Duration.milliseconds(20)

  private let database: StateDatabase
  private let blocking: BlockingPool
  private let logger: Logger
  private let pending = Mutex(Pending())

  init(database: StateDatabase, blocking: BlockingPool, logger: Logger) {
    self.database = database
    self.blocking = blocking
    self.logger = logger
  }

  /// Every record, and the ids of rows that cannot be read (written by a newer version, say).
  func load() throws -> (records: [InstanceRecord], unreadable: [String]) {
    let decoder = JSONDecoder()
    var records: [InstanceRecord] = []
    var unreadable: [String] = []
    try database.read("list instances") { database in
      let rows = try Row.fetchCursor(database, sql: "SELECT id, name, record, state FROM instance")
      while let row = try rows.next() {
        let id: String = row[0]
        do {
          let (name, body, state): (String, Data, Data) = (row[1], row[2], row[3])
          var record = try decoder.decode(InstanceRecord.self, from: body)
          record.name = name
          record.state = try decoder.decode(InstanceState.self, from: state)
          records.append(record)
        } catch {
          logger.error("The record of instance \(id) cannot be read: \(error)")
          unreadable.append(id)
        }
      }
    }
    return (records, unreadable)
  }

  /// Blocks until it is on disk.
  func insert(_ record: InstanceRecord) throws {
    let (body, state) = try encoded(record)
    try database.write("add instance \(record.name)") { database in
      // A removed instance may have had this name.
      try writePending(database)
      let statement = try database.cachedStatement(
        sql: "INSERT INTO instance (id, name, record, state) VALUES (?, ?, ?, ?)")
      try statement.execute(arguments: [record.id, record.name, body, state])
    }
  }

  /// Blocks until the new name and configuration are on disk.
  func update(_ record: InstanceRecord) throws {
    let (body, state) = try encoded(record)
    try database.write("change instance \(record.name)") { database in
      try writePending(database)
      let statement = try database.cachedStatement(
        sql: "UPDATE instance SET name = ?, record = ?, state = ? WHERE id = ?")
      try statement.execute(arguments: [record.name, body, state, record.id])
    }
  }

  /// Notes a new state; written soon.
  func note(_ state: InstanceState, of id: String) { note(.state(state), of: id) }

  /// Notes a removal; written soon. Call it once the instance's directory is gone from its place.
  func noteDeletion(of id: String) { note(.deletion, of: id) }

  /// Writes what is still noted. Blocks.
  func flush() throws {
    guard pending.withLock({ !$0.changes.isEmpty }) else { return }
    try database.write("note a change of state") { try writePending($0) }
  }

  /// Inside the database's queue, so that an older state never overtakes a newer one.
  private func writePending(_ database: Database) throws {
    let changes = pending.withLock { pending in
      defer { pending.changes = [:] }
      return pending.changes
    }
    guard !changes.isEmpty else { return }
    let encoder = JSONEncoder()
    for (id, change) in changes {
      switch change {
      case .state(let state):
        let statement = try database.cachedStatement(sql: "UPDATE instance SET state = ? WHERE id = ?")
        try statement.execute(arguments: [try encoder.encode(state), id])
      case .deletion:
        let statement = try database.cachedStatement(sql: "DELETE FROM instance WHERE id = ?")
        try statement.execute(arguments: [id])
      }
    }
  }

  private func note(_ change: Change, of id: String) {
    let schedule = pending.withLock { pending in
      if case .deletion = pending.changes[id] { return false }
      pending.changes[id] = change
      defer { pending.scheduled = true }
      return !pending.scheduled
    }
    guard schedule else { return }
    Task {
      // Most instances that live this briefly are gone by then, and the next create writes what is noted on its way.
      try? await Task.sleep(for: Self.delay)
      pending.withLock { $0.scheduled = false }
      do {
        try await blocking.run { try self.flush() }
      } catch is CancellationError {
        // The engine is closing, and writes them itself.
      } catch {
        logger.error("State changes could not be written: \(error)")
      }
    }
  }

  private func encoded(_ record: InstanceRecord) throws -> (body: Data, state: Data) {
    let encoder = JSONEncoder()
    var body = record
    body.state = InstanceState()
    return (try encoder.encode(body), try encoder.encode(record.state))
  }
}
