import ArgumentParser
import Errors

struct ImagesCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "images", abstract: "List images.",
    discussion: """
      apus images
      apus images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
      """)
  static let flags = ImagesOptions.flags

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: ImagesOptions

  func run() throws { try options.run(client()) }
}

/// `images` by the name it has among its kind.
struct ImageLsCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "ls", abstract: "List images.", aliases: ["list"])
  static let flags = ImagesOptions.flags

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: ImagesOptions

  func run() throws { try options.run(client()) }
}

struct ImagesOptions: ParsableArguments {
  static let flags = "all a quiet q no-trunc digests"

  @Flag(name: .shortAndLong, help: "Show intermediate images too.")
  var all = false
  @Flag(name: .shortAndLong, help: "Show ids only.")
  var quiet = false
  @Flag(help: "Do not shorten.")
  var noTrunc = false
  @Flag(help: "Show digests.")
  var digests = false
  @Option(
    name: .shortAndLong,
    help: .init("Show those that match: reference, label, dangling, before, since, until.", valueName: "key=value"))
  var filter: [String] = []
  @OptionGroup var format: FormatOptions
  @Argument(help: .init("Only images of this name.", valueName: "name"), completion: .images)
  var name: String?

  func run(_ client: Client) throws {
    let filters = filter + (name.map { ["reference=\($0)"] } ?? [])
    let query = [
      ("all", Target.flag(all)), ("filters", try Target.filters(filters)), ("digests", Target.flag(digests)),
    ]
    let images = try client.request("GET", Target.path(["images", "json"], query))
    var rows = images.elements.flatMap { ImageRow.rows($0, full: noTrunc) }
    if quiet {
      // One image under three names is one id.
      var seen: Set<String> = []
      rows = rows.filter { seen.insert($0["ID"].string ?? "").inserted }
    }
    try ImageRow.listing(digests: digests).show(rows, format, quiet: quiet && format.text == nil ? "ID" : nil)
  }
}

struct RmiCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "rmi", abstract: "Remove images.")
  static let flags = RmiOptions.flags

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: RmiOptions

  func run() throws { try options.run(client()) }
}

/// `rmi` by the name it has among its kind.
struct ImageRmCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "rm", abstract: "Remove images.", aliases: ["remove"])
  static let flags = RmiOptions.flags

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: RmiOptions

  func run() throws { try options.run(client()) }
}

struct RmiOptions: ParsableArguments {
  static let flags = "force f no-prune"

  @Flag(name: .shortAndLong, help: "Remove it though it has other names or a stopped container uses it.")
  var force = false
  @Flag(help: "Keep untagged parents.")
  var noPrune = false
  @Argument(help: .init(valueName: "image"), completion: .images)
  var names: [String]

  func run(_ client: Client) throws {
    // One after another: two names of one image in one command are an order, not a race.
    var status: Int32 = 0
    for name in names {
      do {
        let answer = try client.request(
          "DELETE",
          Target.path(["images", name], [("force", Target.flag(force)), ("noprune", Target.flag(noPrune))]))
        try Console.print(
          answer.elements.map { entry in
            entry["Untagged"].string.map { "Untagged: \($0)\n" } ?? "Deleted: \(entry["Deleted"].string ?? "")\n"
          }.joined())
      } catch let failure as APIFailure {
        if force, failure.status == 404 { continue }
        Console.warn("apus: " + Failure.sentence(failure))
        status = 1
      }
    }
    try ExitStatus.end(status)
  }
}

struct TagCommand: Verb {
  static let configuration = CommandConfiguration(commandName: "tag", abstract: "Give an image another name.")

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init(valueName: "image"), completion: .images)
  var image: String
  @Argument(help: .init(valueName: "name[:tag]"))
  var name: String

  func run() throws {
    let (repository, tag) = ImagePull.split(name)
    try client().request(
      "POST", Target.path(["images", image, "tag"], [("repo", repository), ("tag", tag ?? "latest")]))
  }
}

struct PullCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "pull", abstract: "Fetch an image from a registry.",
    discussion: """
      apus pull debian:12
      apus pull registry.example.com:5000/team/app@sha256:…
      """)
  static let flags = "all-tags a quiet q disable-content-trust"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: [.customShort("a"), .long], help: "Fetch every tag of the name.")
  var allTags = false
  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false
  @Option(help: .init("Platform to fetch.", valueName: "os/arch"))
  var platform: String?
  @Flag(help: .hidden)
  var disableContentTrust = false
  @Argument(help: .init(valueName: "name[:tag|@digest]"))
  var name: String

  func run() throws {
    let (repository, tag) = ImagePull.split(name)
    if allTags, tag != nil { throw ExitStatus(status: 1, message: "tag can't be used with --all-tags/-a") }
    if !allTags, tag == nil, !quiet { try Console.printLine("Using default tag: latest") }
    try ImagePull(client: client(), reference: name, platform: platform, allTags: allTags).run(quiet: quiet, output: 1)
    try Console.printLine(ImagePull.canonical(repository, allTags ? nil : tag ?? "latest"))
  }
}

struct HistoryCommand: Verb {
  static let configuration = CommandConfiguration(commandName: "history", abstract: "Show how an image was made.")
  static let flags = "quiet q no-trunc human H"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Show ids only.")
  var quiet = false
  @Flag(help: "Do not shorten.")
  var noTrunc = false
  @Flag(name: [.customShort("H"), .long], inversion: .prefixedNo, help: "Show sizes and times as people read them.")
  var human = true
  @OptionGroup var format: FormatOptions
  @Argument(help: .init(valueName: "image"), completion: .images)
  var name: String

  func run() throws {
    let history = try client().request("GET", Target.path(["images", name, "history"]))
    let rows = history.elements.map { entry -> JSON in
      let created = entry["Created"].int ?? 0
      let size = entry["Size"].int ?? 0
      let id = entry["Id"].string ?? ""
      let by = (entry["CreatedBy"].string ?? "").replacingTabs()
      return [
        "Comment": entry["Comment"], "CreatedAt": .string(Timestamp.local(created)),
        "CreatedBy": .string(noTrunc ? by : Humanize.ellipsis(by, 45)),
        "CreatedSince": .string(human ? Humanize.ago(created) : Timestamp.local(created)),
        "ID": .string(noTrunc ? id : Humanize.shortID(id)),
        "Size": .string(human ? Humanize.size(size) : String(size)),
      ]
    }
    try Listing(columns: [
      ("ID", "IMAGE"), ("CreatedSince", "CREATED"), ("CreatedBy", "CREATED BY"), ("Size", "SIZE"),
      ("Comment", "COMMENT"),
    ]).show(rows, format, quiet: quiet && format.text == nil ? "ID" : nil)
  }
}

struct ImagePruneCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "prune", abstract: "Remove images that nothing uses.")
  static let flags = "all a force f"

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: PruneOptions
  @Flag(name: .shortAndLong, help: "Remove all that no container uses, not only those without a name.")
  var all = false

  func run() throws {
    let what = all ? "every image that no container uses" : "every image without a name"
    try options.confirm("This removes \(what).")
    let filters = ["dangling=\(!all)"] + options.filter
    let answer = try client().request(
      "POST", Target.path(["images", "prune"], [("filters", try Target.filters(filters))]))
    try PruneOptions.report(answer, list: "ImagesDeleted", title: "Deleted images")
  }
}

extension String {
  fileprivate func replacingTabs() -> String { String(map { $0 == "\t" ? " " : $0 }) }
}

/// A line of `images`.
enum ImageRow {
  static func listing(digests: Bool) -> Listing {
    Listing(
      columns: [("Repository", "REPOSITORY"), ("Tag", "TAG")] + (digests ? [("Digest", "DIGEST")] : [])
        + [("ID", "IMAGE ID"), ("CreatedSince", "CREATED"), ("Size", "SIZE")],
      others: [("CreatedAt", "CREATED AT"), ("Digest", "DIGEST")])
  }

  static func rows(_ image: JSON, full: Bool) -> [JSON] {
    let id = image["Id"].string ?? ""
    let created = image["Created"].int ?? 0
    let digests = image["RepoDigests"].strings
    let size = image["Size"].int ?? 0
    let shared = image["SharedSize"].int ?? -1
    var names = image["RepoTags"].strings.filter { $0 != "<none>:<none>" }
    if names.isEmpty { names = [digests.first.map { ImagePull.split($0).name + ":<none>" } ?? "<none>:<none>"] }
    return names.map { name in
      let (repository, tag) = ImagePull.split(name)
      let digest = digests.first { $0.hasPrefix(repository + "@") }.map { String($0.dropFirst(repository.count + 1)) }
      let containers = image["Containers"].int ?? -1
      return [
        "Containers": .string(containers < 0 ? "N/A" : String(containers)),
        "CreatedAt": .string(Timestamp.local(created)),
        "CreatedSince": .string(Humanize.ago(created)),
        "Digest": .string(digest ?? "<none>"),
        "ID": .string(full ? id : Humanize.shortID(id)),
        "Repository": .string(repository),
        "SharedSize": .string(shared < 0 ? "N/A" : Humanize.size(shared)),
        "Size": .string(Humanize.size(size)),
        "Tag": .string(tag ?? "<none>"),
        "UniqueSize": .string(shared < 0 ? "N/A" : Humanize.size(size - shared)),
      ]
    }
  }
}
