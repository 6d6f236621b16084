import Errors
import GRDB
import ImageSpec
import Layers

/// What the registry knows besides content: which repository has which blobs, manifests and tags.
///
/// SQLite, for a push is one transaction or nothing, lists are pages of an index however long they are, and whether
/// somebody else still needs a blob is one question. All changes go through one writer, in which content gets its name
/// and loses it, too: so none goes while somebody links it.
struct Metadata: Sendable {
  let database: DatabasePool
  let content: ContentStore

  /// Opens what is there; content that a power cut has spoilt is forgotten.
  /// - Throws: `internal` when the database cannot be used.
  init(root: String, content: ContentStore) throws(ApusError) {
    self.content = content
    do {
      var configuration = Configuration()
      configuration.busyMode = .timeout(5)
      configuration.foreignKeysEnabled = true
      database = try DatabasePool(path: "\(root)/registry.db", configuration: configuration)
      try Self.migrator.migrate(database)
    } catch {
      throw ApusError(.internal, "cannot open the registry's database in \(root): \(error)", cause: error)
    }
  }

  private static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1") { db in
      try db.execute(
        sql: """
          CREATE TABLE repository (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
          CREATE TABLE blob (
            repository INTEGER NOT NULL REFERENCES repository (id), digest TEXT NOT NULL,
            PRIMARY KEY (repository, digest)) WITHOUT ROWID;
          CREATE INDEX blob_digest ON blob (digest);
          CREATE TABLE manifest (
            repository INTEGER NOT NULL REFERENCES repository (id), digest TEXT NOT NULL,
            type TEXT NOT NULL, size INTEGER NOT NULL,
            subject TEXT, artifactType TEXT, annotations TEXT,
            PRIMARY KEY (repository, digest)) WITHOUT ROWID;
          CREATE INDEX manifest_digest ON manifest (digest);
          CREATE INDEX manifest_subject ON manifest (repository, subject, digest) WHERE subject IS NOT NULL;
          CREATE TABLE tag (
            repository INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL,
            PRIMARY KEY (repository, name),
            FOREIGN KEY (repository, digest) REFERENCES manifest (repository, digest) ON DELETE CASCADE) WITHOUT ROWID;
          CREATE INDEX tag_digest ON tag (repository, digest);
          """)
    }
    return migrator
  }

  // MARK: Repositories

  static func repository(_ name: String, _ db: Database) throws -> Int64? {
    try Int64.fetchOne(db, sql: "SELECT id FROM repository WHERE name = ?", arguments: [name])
  }

  /// The repository, made where it is missing.
  static func makeRepository(_ name: String, _ db: Database) throws -> Int64 {
    if let known = try repository(name, db) { return known }
    try db.execute(sql: "INSERT INTO repository (name) VALUES (?)", arguments: [name])
    return db.lastInsertedRowID
  }

  func hasRepository(_ name: String) async throws -> Bool {
    try await database.read { try Self.repository(name, $0) != nil }
  }

  /// Names in byte order after `last`, one more than `limit` if there are more.
  func repositories(after last: String, limit: Int) async throws -> [String] {
    try await database.read { db in
      try String.fetchAll(
        db, sql: "SELECT name FROM repository WHERE name > ? ORDER BY name LIMIT ?", arguments: [last, limit + 1])
    }
  }

  // MARK: Content

  /// Removes content that no repository has any more. Within the transaction that took it from the last; the file goes
  /// when that is committed, still before the next change.
  func release(_ digest: Digest, _ db: Database) throws {
    let text = digest.description
    let used = try Bool.fetchOne(
      db,
      sql: "SELECT EXISTS (SELECT 1 FROM blob WHERE digest = ?) OR EXISTS (SELECT 1 FROM manifest WHERE digest = ?)",
      arguments: [text, text])
    guard used == false else { return }
    let content = content
    db.afterNextTransaction { _ in try? content.remove(digest) }
  }

  /// Removes content that turned out to be nobody's, soon.
  func discardLater(_ digest: Digest) {
    database.asyncWriteWithoutTransaction { db in
      try? db.inTransaction {
        try release(digest, db); return .commit
      }
    }
  }

  /// Forgets what the store has lost, and removes content that belongs to no repository: what was stored when the
  /// server ended before its link was. Blocks; before the first request.
  func recover(without lost: [Digest]) throws(ApusError) {
    do {
      let known = try database.write { db in
        for digest in lost {
          try db.execute(sql: "DELETE FROM blob WHERE digest = ?", arguments: [digest.description])
          try db.execute(sql: "DELETE FROM manifest WHERE digest = ?", arguments: [digest.description])
        }
        return Set(try String.fetchAll(db, sql: "SELECT digest FROM blob UNION SELECT digest FROM manifest"))
      }
      for digest in try content.all() where !known.contains(digest.description) { try content.remove(digest) }
    } catch {
      throw (error as? ApusError) ?? ApusError(.internal, "cannot read the registry's database: \(error)", cause: error)
    }
  }
}
