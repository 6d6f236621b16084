import ArgumentParser
import Errors

struct PushCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "push", abstract: "Send an image to a registry.",
    discussion: """
      apus push registry.example.com/team/app:1.4
      apus push --all-tags registry.example.com/team/app
      """)
  static let flags = "all-tags a quiet q disable-content-trust"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: [.customShort("a"), .long], help: "Send every tag of the name.")
  var allTags = false
  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false
  @Option(help: .init("Send the image for this platform only.", valueName: "os/arch"))
  var platform: String?
  @Flag(help: .hidden)
  var disableContentTrust = false
  @Argument(help: .init(valueName: "name[:tag]"), completion: .images)
  var name: String

  func run() throws {
    let (repository, tag) = ImagePull.split(name)
    if allTags, tag != nil { throw ExitStatus(status: 1, message: "tag can't be used with --all-tags/-a") }
    if !allTags, tag == nil, !quiet { try Console.printLine("Using default tag: latest") }
    let query = [("tag", allTags ? nil : tag ?? "latest"), ("platform", PlatformQuery.json(platform))]
    var progress = Progress(output: 1, quiet: quiet)
    var notes: [String] = []
    try client().stream(
      "POST", Target.path(["images", repository, "push"], query), headers: RegistryLogin.headers(for: repository)
    ) { message in
      if message["aux"]["manifestPushedInsteadOfIndex"].bool == true {
        let index = message["aux"]["originalIndex"]["digest"].string ?? ""
        let manifest = message["aux"]["selectedManifest"]["digest"].string ?? ""
        notes.append(
          "Not all multiplatform-content is present and only the available single-platform image was pushed\n"
            + "\(index) -> \(manifest)")
      }
      try progress.show(message)
    }
    try progress.finish()
    for note in notes { Console.warn("\n" + note) }
    if quiet { try Console.printLine(ImagePull.canonical(repository, allTags ? nil : tag ?? "latest")) }
  }
}

/// A platform as the API wants it since 1.46.
enum PlatformQuery {
  static func json(_ text: String?) -> String? {
    guard let text, !text.isEmpty else { return nil }
    let parts = text.split(separator: "/", maxSplits: 2).map(String.init)
    guard parts.count > 1 else { return text }
    var platform: JSON = ["os": .string(parts[0]), "architecture": .string(parts[1])]
    if parts.count > 2 { platform["variant"] = .string(parts[2]) }
    return platform.text()
  }
}
