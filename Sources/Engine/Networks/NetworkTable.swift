import Errors
import FoundationEssentials
import GRDB

/// The tables of networks, and of what running instances have of them: their leases.
enum NetworkTable {
  static func register(in migrator: inout DatabaseMigrator) {
    migrator.registerMigration("networks 1") { database in
      try database.execute(
        sql: """
          CREATE TABLE network (
            id TEXT PRIMARY KEY NOT NULL,
            name TEXT NOT NULL UNIQUE,
            record BLOB NOT NULL
          ) WITHOUT ROWID;
          CREATE TABLE attachment (
            instance TEXT PRIMARY KEY NOT NULL,
            record BLOB NOT NULL
          ) WITHOUT ROWID;
          """)
    }
  }

  static func networks(_ database: Database) throws -> [NetworkRecord] {
    let decoder = JSONDecoder()
    return try Row.fetchAll(database, sql: "SELECT record FROM network").map { row in
      let body: Data = row[0]
      return try decoder.decode(NetworkRecord.self, from: body)
    }
  }

  static func put(_ record: NetworkRecord, _ database: Database) throws {
    let statement = try database.cachedStatement(
      sql: "INSERT OR REPLACE INTO network (id, name, record) VALUES (?, ?, ?)")
    try statement.execute(
      arguments: [record.definition.id, record.definition.name, try JSONEncoder().encode(record)])
  }

  static func deleteNetwork(_ id: String, _ database: Database) throws {
    let statement = try database.cachedStatement(sql: "DELETE FROM network WHERE id = ?")
    try statement.execute(arguments: [id])
  }

  static func attachments(_ database: Database) throws -> [String: Attachment] {
    let decoder = JSONDecoder()
    var attachments: [String: Attachment] = [:]
    for row in try Row.fetchAll(database, sql: "SELECT instance, record FROM attachment") {
      let (instance, body): (String, Data) = (row[0], row[1])
      attachments[instance] = try decoder.decode(Attachment.self, from: body)
    }
    return attachments
  }

  static func put(_ attachment: Attachment, of instance: String, _ database: Database) throws {
    let statement = try database.cachedStatement(
      sql: "INSERT OR REPLACE INTO attachment (instance, record) VALUES (?, ?)")
    try statement.execute(arguments: [instance, try JSONEncoder().encode(attachment)])
  }

  static func deleteAttachment(of instance: String, _ database: Database) throws {
    let statement = try database.cachedStatement(sql: "DELETE FROM attachment WHERE instance = ?")
    try statement.execute(arguments: [instance])
  }
}
