import Errors
import FoundationEssentials
import GRDB
import ImageSpec
import Layers

extension Metadata {
  /// A manifest of a repository by tag or digest; nil: there is none.
  func manifest(_ reference: ManifestReference, of name: String) async throws -> Descriptor? {
    try await database.read { db in
      let condition =
        switch reference {
        case .tag:
          "manifest.digest = (SELECT digest FROM tag WHERE tag.repository = repository.id AND tag.name = ?)"
        case .digest: "manifest.digest = ?"
        }
      let row = try Row.fetchOne(
        db,
        sql: """
          SELECT manifest.digest, type, size FROM manifest JOIN repository ON repository.id = manifest.repository
          WHERE repository.name = ? AND \(condition)
          """, arguments: [name, reference.text])
      return try row.map { try Self.descriptor($0) }
    }
  }

  /// Stores a manifest and points tags to it: all, or nothing.
  ///
  /// - Throws: ``Problem`` when the repository lacks what the manifest needs.
  func put(_ document: ManifestDocument, bytes: [UInt8], as digest: Digest, tags: [String], in name: String)
    async throws
  {
    try await database.write { [content] db in
      let repository = try Self.makeRepository(name, db)
      try Self.require(document, in: repository, db)
      let writer = try BlobWriter(store: content, algorithm: digest.algorithm)
      try bytes.withUnsafeBytes { try writer.write($0) }
      try writer.commit(expected: digest)
      let annotations = try document.annotations.map { String(decoding: try JSONEncoder().encode($0), as: UTF8.self) }
      try db.execute(
        sql: """
          INSERT INTO manifest (repository, digest, type, size, subject, artifactType, annotations)
          VALUES (?, ?, ?, ?, ?, ?, ?)
          ON CONFLICT (repository, digest) DO UPDATE SET type = excluded.type
          """,
        arguments: [
          repository, digest.description, document.mediaType, bytes.count, document.subject?.description,
          document.artifactType, annotations,
        ])
      for tag in tags {
        try db.execute(
          sql: """
            INSERT INTO tag (repository, name, digest) VALUES (?, ?, ?)
            ON CONFLICT (repository, name) DO UPDATE SET digest = excluded.digest
            """, arguments: [repository, tag, digest.description])
      }
    }
  }

  private static func require(_ document: ManifestDocument, in repository: Int64, _ db: Database) throws {
    for (digests, table) in [(document.blobs, "blob"), (document.manifests, "manifest")] {
      for digest in digests {
        let found = try Bool.fetchOne(
          db, sql: "SELECT EXISTS (SELECT 1 FROM \(table) WHERE repository = ? AND digest = ?)",
          arguments: [repository, digest.description])
        guard found == true else {
          throw Problem(
            .badRequest, .manifestBlobUnknown, "the \(table) \(digest) is not in the repository: push it first")
        }
      }
    }
  }

  /// Removes a tag, or a manifest with all its tags. What refers to it as its subject stays.
  /// - Returns: false when there is none.
  func removeManifest(_ reference: ManifestReference, of name: String) async throws -> Bool {
    try await database.write { db in
      guard let repository = try Self.repository(name, db) else { return false }
      switch reference {
      case .tag(let tag):
        try db.execute(sql: "DELETE FROM tag WHERE repository = ? AND name = ?", arguments: [repository, tag])
        return db.changesCount > 0
      case .digest(let digest):
        try db.execute(
          sql: "DELETE FROM manifest WHERE repository = ? AND digest = ?", arguments: [repository, digest.description])
        guard db.changesCount > 0 else { return false }
        try release(digest, db)
        return true
      }
    }
  }

  /// Tags in byte order after `last`, one more than `limit` if there are more; nil: there is no such repository.
  func tags(of name: String, after last: String, limit: Int) async throws -> [String]? {
    try await database.read { db in
      guard let repository = try Self.repository(name, db) else { return nil }
      return try String.fetchAll(
        db, sql: "SELECT name FROM tag WHERE repository = ? AND name > ? ORDER BY name LIMIT ?",
        arguments: [repository, last, limit + 1])
    }
  }

  /// What has `subject` as its subject, by digest after `last`, one more than `limit` if there are more.
  func referrers(
    of subject: Digest, in name: String, artifactType: String?, after last: String, limit: Int
  ) async throws -> [Descriptor] {
    try await database.read { db in
      guard let repository = try Self.repository(name, db) else { return [] }
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT digest, type, size, artifactType, annotations FROM manifest
          WHERE repository = ? AND subject = ? AND digest > ? AND (? IS NULL OR artifactType = ?)
          ORDER BY digest LIMIT ?
          """, arguments: [repository, subject.description, last, artifactType, artifactType, limit + 1])
      return try rows.map { row in
        var descriptor = try Self.descriptor(row)
        descriptor.artifactType = row["artifactType"]
        if let text: String = row["annotations"] {
          descriptor.annotations = try JSONDecoder().decode([String: String].self, from: Data(text.utf8))
        }
        return descriptor
      }
    }
  }

  private static func descriptor(_ row: Row) throws -> Descriptor {
    Descriptor(mediaType: row["type"], digest: try Digest(parsing: row["digest"]), size: row["size"])
  }
}
