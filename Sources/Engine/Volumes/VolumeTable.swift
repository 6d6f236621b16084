import Errors
import FoundationEssentials
import GRDB

/// The volume table of the state database. Who uses a volume is not in it: the instances' records say that.
enum VolumeTable {
  static func register(in migrator: inout DatabaseMigrator) {
    migrator.registerMigration("volumes 1") { database in
      try database.execute(
        sql: """
          CREATE TABLE volume (
            name TEXT PRIMARY KEY NOT NULL,
            created REAL NOT NULL,
            anonymous INTEGER NOT NULL,
            options BLOB NOT NULL,
            labels BLOB NOT NULL
          ) WITHOUT ROWID;
          """)
    }
  }

  static func all(_ database: Database, mountpoint: (String) -> String) throws -> [Volume] {
    let decoder = JSONDecoder()
    return try Row.fetchAll(database, sql: "SELECT name, created, anonymous, options, labels FROM volume").map { row in
      let (name, created, anonymous): (String, Double, Bool) = (row[0], row[1], row[2])
      let (options, labels): (Data, Data) = (row[3], row[4])
      return Volume(
        name: name, mountpoint: mountpoint(name), created: Date(timeIntervalSince1970: created),
        labels: try decoder.decode([String: String].self, from: labels),
        options: try decoder.decode([String: String].self, from: options), anonymous: anonymous)
    }
  }

  static func insert(_ volume: Volume, _ database: Database) throws {
    let encoder = JSONEncoder()
    let statement = try database.cachedStatement(
      sql: "INSERT OR REPLACE INTO volume (name, created, anonymous, options, labels) VALUES (?, ?, ?, ?, ?)")
    try statement.execute(arguments: [
      volume.name, volume.created.timeIntervalSince1970, volume.anonymous, try encoder.encode(volume.options),
      try encoder.encode(volume.labels),
    ])
  }

  static func delete(_ name: String, _ database: Database) throws {
    let statement = try database.cachedStatement(sql: "DELETE FROM volume WHERE name = ?")
    try statement.execute(arguments: [name])
  }
}
