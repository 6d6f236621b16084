import GRDB
import ImageSpec
import Layers

extension Metadata {
  /// Bytes of a blob of a repository; nil: it has none such.
  func blob(_ digest: Digest, of name: String) async throws -> Int64? {
    let linked = try await database.read { db in
      try Bool.fetchOne(
        db,
        sql: """
          SELECT EXISTS (SELECT 1 FROM blob JOIN repository ON repository.id = blob.repository
            WHERE repository.name = ? AND blob.digest = ?)
          """, arguments: [name, digest.description]) ?? false
    }
    return linked ? content.size(of: digest) : nil
  }

  /// Names what an upload has written, and gives it to the repository.
  /// - Throws: `invalidArgument` when it is not what `digest` says.
  func add(_ writer: BlobWriter, as digest: Digest, to name: String) async throws {
    try await database.write { db in
      try writer.commit(expected: digest)
      try Self.link(digest, to: name, db)
    }
  }

  /// Gives a repository a blob that another one has, or any when `source` is nil.
  /// - Returns: false when it has not.
  func mount(_ digest: Digest, from source: String?, to name: String) async throws -> Bool {
    try await database.write { [content] db in
      let has =
        if let source {
          try Bool.fetchOne(
            db,
            sql: """
              SELECT EXISTS (SELECT 1 FROM blob JOIN repository ON repository.id = blob.repository
                WHERE repository.name = ? AND blob.digest = ?)
              """, arguments: [source, digest.description])
        } else {
          try Bool.fetchOne(
            db, sql: "SELECT EXISTS (SELECT 1 FROM blob WHERE digest = ?)", arguments: [digest.description])
        }
      guard has == true, content.contains(digest) else { return false }
      try Self.link(digest, to: name, db)
      return true
    }
  }

  /// - Returns: false when the repository has no such blob.
  func removeBlob(_ digest: Digest, of name: String) async throws -> Bool {
    try await database.write { db in
      guard let repository = try Self.repository(name, db) else { return false }
      try db.execute(
        sql: "DELETE FROM blob WHERE repository = ? AND digest = ?", arguments: [repository, digest.description])
      guard db.changesCount > 0 else { return false }
      try release(digest, db)
      return true
    }
  }

  private static func link(_ digest: Digest, to name: String, _ db: Database) throws {
    try db.execute(
      sql: "INSERT OR IGNORE INTO blob (repository, digest) VALUES (?, ?)",
      arguments: [try makeRepository(name, db), digest.description])
  }
}
