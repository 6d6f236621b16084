import ArgumentParser

/// The program: its groups and verbs.
struct Apus: ParsableCommand {
  /// The version of this program; the daemon is released with it.
  static let version = "0.1.0"

  static let configuration = CommandConfiguration(
    commandName: "apus", abstract: "Containers and virtual machines: one engine, one command line.",
    discussion: """
      apus image bootstrap debian:12
      apus run -it --rm debian:12 bash
      apus ps -a
      apus logs -f web
      """,
    version: "apus \(version)",
    subcommands: [
      RunCommand.self, CreateCommand.self, ExecCommand.self, PsCommand.self, StartCommand.self, StopCommand.self,
      RestartCommand.self, KillCommand.self, PauseCommand.self, UnpauseCommand.self, RmCommand.self, LogsCommand.self,
      AttachCommand.self, CpCommand.self, DiffCommand.self, ExportCommand.self, CommitCommand.self,
      InspectCommand.self, RenameCommand.self, UpdateCommand.self, PortCommand.self, WaitCommand.self, TopCommand.self,
      StatsCommand.self, EventsCommand.self, ImagesCommand.self, PullCommand.self, PushCommand.self, TagCommand.self,
      RmiCommand.self, SaveCommand.self, LoadCommand.self, ImportCommand.self, HistoryCommand.self, SearchCommand.self,
      LoginCommand.self, LogoutCommand.self, ImageCommand.self, ManifestCommand.self, ContainerCommand.self,
      NetworkCommand.self, VolumeCommand.self, SystemCommand.self,
      RegistryCommand.self, InfoCommand.self, VersionCommand.self, CompletionCommand.self,
    ])

  @Option(
    name: [.customShort("H"), .long],
    help: .init(
      "The daemon's socket; otherwise APUS_HOST, otherwise \(Endpoint.defaultPath).", valueName: "unix://path"))
  var host: String?
}

struct ImageCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "image", abstract: "Images.",
    subcommands: [
      BootstrapCommand.self, ImageLsCommand.self, ImageRmCommand.self, PullCommand.self, PushCommand.self,
      TagCommand.self,
      ImageInspectCommand.self, HistoryCommand.self, SaveCommand.self, LoadCommand.self, ImportCommand.self,
      ImagePruneCommand.self,
    ])
}

struct ContainerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "container", abstract: "Containers.",
    subcommands: [
      RunCommand.self, CreateCommand.self, ExecCommand.self, ContainerLsCommand.self, StartCommand.self,
      StopCommand.self,
      RestartCommand.self, KillCommand.self, PauseCommand.self, UnpauseCommand.self, RmCommand.self, LogsCommand.self,
      AttachCommand.self, CpCommand.self, DiffCommand.self, ExportCommand.self, CommitCommand.self,
      ContainerInspectCommand.self, RenameCommand.self, UpdateCommand.self, PortCommand.self, WaitCommand.self,
      TopCommand.self,
      StatsCommand.self, ContainerPruneCommand.self,
    ])
}

struct SystemCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "system", abstract: "The daemon and its host.",
    subcommands: [DiskUsageCommand.self, InfoCommand.self, EventsCommand.self, SystemPruneCommand.self])
}
