import Errors
import GRDB

/// The engine's SQLite file: one connection, one writer, write-ahead log.
///
/// `synchronous = NORMAL`: a killed daemon loses nothing; after a power cut the last transactions may be missing, never torn.
public final class StateDatabase: Sendable {
  let queue: DatabaseQueue

  /// Opens the file, making it where it does not exist, and brings its schema up to date.
  ///
  /// - Parameter path: nil keeps it in memory (tests).
  public init(path: String?) throws {
    var configuration = Configuration()
    configuration.label = "state"
    configuration.busyMode = .timeout(5)
    configuration.prepareDatabase { database in
      try database.execute(
        sql: """
          PRAGMA journal_mode = WAL;
          PRAGMA synchronous = NORMAL;
          PRAGMA cache_size = -512;
          PRAGMA journal_size_limit = 4194304;
          """)
    }
    do {
      queue =
        if let path {
          try DatabaseQueue(path: path, configuration: configuration)
        } else {
          try DatabaseQueue(configuration: configuration)
        }
      try Self.migrations.migrate(queue)
    } catch {
      throw ApusError(
        .internal,
        "The state database \(path ?? "in memory") cannot be opened: \(Self.reason(error)). Another daemon may use this root.",
        cause: error)
    }
  }

  /// Writes in one transaction. Blocks: call it from a ``BlockingPool``.
  func write<Result>(_ stage: String, _ body: (Database) throws -> Result) throws -> Result {
    do {
      return try queue.write(body)
    } catch let error as DatabaseError {
      throw ApusError(
        error.resultCode == .SQLITE_FULL ? .resourceExhausted : .internal,
        "The state database refused to \(stage): \(Self.reason(error)).", cause: error)
    }
  }

  func read<Result>(_ stage: String, _ body: (Database) throws -> Result) throws -> Result {
    do {
      return try queue.read(body)
    } catch let error as DatabaseError {
      throw ApusError(.internal, "The state database refused to \(stage): \(Self.reason(error)).", cause: error)
    }
  }

  func close() throws { try queue.close() }

  private static func reason(_ error: any Error) -> String {
    guard let error = error as? DatabaseError else { return "\(error)" }
    return error.message ?? "SQLite error \(error.resultCode.rawValue)"
  }

  private static var migrations: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: instances") { database in
      try database.execute(
        sql: """
          CREATE TABLE instance (
            id TEXT PRIMARY KEY NOT NULL,
            name TEXT NOT NULL UNIQUE,
            record BLOB NOT NULL,
            state BLOB NOT NULL
          );
          """)
    }
    return migrator
  }
}
