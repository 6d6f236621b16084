import ArgumentParser
import Errors

struct VersionCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Show the versions of this program and of the daemon.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: InspectOptions

  func run() throws {
    let client: JSON = [
      "Version": .string(Apus.version), "Os": "linux", "Arch": .string(Self.architecture),
    ]
    let own = "Client:\n Version:      \(Apus.version)\n OS/Arch:      linux/\(Self.architecture)\n"
    let server: JSON
    do {
      server = try self.client().request("GET", "/version")
    } catch {
      // The client's half is worth showing even so.
      if options.format == nil, !options.json { try Console.print(own) }
      throw error
    }
    if try options.show(["Client": client, "Server": server]) { return }
    func text(_ key: String) -> String { server[key].string ?? "unknown" }
    try Console.print(
      own + """

        Server:
         Name:         \(server["Platform"]["Name"].string ?? "unknown")
         Version:      \(text("Version"))
         API version:  \(text("ApiVersion")) (minimum \(text("MinAPIVersion")))
         OS/Arch:      \(text("Os"))/\(text("Arch"))
         Kernel:       \(text("KernelVersion"))

        """)
  }

  private static var architecture: String {
    #if arch(arm64)
      "arm64"
    #else
      "amd64"
    #endif
  }
}

extension InspectOptions {
  /// Shows one value when a form was asked for.
  func show(_ value: JSON) throws -> Bool {
    guard let format = json ? "json" : format else { return false }
    if format == "json" {
      try Console.printLine(value.text())
    } else {
      try Console.printLine(try TemplateEvaluator.apply(try Template(Listing.unescape(format)), to: value))
    }
    return true
  }
}

struct InfoCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "Show the state of the daemon and its host.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: InspectOptions

  func run() throws {
    let info = try client().request("GET", "/info")
    if try options.show(info) { return }
    func text(_ key: String) -> String { TemplateEvaluator.text(info[key]) }
    var lines = [
      "Containers: \(text("Containers"))", " Running: \(text("ContainersRunning"))",
      " Paused: \(text("ContainersPaused"))", " Stopped: \(text("ContainersStopped"))", "Images: \(text("Images"))",
      "Server Version: \(text("ServerVersion"))", "Storage Driver: \(text("Driver"))",
    ]
    for pair in info["DriverStatus"].elements {
      lines.append(" \(pair.strings.first ?? ""): \(pair.strings.dropFirst().joined(separator: " "))")
    }
    lines += [
      "Logging Driver: \(text("LoggingDriver"))", "Cgroup Driver: \(text("CgroupDriver"))",
      "Cgroup Version: \(text("CgroupVersion"))", "Default Runtime: \(text("DefaultRuntime"))",
      "Security Options: \(info["SecurityOptions"].strings.joined(separator: ", "))",
      "Kernel Version: \(text("KernelVersion"))", "Operating System: \(text("OperatingSystem"))",
      "OSType: \(text("OSType"))", "Architecture: \(text("Architecture"))", "CPUs: \(text("NCPU"))",
      "Total Memory: \(Humanize.binarySize(info["MemTotal"].int ?? 0))", "Name: \(text("Name"))",
      "Root Dir: \(text("DockerRootDir"))",
    ]
    try Console.print(lines.map { $0 + "\n" }.joined())
    for warning in info["Warnings"].strings { Console.warn(warning) }
  }

}

struct ContainerPruneCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "prune", abstract: "Remove every stopped container.")
  static let flags = "force f"

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: PruneOptions

  func run() throws {
    try options.confirm("This removes every stopped container.")
    let answer = try client().request(
      "POST", Target.path(["containers", "prune"], [("filters", try Target.filters(options.filter))]))
    try PruneOptions.report(answer, list: "ContainersDeleted", title: "Deleted containers")
  }
}

struct SystemPruneCommand: Verb {
  static let configuration = CommandConfiguration(commandName: "prune", abstract: "Remove what nothing uses.")
  static let flags = "all a volumes force f"

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var options: PruneOptions
  @Flag(name: .shortAndLong, help: "Remove every image that no container uses, not only those without a name.")
  var all = false
  @Flag(help: "Remove anonymous volumes too.")
  var volumes = false

  func run() throws {
    let what =
      ["every stopped container", "every network that no container is in"]
      + [all ? "every image that no container uses" : "every image without a name"]
      + (volumes ? ["every anonymous volume that no container uses"] : [])
    try options.confirm("This removes \(what.joined(separator: ", ")).")
    let client = try client()
    let steps: [(kind: String, extra: [String], list: String, title: String)] =
      [
        ("containers", [], "ContainersDeleted", "Deleted containers"),
        ("networks", [], "NetworksDeleted", "Deleted networks"),
      ]
      + (volumes ? [("volumes", [], "VolumesDeleted", "Deleted volumes")] : [])
      + [("images", ["dangling=\(!all)"], "ImagesDeleted", "Deleted images")]
    var reclaimed: Int64 = 0
    for step in steps {
      let filters = try Target.filters(step.extra + options.filter)
      let answer = try client.request("POST", Target.path([step.kind, "prune"], [("filters", filters)]))
      reclaimed += answer["SpaceReclaimed"].int ?? 0
      try PruneOptions.show(answer, list: step.list, title: step.title)
    }
    try Console.printLine("Total reclaimed space: \(Humanize.size(reclaimed))")
  }
}
