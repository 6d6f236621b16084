import CLinux
import Container
import Errors
import Linux
import RuntimeSpec

extension Command {
  static let exec = Command(
    name: "exec", summary: "execute new process inside the container",
    usage: "<container-id> <command> [command options]  || -p process.json <container-id>",
    options: [
      Option(
        "console-socket", "path to an AF_UNIX socket which will receive the master end of the console's pseudoterminal"),
      Option("cwd", "current working directory in the container"),
      Option("env", "e", kind: .list, "set environment variables"),
      Option("tty", "t", kind: .flag, "allocate a pseudo-TTY"),
      Option("user", "u", "UID (format: <uid>[:<gid>])"),
      Option("additional-gids", "g", kind: .list, "additional gids"),
      Option("process", "p", "path to the process.json"),
      Option("detach", "d", kind: .flag, "detach from the container's process"),
      Option("pid-file", "specify the file to write the process id to"),
      Option("process-label", "set the asm process label for the process commonly used with selinux"),
      Option("apparmor", "set the apparmor profile for the process"),
      Option("no-new-privs", kind: .flag, "set the no new privileges value for the process"),
      Option("cap", "c", kind: .list, "add a capability to the bounding set for the process"),
      Option("preserve-fds", "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)"),
      Option("cgroup", "run the process in an (existing) sub-cgroup. Format is <cgroup>."),
      Option("ignore-paused", kind: .flag, "allow exec in a paused container"),
    ], arguments: 1...Int.max, optionsAnywhere: false, failureStatus: 255, failurePrefix: "exec failed: ",
    entersContainers: true
  ) { (invocation) throws(ApusError) in
    let options = invocation.options
    let stored = try StoredContainer(invocation.id, root: invocation.global.root)
    switch try stored.status() {
    case .stopped: throw ApusError(.conflict, "cannot exec in a stopped container")
    case .creating: throw ApusError(.conflict, "cannot exec in a container that is being created")
    case .paused where !options.has("ignore-paused"):
      throw ApusError(.conflict, "cannot exec in a paused container (use --ignore-paused to override)")
    default: break
    }
    let isDetached = options.has("detach")
    var process = try ProcessSpec(options, in: stored)
    process.capabilities = process.capabilities?.possible
    let socket = options.value("console-socket")
    try Console.check(terminal: process.terminal, socket: socket, detached: isDetached)
    let preserved = try PreservedDescriptors(options)
    process.env += preserved.environment
    var configuration = ExecConfiguration(process: process, streams: Console.streams(process))
    configuration.preservedDescriptors = preserved.count
    configuration.ownKeyring = !stored.record.sharesKeyring
    configuration.cgroup = options.value("cgroup") ?? ""
    configuration.ignoresPause = options.has("ignore-paused")

    let container = try stored.open()
    let foreground = isDetached ? nil : try Foreground(isSubreaper: true)
    clinux_forget_code()
    var executed = try container.exec(configuration)
    if let path = options.value("pid-file") { try Creation.writePID(executed.process, to: path) }
    let terminal = executed.takeTerminal()
    if let foreground {
      clinux_forget_code()
      return try foreground.attend(executed.process, terminal: terminal)
    }
    if let terminal, let socket { try Console.send(terminal.raw, to: socket) }
    return 0
  }
}

extension ProcessSpec {
  /// That of a file, or the container's own process changed by options.
  fileprivate init(_ options: Options, in stored: StoredContainer) throws(ApusError) {
    if let path = options.value("process") {
      try self.init(json: Files.read(path, limit: 4 << 20), subject: path)
      guard !args.isEmpty else { throw ApusError(.invalidArgument, "\(path) is not valid: args must not be empty") }
      return
    }
    guard options.arguments.count > 1 else {
      throw ApusError(.invalidArgument, "process args cannot be empty")
    }
    guard var process = try stored.configuration().process else {
      throw ApusError(.invalidArgument, "the container has no process whose settings could be used")
    }
    process.args = Array(options.arguments.dropFirst())
    process.terminal = options.has("tty")
    process.consoleSize = nil
    process.oomScoreAdj = nil
    if let directory = options.value("cwd") { process.cwd = directory }
    if let profile = options.value("apparmor") { process.apparmorProfile = profile }
    if let label = options.value("process-label") { process.selinuxLabel = label }
    if options.has("no-new-privs") { process.noNewPrivileges = true }
    process.env += options.list("env")
    if let user = options.value("user") {
      let parts = user.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      process.user.uid = try Self.number(parts[0], of: user)
      if parts.count > 1 { process.user.gid = try Self.number(parts[1], of: user) }
    }
    for group in options.list("additional-gids") {
      process.user.additionalGids.append(try Self.number(group[...], of: group))
    }
    let added = options.list("cap")
    if !added.isEmpty {
      var capabilities = process.capabilities ?? LinuxCapabilities()
      capabilities.bounding += added
      capabilities.effective += added
      capabilities.permitted += added
      // Not inheritable: files' capabilities would give them to whoever executes such a file (CVE-2022-29162).
      process.capabilities = capabilities
    }
    self = process
  }

  /// Digits only: a name is not looked up, because the caller's meaning of it may not be the container's.
  private static func number(_ text: Substring, of whole: String) throws(ApusError) -> UInt32 {
    guard let number = UInt32(text), number != .max, text.first != "+" else {
      throw ApusError(.invalidArgument, "\"\(whole)\" is not a user or group number, as UID or UID:GID")
    }
    return number
  }
}
