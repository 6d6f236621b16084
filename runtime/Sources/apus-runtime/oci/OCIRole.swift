import CLinux
import Container
import Errors
import Glibc
import Linux

/// The OCI runtime's command line: that of runc, so that whatever starts containers by runc can start them by this.
enum OCIRole {
  static let specificationVersion = "1.2.0"
  static let program = "apus-runtime"

  static func run(_ words: [String]) -> Int32 {
    // What the start of a program needs, nothing needs again.
    clinux_forget_code()
    reserveStreams()
    let global: Options
    do throws(UsageError) {
      global = try Options(words, known: GlobalOptions.known)
    } catch {
      return misused(
        error.reason, help: Command.help(program: program, options: GlobalOptions.known), log: .standardError)
    }
    if global.has("version") {
      say("\(program) version \(Roles.version)\nspec: \(specificationVersion)\n")
      return 0
    }
    let verb = global.arguments.first
    guard let verb, verb != "help", verb != "h", !global.has("help") else {
      let command = Command.all.first { $0.name == global.arguments.dropFirst().first }
      say(command?.help(program: program) ?? Command.help(program: program, options: GlobalOptions.known))
      return 0
    }
    do throws(ApusError) {
      let log = try Log(
        path: global.value("log"), format: global.value("log-format") ?? "text", debug: global.has("debug"))
      guard let command = Command.all.first(where: { $0.name == verb }) else {
        return fail("No help topic for '\(verb)'", log: log, status: 3)
      }
      let options = GlobalOptions(
        root: global.value("root") ?? defaultRoot, systemdCgroup: global.has("systemd-cgroup"),
        criu: global.value("criu") ?? "criu", rootless: global.value("rootless") ?? "auto")
      guard ["true", "false", "auto"].contains(options.rootless) else {
        throw ApusError(.invalidArgument, "invalid value \"\(options.rootless)\" for --rootless: true, false or auto")
      }
      return run(command, global.arguments.dropFirst(), options, log)
    } catch {
      return fail(error.message, log: .standardError)
    }
  }

  private static func run(
    _ command: Command, _ words: ArraySlice<String>, _ global: GlobalOptions, _ log: Log
  ) -> Int32 {
    let options: Options
    do throws(UsageError) {
      let help = Option("help", "h", kind: .flag, "show help")
      options = try Options(words, known: command.options + [help], anywhere: command.optionsAnywhere)
      if options.has("help") {
        say(command.help(program: program))
        return 0
      }
      let count = options.arguments.count
      guard count >= command.arguments.lowerBound else {
        throw UsageError(
          reason: "\(program): \"\(command.name)\" requires a minimum of \(command.arguments.lowerBound) argument(s)")
      }
      guard count <= command.arguments.upperBound else {
        throw UsageError(
          reason: "\(program): \"\(command.name)\" requires a maximum of \(command.arguments.upperBound) argument(s)")
      }
    } catch {
      return misused(error.reason, help: command.help(program: program), log: log)
    }
    do throws(ApusError) {
      if command.entersContainers { try OwnExecutable.protect(arguments: CommandLine.arguments) }
      log.write(.debug, "\(command.name) \(options.arguments.first ?? "")")
      return try command.run(Invocation(global: global, log: log, options: options))
    } catch {
      return fail(command.failurePrefix + error.message, log: log, status: command.failureStatus)
    }
  }

  private static func misused(_ reason: String, help: String, log: Log) -> Int32 {
    say("Incorrect Usage: \(reason)\n\n\(help)")
    return fail(reason, log: log)
  }

  private static func fail(_ reason: String, log: Log, status: Int32 = 1) -> Int32 {
    log.write(.error, reason)
    // Whoever reads only standard error learns the reason too.
    if !log.isStandardError { try? Files.write(Array((reason + "\n").utf8), to: 2) }
    return status
  }

  /// Everything opened here would otherwise land in the place of a stream that the caller has closed.
  private static func reserveStreams() {
    for stream: Int32 in 0...2 where clinux_fcntl(stream, F_GETFD, 0) < 0 { _ = open("/dev/null", O_RDWR) }
  }

  private static var defaultRoot: String {
    // Root in a user namespace, started by an engine of an ordinary user, has that user's directory; but not where this
    // is a container's own root.
    let isRoot = getenv("USER").map { String(cString: $0) } == "root"
    let isUser = geteuid() != 0 || !isRoot && !UserNamespace.isHostRoot
    if isUser, let directory = getenv("XDG_RUNTIME_DIR"), directory[0] != 0 {
      return "\(String(cString: directory))/apus-runtime"
    }
    return "/run/apus-runtime"
  }
}

/// To standard output.
func say(_ text: String) { try? Files.write(Array(text.utf8), to: 1) }
