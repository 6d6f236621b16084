import Errors
import FoundationEssentials
import GRDB
import ImageSpec

/// What is kept for an image: the smallest thing the garbage collector decides about.
enum StoredItem: Hashable, Sendable {
  case blob(Digest)
  /// A layer file, by diff ID.
  case layer(Digest)

  var digest: Digest {
    switch self {
    case .blob(let digest), .layer(let digest): digest
    }
  }

  var isLayer: Bool {
    if case .layer = self { return true }
    return false
  }
}

/// One row of `image`.
struct ImageRow: Sendable {
  var id: Digest
  var manifest: Digest
  var added: Date
}

/// The image tables of the state database. Every function runs inside a transaction of the caller.
enum ImageTable {
  /// Adds the tables; the engine calls it where it lists its own migrations.
  static func register(in migrator: inout DatabaseMigrator) {
    migrator.registerMigration("images 1") { database in
      try database.execute(
        sql: """
          CREATE TABLE image (
            id TEXT PRIMARY KEY NOT NULL,
            manifest TEXT NOT NULL,
            added REAL NOT NULL
          ) WITHOUT ROWID;
          CREATE TABLE image_reference (
            name TEXT PRIMARY KEY NOT NULL,
            image TEXT NOT NULL REFERENCES image(id) ON DELETE CASCADE
          ) WITHOUT ROWID;
          CREATE INDEX image_reference_image ON image_reference(image);
          CREATE TABLE image_content (
            digest TEXT NOT NULL,
            layer INTEGER NOT NULL,
            image TEXT NOT NULL REFERENCES image(id) ON DELETE CASCADE,
            size INTEGER NOT NULL,
            PRIMARY KEY (digest, layer, image)
          ) WITHOUT ROWID;
          CREATE INDEX image_content_image ON image_content(image);
          """)
    }
    registerTargets(in: &migrator)
  }

  // MARK: Reading

  static func image(_ id: Digest, _ database: Database) throws -> ImageRow? {
    try Row.fetchOne(database, sql: "SELECT * FROM image WHERE id = ?", arguments: [id.description]).map(row)
  }

  static func images(_ database: Database) throws -> [ImageRow] {
    try Row.fetchAll(database, sql: "SELECT * FROM image ORDER BY added DESC, id").map(row)
  }

  /// The image that a canonical name (`docker.io/library/debian:12`, `…@sha256:…`) stands for.
  static func imageID(named name: String, _ database: Database) throws -> Digest? {
    try String.fetchOne(database, sql: "SELECT image FROM image_reference WHERE name = ?", arguments: [name])
      .flatMap { Digest($0) }
  }

  /// At most two images whose ID starts with these hex digits: one is an answer, two are ambiguous.
  static func imageIDs(prefix: String, _ database: Database) throws -> [Digest] {
    let low = "sha256:" + prefix
    return try String.fetchAll(
      database, sql: "SELECT id FROM image WHERE id >= ? AND id < ? LIMIT 2", arguments: [low, low + "g"]
    ).compactMap { Digest($0) }
  }

  /// Canonical names of an image, sorted.
  static func names(of id: Digest, _ database: Database) throws -> [String] {
    try String.fetchAll(
      database, sql: "SELECT name FROM image_reference WHERE image = ? ORDER BY name", arguments: [id.description])
  }

  /// The tags of a repository (`docker.io/library/debian`), sorted.
  static func tags(of name: String, _ database: Database) throws -> [(reference: Reference, image: Digest)] {
    try Row.fetchAll(
      database, sql: "SELECT name, image FROM image_reference WHERE name >= ? AND name < ? ORDER BY name",
      arguments: [name + ":", name + ";"]
    ).compactMap { row in
      guard let reference = try? Reference(parsing: row["name"]), let id = Digest(row["image"] as String),
        reference.name == name, reference.digest == nil
      else { return nil }
      return (reference, id)
    }
  }

  /// What an image consists of, with the bytes of each blob and of each layer's uncompressed tar.
  static func content(of id: Digest, _ database: Database) throws -> [StoredItem: Int64] {
    let rows = try Row.fetchAll(
      database, sql: "SELECT digest, layer, size FROM image_content WHERE image = ?", arguments: [id.description])
    return Dictionary(
      rows.compactMap { row in item(row).map { ($0, row["size"] as Int64) } }, uniquingKeysWith: { first, _ in first })
  }

  /// The size that any image records for an item.
  static func size(of item: StoredItem, _ database: Database) throws -> Int64? {
    try Int64.fetchOne(
      database, sql: "SELECT size FROM image_content WHERE digest = ? AND layer = ? LIMIT 1",
      arguments: [item.digest.description, item.isLayer])
  }

  static func allContent(_ database: Database) throws -> Set<StoredItem> {
    Set(
      try Row.fetchAll(
        database, sql: "SELECT digest, layer FROM image_content UNION SELECT digest, 0 FROM image_index_content"
      ).compactMap(item))
  }

  static func isReferenced(_ item: StoredItem, _ database: Database) throws -> Bool {
    let named = try Bool.fetchOne(
      database, sql: "SELECT EXISTS (SELECT 1 FROM image_content WHERE digest = ? AND layer = ?)",
      arguments: [item.digest.description, item.isLayer])
    if named == true || item.isLayer { return named ?? false }
    return try Bool.fetchOne(
      database, sql: "SELECT EXISTS (SELECT 1 FROM image_index_content WHERE digest = ?)",
      arguments: [item.digest.description]) ?? false
  }

  // MARK: Writing

  /// Adds an image, or what is new about one that is there. A manifest that came from elsewhere (`original`) takes the
  /// place of one that was made up for an archive without any; the content of both is kept.
  static func add(
    _ image: ImageRow, content: [StoredItem: Int64], names: [String], target: Digest, original: Bool,
    _ database: Database
  ) throws {
    let id = image.id.description
    try database.execute(
      sql: """
        INSERT INTO image (id, manifest, added, used) VALUES (?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET added = excluded.added, used = excluded.used\
        \(original ? ", manifest = excluded.manifest" : "")
        """,
      arguments: [
        id, image.manifest.description, image.added.timeIntervalSince1970, image.added.timeIntervalSince1970,
      ])
    for (item, size) in content {
      try database.execute(
        sql: "INSERT OR IGNORE INTO image_content (digest, layer, image, size) VALUES (?, ?, ?, ?)",
        arguments: [item.digest.description, item.isLayer, id, size])
    }
    for name in names { try point(name, at: image.id, target: target, database) }
  }

  /// - Parameter target: the manifest or index that the name stands for.
  static func point(_ name: String, at id: Digest, target: Digest, _ database: Database) throws {
    try database.execute(
      sql: """
        INSERT INTO image_reference (name, image, target) VALUES (?, ?, ?)
        ON CONFLICT (name) DO UPDATE SET image = excluded.image, target = excluded.target
        """, arguments: [name, id.description, target.description])
  }

  static func removeName(_ name: String, _ database: Database) throws {
    try database.execute(sql: "DELETE FROM image_reference WHERE name = ?", arguments: [name])
  }

  static func removeImage(_ id: Digest, _ database: Database) throws {
    for table in ["image_reference", "image_content"] {
      try database.execute(sql: "DELETE FROM \(table) WHERE image = ?", arguments: [id.description])
    }
    try database.execute(sql: "DELETE FROM image WHERE id = ?", arguments: [id.description])
  }

  static func touch(_ id: Digest, _ added: Date, _ database: Database) throws {
    try database.execute(
      sql: "UPDATE image SET added = ? WHERE id = ?", arguments: [added.timeIntervalSince1970, id.description])
  }

  private static func row(_ row: Row) throws -> ImageRow {
    guard let id = Digest(row["id"] as String), let manifest = Digest(row["manifest"] as String) else {
      throw ApusError(.internal, "the state database holds an image without a valid digest")
    }
    return ImageRow(id: id, manifest: manifest, added: Date(timeIntervalSince1970: row["added"]))
  }

  static func item(_ row: Row) -> StoredItem? {
    guard let digest = Digest(row["digest"] as String) else { return nil }
    return row["layer"] as Bool ? .layer(digest) : .blob(digest)
  }
}
