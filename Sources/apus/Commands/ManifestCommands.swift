import ArgumentParser
import Errors

struct ManifestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "manifest", abstract: "Manifests, and lists of them for several platforms.",
    discussion: """
      apus manifest inspect debian:12
      apus manifest create registry.example.com/app:1 registry.example.com/app:1-amd64 registry.example.com/app:1-arm64
      apus manifest push registry.example.com/app:1
      """,
    subcommands: [
      ManifestCreateCommand.self, ManifestAnnotateCommand.self, ManifestInspectCommand.self, ManifestPushCommand.self,
      ManifestRmCommand.self,
    ])

  /// A name in full, with its tag or digest.
  static func canonical(_ name: String) -> String {
    let (repository, tag) = ImagePull.split(name)
    return ImagePull.canonical(repository, tag ?? "latest")
  }

  /// A manifest as the daemon finds it at the registry.
  static func fetch(_ name: String, _ client: Client, _ trust: ManifestTrust) throws -> JSON {
    try client.request(
      "GET", Target.path(["apus", "v1", "manifest"], [("reference", name), trust.query]),
      headers: RegistryLogin.headers(for: ImagePull.split(name).name))
  }

  /// The document of a manifest, with its members in their order.
  static func document(_ manifest: JSON) throws -> JSON {
    guard let bytes = manifest["Raw"].string.flatMap(Base64.decode) else {
      throw ExitStatus(status: 1, message: "The manifest \(manifest["Ref"].string ?? "") is not kept whole.")
    }
    return try JSONReader.read(bytes)
  }
}

/// `--insecure`, of the commands that talk to a registry.
struct ManifestTrust: ParsableArguments {
  @Flag(help: "Talk to a registry without TLS, or without a certificate that is trusted.")
  var insecure = false

  var query: (String, String?) { ("insecure", insecure ? "1" : nil) }
}

struct ManifestCreateCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Begin a list of manifests, to be annotated and pushed.")
  static let flags = "amend a insecure"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Add to a list that is there.")
  var amend = false
  @OptionGroup var trust: ManifestTrust
  @Argument(help: .init("Name of the list.", valueName: "list"))
  var list: String
  @Argument(help: .init("Manifests in the same registry.", valueName: "manifest"))
  var manifests: [String]

  func run() throws {
    let store = ManifestStore(list: ManifestCommand.canonical(list))
    if store.exists, !amend {
      throw ExitStatus(
        status: 1, message: "refusing to amend an existing manifest list with no --amend flag")
    }
    let client = try client()
    for name in manifests {
      let manifest = try ManifestCommand.fetch(name, client, trust)
      let document = try ManifestCommand.document(manifest)
      guard document["manifests"].isNull else {
        throw ExitStatus(status: 1, message: "\(name) is a manifest list; a list is made of manifests")
      }
      try store.put(manifest)
    }
    try Console.printLine("Created manifest list \(store.list)")
  }
}

struct ManifestAnnotateCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "annotate", abstract: "Say what a manifest of a list runs on.")

  @OptionGroup var connection: ConnectionOptions
  @Option(help: .init("Architecture.", valueName: "name"))
  var arch: String?
  @Option(help: .init("Operating system.", valueName: "name"))
  var os: String?
  @Option(name: .customLong("os-version"), help: .init("Version of the operating system.", valueName: "text"))
  var osVersion: String?
  @Option(name: .customLong("os-features"), help: .init("Feature of the operating system.", valueName: "name,…"))
  var osFeatures: [String] = []
  @Option(help: .init("Variant of the architecture.", valueName: "name"))
  var variant: String?
  @Argument(help: .init("Name of the list.", valueName: "list"))
  var list: String
  @Argument(help: .init(valueName: "manifest"))
  var manifest: String

  func run() throws {
    let store = ManifestStore(list: ManifestCommand.canonical(list))
    let name = ManifestCommand.canonical(manifest)
    guard store.exists else { throw ManifestStore.unknown(store.list) }
    guard var entry = try store.manifest(name) else {
      throw ExitStatus(status: 1, message: "manifest for image \(manifest) does not exist in \(list)")
    }
    var descriptor = entry["Descriptor"]
    var platform = descriptor["platform"]
    if platform.isNull { platform = [:] }
    for (key, value) in [("architecture", arch), ("os", os), ("os.version", osVersion), ("variant", variant)] {
      if let value { platform[key] = .string(value) }
    }
    if !osFeatures.isEmpty {
      platform["os.features"] = JSON(osFeatures.flatMap { $0.split(separator: ",").map(String.init) })
    }
    descriptor["platform"] = platform
    entry["Descriptor"] = descriptor
    try store.put(entry)
  }
}

struct ManifestInspectCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show a manifest or a list of manifests.",
    discussion: """
      apus manifest inspect debian:12
      apus manifest inspect registry.example.com/app:1 registry.example.com/app:1-arm64
      """)
  static let flags = "verbose v insecure"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Show where it is, its descriptor and its platform too.")
  var verbose = false
  @OptionGroup var trust: ManifestTrust
  @Argument(help: .init("A list in the making, and one of its manifests; or a manifest alone.", valueName: "name"))
  var names: [String]

  func run() throws {
    guard names.count <= 2 else { throw UsageError("Give one manifest, or a list and one of its manifests.") }
    let client = try client()
    if names.count == 2 {
      let store = ManifestStore(list: ManifestCommand.canonical(names[0]))
      guard let entry = try store.manifest(ManifestCommand.canonical(names[1])) else {
        throw ManifestStore.unknown(names[1])
      }
      return try show(entry)
    }
    // A list that is being made is not at the registry yet.
    let store = ManifestStore(list: ManifestCommand.canonical(names[0]))
    if store.exists {
      let entries = try store.manifests()
      if verbose { return try Console.printLine(JSON.array(try entries.map(shown)).text(.indented)) }
      return try Console.printLine(Self.index(entries).text(.indented))
    }
    let entry = try ManifestCommand.fetch(names[0], client, trust)
    let document = try ManifestCommand.document(entry)
    guard verbose, !document["manifests"].isNull else { return try show(entry) }
    let repository = ImagePull.split(names[0]).name
    let children = try document["manifests"].elements.map { child -> JSON in
      var found = try ManifestCommand.fetch("\(repository)@\(child["digest"].string ?? "")", client, trust)
      var descriptor = found["Descriptor"]
      if !child["platform"].isNull { descriptor["platform"] = child["platform"] }
      found["Descriptor"] = descriptor
      return try shown(found)
    }
    try Console.printLine(JSON.array(children).text(.indented))
  }

  private func show(_ entry: JSON) throws {
    try Console.printLine((verbose ? try shown(entry) : try ManifestCommand.document(entry)).text(.indented))
  }

  /// With the document beside its bytes, under the name that docker gives it.
  private func shown(_ entry: JSON) throws -> JSON {
    var entry = entry
    let isDocker = entry["Descriptor"]["mediaType"].string?.contains("docker") == true
    let document = try ManifestCommand.document(entry)
    if document["manifests"].isNull { entry[isDocker ? "SchemaV2Manifest" : "OCIManifest"] = document }
    return entry
  }

  /// The list as a push would make it.
  private static func index(_ entries: [JSON]) -> JSON {
    let isOCI = entries.first?["Descriptor"]["mediaType"].string?.contains("oci") == true
    return [
      "schemaVersion": 2,
      "mediaType": .string(
        isOCI
          ? "application/vnd.oci.image.index.v1+json" : "application/vnd.docker.distribution.manifest.list.v2+json"),
      "manifests": .array(
        entries.map { entry in
          let descriptor = entry["Descriptor"]
          return [
            "mediaType": descriptor["mediaType"], "size": descriptor["size"], "digest": descriptor["digest"],
            "platform": descriptor["platform"],
          ]
        }),
    ]
  }
}

struct ManifestPushCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "push", abstract: "Send a list of manifests to its registry.")
  static let flags = "purge p insecure"

  @OptionGroup var connection: ConnectionOptions
  @Flag(name: .shortAndLong, help: "Forget the list here afterwards.")
  var purge = false
  @OptionGroup var trust: ManifestTrust
  @Argument(help: .init("Name of the list.", valueName: "list"))
  var list: String

  func run() throws {
    let store = ManifestStore(list: ManifestCommand.canonical(list))
    guard store.exists else { throw ManifestStore.unknown(store.list) }
    let entries = try store.manifests().map { entry -> JSON in
      ["Ref": entry["Ref"], "Descriptor": entry["Descriptor"], "Raw": entry["Raw"]]
    }
    let client = try client()
    var digest = ""
    var progress = Progress(output: 1, quiet: false)
    let (_, connection) = try client.open(
      "POST", Target.path(["apus", "v1", "manifest", "push"], [trust.query]),
      headers: RegistryLogin.headers(for: ImagePull.split(list).name),
      body: ["Ref": .string(store.list), "Manifests": .array(entries)])
    try client.lines(of: connection) { message in
      if let text = message["aux"]["Digest"].string { digest = text }
      try progress.show(message)
    }
    try progress.finish()
    try Console.printLine(digest)
    if purge { try store.remove() }
  }
}

struct ManifestRmCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "rm", abstract: "Forget lists of manifests that were not pushed.", aliases: ["remove"])

  @OptionGroup var connection: ConnectionOptions
  @Argument(help: .init(valueName: "list"))
  var lists: [String]

  func run() throws {
    var status: Int32 = 0
    for list in lists {
      do {
        try ManifestStore(list: ManifestCommand.canonical(list)).remove()
      } catch let error as ExitStatus {
        Console.warn("apus: \(error.message ?? "")")
        status = 1
      }
    }
    try ExitStatus.end(status)
  }
}
