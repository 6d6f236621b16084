import FoundationEssentials
import GRDB
import ImageSpec

/// What names stand for. One image may be known by several manifests (other media types, other compression) and through
/// several indexes; each name keeps the one it came with, so that a push sends the very same bytes.
extension ImageTable {
  static func registerTargets(in migrator: inout DatabaseMigrator) {
    migrator.registerMigration("images 2") { database in
      try database.execute(
        sql: """
          ALTER TABLE image_reference ADD COLUMN target TEXT;
          ALTER TABLE image ADD COLUMN used REAL;
          CREATE TABLE image_index_content (
            digest TEXT NOT NULL,
            target TEXT NOT NULL,
            size INTEGER NOT NULL,
            PRIMARY KEY (digest, target)
          ) WITHOUT ROWID;
          CREATE INDEX image_index_content_target ON image_index_content(target);
          CREATE INDEX image_reference_target ON image_reference(target);
          """)
    }
  }

  /// The manifest or index that a canonical name stands for; nil where there is no such name.
  static func target(named name: String, _ database: Database) throws -> Digest? {
    try String.fetchOne(
      database,
      sql: """
        SELECT coalesce(image_reference.target, image.manifest) FROM image_reference JOIN image ON image.id = image
        WHERE name = ?
        """, arguments: [name]
    ).flatMap { Digest($0) }
  }

  /// The canonical names of an image with what each stands for.
  static func targets(of id: Digest, _ database: Database) throws -> [(reference: Reference, target: Digest)] {
    try Row.fetchAll(
      database,
      sql: """
        SELECT name, coalesce(target, (SELECT manifest FROM image WHERE id = ?1)) AS target FROM image_reference
        WHERE image = ?1 ORDER BY name
        """, arguments: [id.description]
    ).compactMap { row in
      guard let reference = try? Reference(parsing: row["name"]), let target = Digest(row["target"] as String) else {
        return nil
      }
      return (reference, target)
    }
  }

  /// Names that have a blob among their image's content, in the order in which they came to be used.
  static func names(having blob: Digest, _ database: Database) throws -> [Reference] {
    try String.fetchAll(
      database,
      sql: """
        SELECT name FROM image_reference JOIN image_content ON image_content.image = image_reference.image
        WHERE digest = ? AND layer = 0 ORDER BY name
        """, arguments: [blob.description]
    ).compactMap { try? Reference(parsing: $0) }
  }

  /// Images with a layer of that diff ID.
  static func images(having diffID: Digest, _ database: Database) throws -> [Digest] {
    try String.fetchAll(
      database, sql: "SELECT image FROM image_content WHERE digest = ? AND layer = 1", arguments: [diffID.description]
    ).compactMap { Digest($0) }
  }

  /// Blobs that are kept for an index: itself, and what it names that belongs to no image here.
  static func addIndex(_ target: Digest, content: [Digest: Int64], _ database: Database) throws {
    for (digest, size) in content {
      try database.execute(
        sql: "INSERT OR IGNORE INTO image_index_content (digest, target, size) VALUES (?, ?, ?)",
        arguments: [digest.description, target.description, size])
    }
  }

  static func indexContent(of target: Digest, _ database: Database) throws -> [Digest] {
    try String.fetchAll(
      database, sql: "SELECT digest FROM image_index_content WHERE target = ?", arguments: [target.description]
    ).compactMap { Digest($0) }
  }

  /// Forgets the indexes that no name stands for any more.
  /// - Returns: what may have become collectable by that.
  static func dropUnnamedIndexes(_ database: Database) throws -> Set<StoredItem> {
    let dead = "target NOT IN (SELECT target FROM image_reference WHERE target IS NOT NULL)"
    let items = try String.fetchAll(database, sql: "SELECT DISTINCT digest FROM image_index_content WHERE \(dead)")
      .compactMap { Digest($0).map { StoredItem.blob($0) } }
    if !items.isEmpty { try database.execute(sql: "DELETE FROM image_index_content WHERE \(dead)") }
    return Set(items)
  }

  // MARK: Use

  /// Notes that these images are needed now.
  static func markUsed(_ ids: Set<Digest>, at time: Date, _ database: Database) throws {
    for id in ids {
      try database.execute(
        sql: "UPDATE image SET used = ? WHERE id = ?", arguments: [time.timeIntervalSince1970, id.description])
    }
  }

  /// When each image was last needed, or came here.
  static func lastUses(_ database: Database) throws -> [(id: Digest, used: Date)] {
    let rows = try Row.fetchAll(
      database, sql: "SELECT id, max(coalesce(used, 0), added) AS last FROM image ORDER BY last")
    return rows.compactMap { row in
      Digest(row["id"] as String).map { ($0, Date(timeIntervalSince1970: row["last"])) }
    }
  }
}
