import Errors
import Linux

/// One verb of the command line.
struct Command: Sendable {
  let name: String
  /// One line for the list of all commands.
  let summary: String
  /// What follows the options.
  var usage = "<container-id>"
  var options: [Option] = []
  /// How many arguments there may be.
  var arguments = 1...1
  /// Options may follow arguments; not where those are another program's command line.
  var optionsAnywhere = true
  /// Of a failure of the command itself, as opposed to its command line.
  var failureStatus: Int32 = 1
  /// Before the reason of a failure.
  var failurePrefix = ""
  /// Whether this program's own file has to be kept from what it starts in a container (CVE-2019-5736).
  var entersContainers = false
  let run: @Sendable (Invocation) throws(ApusError) -> Int32

  static let all: [Command] = [
    .checkpoint, .create, .delete, .events, .exec, .kill, .list, .pause, .ps, .restore, .resume, .run, .spec, .start,
    .state, .update, .features,
  ]

  func help(program: String) -> String {
    var text = "NAME:\n   \(program) \(name) - \(summary)\n\nUSAGE:\n   \(program) \(name) [command options] \(usage)\n"
    if !options.isEmpty { text += "\nOPTIONS:\n" + Self.table(options.map { ($0.usage, $0.help) }) }
    return text
  }

  static func help(program: String, options: [Option]) -> String {
    """
    NAME:
       \(program) - Open Container Initiative runtime

    USAGE:
       \(program) [global options] command [command options] [arguments...]

    VERSION:
       \(Roles.version)
    spec: \(OCIRole.specificationVersion)

    COMMANDS:
    \(table(all.map { ($0.name, $0.summary) } + [("help, h", "Shows a list of commands or help for one command")]))
    GLOBAL OPTIONS:
    \(table(options.map { ($0.usage, $0.help) }))
    """
  }

  private static func table(_ rows: [(String, String)]) -> String {
    let width = (rows.map(\.0.count).max() ?? 0) + 2
    return rows.map { "   \($0.0)\(String(repeating: " ", count: width - $0.0.count))\($0.1)\n" }.joined()
  }
}

/// A command line that has been understood.
struct Invocation: Sendable {
  let global: GlobalOptions
  let log: Log
  let options: Options

  var id: String { options.arguments.first ?? "" }

  /// Where compiled seccomp programs are kept; nil where it cannot be made.
  var filterCache: String? {
    // An id does not begin with a dot.
    let path = "\(global.root)/.seccomp"
    return (try? Files.makeDirectories(path, mode: 0o700)) == nil ? nil : path
  }
}

/// What comes before the verb.
struct GlobalOptions: Sendable {
  var root: String
  var systemdCgroup: Bool
  var criu: String
  /// `true`, `false` or `auto`.
  var rootless = "auto"

  static let known: [Option] = [
    Option("debug", kind: .flag, "enable debug logging"),
    Option("log", "set the log file (default: standard error)"),
    Option("log-format", "set the log format ('text' (default), or 'json')"),
    Option("root", "root directory for storage of container state (this should be located in tmpfs)"),
    Option("criu", "path to the criu binary used for checkpoint and restore (default: \"criu\")"),
    Option("systemd-cgroup", kind: .flag, "enable systemd cgroup support, expects cgroupsPath to be slice:prefix:name"),
    Option("rootless", "ignore cgroup permission errors ('true', 'false', or 'auto') (default: \"auto\")"),
    Option("help", "h", kind: .flag, "show help"),
    Option("version", "v", kind: .flag, "print the version"),
  ]
}
