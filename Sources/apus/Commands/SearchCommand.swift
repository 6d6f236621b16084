import ArgumentParser
import Errors

struct SearchCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "search", abstract: "Look for images in a registry.",
    discussion: """
      apus search debian
      apus search registry.example.com/team
      """)
  static let flags = "no-trunc"

  @OptionGroup var connection: ConnectionOptions
  @Option(
    name: .shortAndLong, help: .init("Show those that match: is-official, stars.", valueName: "key=value"))
  var filter: [String] = []
  @Option(help: .init("How many to show, at most 100.", valueName: "number"))
  var limit: Int?
  @Flag(help: "Do not shorten.")
  var noTrunc = false
  @OptionGroup var format: FormatOptions
  @Argument(help: .init(valueName: "term"))
  var term: String

  func run() throws {
    let query = [("term", term), ("limit", limit.map(String.init)), ("filters", try Target.filters(filter))]
    let found = try client().request(
      "GET", Target.path(["images", "search"], query), headers: RegistryLogin.headers(for: term))
    let rows = found.elements.map { result -> JSON in
      let text = String((result["description"].string ?? "").map { $0.isNewline || $0 == "\t" ? " " : $0 })
      return [
        "Description": .string(noTrunc ? text : Humanize.ellipsis(text, 45)),
        "IsAutomated": .string(result["is_automated"].bool == true ? "[OK]" : ""),
        "IsOfficial": .string(result["is_official"].bool == true ? "[OK]" : ""),
        "Name": result["name"],
        "StarCount": .string(String(result["star_count"].int ?? 0)),
      ]
    }
    try Listing(
      columns: [
        ("Name", "NAME"), ("Description", "DESCRIPTION"), ("StarCount", "STARS"), ("IsOfficial", "OFFICIAL"),
      ], others: [("IsAutomated", "AUTOMATED")]
    ).show(rows, format)
  }
}
