import ArgumentParser
import Errors

/// Rows under headings, each column as wide as its widest cell.
enum Table {
  static func text(headings: [String], rows: [[String]], gap: Int = 3) -> String {
    var widths = headings.map(width)
    for row in rows {
      for (column, cell) in row.enumerated() where column < widths.count {
        widths[column] = max(widths[column], width(cell))
      }
    }
    return ([headings] + rows).map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        line += cell
        if column < row.count - 1 { line += String(repeating: " ", count: widths[column] + gap - width(cell)) }
      }
      return line + "\n"
    }.joined()
  }

  private static func width(_ text: String) -> Int { text.unicodeScalars.count }
}

/// How the user wants an answer shown.
struct FormatOptions: ParsableArguments {
  @Option(
    name: [.customLong("format")],
    help: .init("Show by a Go template, 'table TEMPLATE' or 'json'.", valueName: "template"),
    completion: .list(["json", "table"]))
  var template: String?
  @Flag(help: "Show as JSON.")
  var json = false

  /// The template, `json`, or nil for the usual form.
  var text: String? { json ? "json" : template }
}

/// How a list is shown: as a table, by a template, as JSON, or as ids alone.
struct Listing {
  /// A column: the field of a row, and its heading.
  typealias Column = (field: String, heading: String)

  let columns: [Column]
  /// Headings of fields that are not columns by default.
  var others: [Column] = []

  /// Prints `rows`, objects with Docker's field names.
  ///
  /// - Parameter quiet: the field to show alone.
  func show(_ rows: [JSON], _ options: FormatOptions, quiet: String? = nil) throws {
    if let quiet {
      try Console.print(rows.map { ($0[quiet].string ?? "") + "\n" }.joined())
      return
    }
    var format = options.text ?? "table"
    if format == "json" { format = "{{json .}}" }
    if format == "table" {
      return try Console.print(
        Table.text(
          headings: columns.map(\.heading),
          rows: rows.map { row in columns.map { TemplateEvaluator.text(row[$0.field]) } }))
    }
    if format.hasPrefix("table ") { return try showTable(String(format.dropFirst(6)), rows) }
    let template = try Template(Self.unescape(format))
    for row in rows { try Console.printLine(try TemplateEvaluator.apply(template, to: row, strict: true)) }
  }

  /// `table {{.A}}\t{{.B}}`: cells are divided by tabs.
  private func showTable(_ format: String, _ rows: [JSON]) throws {
    let template = try Template(Self.unescape(format))
    let known = columns + others
    let headings = JSON.object(
      known.map { JSON.Member(key: $0.field, value: .string($0.heading)) }
        + (rows.first?.members ?? []).filter { member in !known.contains { $0.field == member.key } }
        .map { JSON.Member(key: $0.key, value: .string($0.key.uppercased())) })
    func cells(_ value: JSON) throws -> [String] {
      try TemplateEvaluator.apply(template, to: value, strict: !rows.isEmpty)
        .split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    }
    try Console.print(Table.text(headings: try cells(headings), rows: try rows.map(cells)))
  }

  /// Shells pass `\t` and `\n` as two characters.
  static func unescape(_ text: String) -> String {
    var result = ""
    var rest = text[...]
    while let character = rest.popFirst() {
      guard character == "\\", let next = rest.first, next == "t" || next == "n" else {
        result.append(character)
        continue
      }
      rest.removeFirst()
      result.append(next == "t" ? "\t" : "\n")
    }
    return result
  }
}
