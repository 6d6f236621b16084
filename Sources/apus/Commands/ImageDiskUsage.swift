import ArgumentParser
import Errors

struct DiskUsageCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "df", abstract: "Show what takes how much of the disk.")
  static let flags = "verbose v"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Show each image, container and volume.")
  var verbose = false
  @OptionGroup var format: FormatOptions

  func run() throws {
    let usage = try client().request("GET", "/system/df")
    if verbose { return try Self.showAll(usage) }
    let images = usage["ImageUsage"]
    let rows = [
      Self.row(
        "Images", total: images["TotalCount"].int, active: images["ActiveCount"].int, size: images["TotalSize"].int,
        reclaimable: images["Reclaimable"].int),
      Self.row("Containers", usage["Containers"].elements, size: { $0["SizeRw"].int ?? 0 }) {
        ["running", "paused", "restarting"].contains($0["State"].string ?? "")
      },
      Self.row("Local Volumes", usage["Volumes"].elements, size: { max(0, $0["UsageData"]["Size"].int ?? 0) }) {
        ($0["UsageData"]["RefCount"].int ?? 0) > 0
      },
    ]
    try Listing(columns: [
      ("Type", "TYPE"), ("TotalCount", "TOTAL"), ("Active", "ACTIVE"), ("Size", "SIZE"), ("Reclaimable", "RECLAIMABLE"),
    ]).show(rows, format)
  }

  private static func row(
    _ type: String, _ items: [JSON], size: (JSON) -> Int64, isActive: (JSON) -> Bool
  ) -> JSON {
    row(
      type, total: Int64(items.count), active: Int64(items.count(where: isActive)),
      size: items.map(size).reduce(0, +), reclaimable: items.filter { !isActive($0) }.map(size).reduce(0, +))
  }

  private static func row(_ type: String, total: Int64?, active: Int64?, size: Int64?, reclaimable: Int64?) -> JSON {
    let (size, free) = (size ?? 0, reclaimable ?? 0)
    let share = size > 0 ? " (\(free * 100 / size)%)" : ""
    return [
      "Active": .string(String(active ?? 0)), "Reclaimable": .string(Humanize.size(free) + share),
      "Size": .string(Humanize.size(size)), "TotalCount": .string(String(total ?? 0)), "Type": .string(type),
    ]
  }

  private static func showAll(_ usage: JSON) throws {
    let images = usage["Images"].elements.flatMap { ImageRow.rows($0, full: false) }
    let containers = usage["Containers"].elements.map { PsRow.row($0, full: false) }
    func cells(_ rows: [JSON], _ fields: [String]) -> [[String]] {
      rows.map { row in fields.map { TemplateEvaluator.text(row[$0]) } }
    }
    try Console.print("Images space usage:\n\n")
    try Console.print(
      Table.text(
        headings: ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"],
        rows: cells(
          images, ["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"])))
    try Console.print("\nContainers space usage:\n\n")
    try Console.print(
      Table.text(
        headings: ["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"],
        rows: cells(
          containers, ["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"])))
    try Console.print("\nLocal Volumes space usage:\n\n")
    let volumes = usage["Volumes"].elements.map { volume in
      [
        volume["Name"].string ?? "", String(volume["UsageData"]["RefCount"].int ?? 0),
        Humanize.size(max(0, volume["UsageData"]["Size"].int ?? 0)),
      ]
    }
    try Console.print(Table.text(headings: ["VOLUME NAME", "LINKS", "SIZE"], rows: volumes))
  }
}
