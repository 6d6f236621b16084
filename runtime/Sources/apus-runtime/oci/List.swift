import Errors
import Glibc
import Linux
import RuntimeSpec

extension Command {
  static let list = Command(
    name: "list", summary: "lists containers started by \(OCIRole.program) with the given root", usage: "",
    options: [
      Option("format", "f", "select one of: table or json (default: \"table\")"),
      Option("quiet", "q", kind: .flag, "display only container IDs"),
    ], arguments: 0...0
  ) { (invocation) throws(ApusError) in
    var overviews: [Overview] = []
    for id in try StateDirectory.ids(root: invocation.global.root) {
      // Deleted meanwhile, or not ours: neither hides the others.
      guard let stored = try? StoredContainer(id, root: invocation.global.root) else { continue }
      overviews.append(try Overview(stored, owner: userName(try stored.directory.owner())))
    }
    if invocation.options.has("quiet") {
      say(overviews.map { $0.record.id + "\n" }.joined())
      return 0
    }
    switch invocation.options.value("format") ?? "table" {
    case "table":
      let rows = overviews.map {
        [$0.record.id, String($0.pid), $0.status.rawValue, $0.record.bundle, $0.record.created, $0.owner]
      }
      say(table([["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]] + rows))
    case "json":
      var writer = JSONWriter()
      if overviews.isEmpty {
        // What Go makes of no list at all.
        say("null")
      } else {
        overviews.write(to: &writer)
        say(String(decoding: writer.bytes, as: UTF8.self))
      }
    case let format: throw ApusError(.invalidArgument, "invalid format option: \(format)")
    }
    return 0
  }

  /// Columns of at least twelve characters with three spaces between them.
  static func table(_ rows: [[String]]) -> String {
    let columns = rows.first?.count ?? 0
    let widths = (0..<columns).map { column in max(12, (rows.map { $0[column].count }.max() ?? 0) + 3) }
    return rows.map { row in
      row.enumerated().map { column, cell in
        column == columns - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
      }.joined() + "\n"
    }.joined()
  }

  private static func userName(_ user: uid_t) -> String {
    guard let passwd = try? UserNames.host() else { return "#\(user)" }
    return passwd[user] ?? "#\(user)"
  }
}

/// Names of the host's users; without NSS, which a static executable has not.
private enum UserNames {
  static func host() throws(ApusError) -> [uid_t: String] {
    var names: [uid_t: String] = [:]
    for line in String(decoding: try Files.read("/etc/passwd", limit: 8 << 20), as: UTF8.self).split(separator: "\n") {
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      if fields.count > 2, let user = uid_t(fields[2]), names[user] == nil { names[user] = String(fields[0]) }
    }
    return names
  }
}
