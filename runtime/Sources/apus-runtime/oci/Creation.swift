import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

/// What `create` and `run` have in common: a bundle becomes a container that waits for its start.
struct Creation {
  static let options: [Option] = [
    Option("bundle", "b", "path to the root of the bundle directory, defaults to the current directory"),
    Option(
      "console-socket", "path to an AF_UNIX socket which will receive the master end of the console's pseudoterminal"),
    Option("pid-file", "specify the file to write the process id to"),
    Option("no-pivot", kind: .flag, "do not use pivot_root: for a root on top of a ramdisk"),
    Option("no-new-keyring", kind: .flag, "do not create a new session keyring for the container"),
    Option("preserve-fds", "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)"),
  ]

  let bundle: Bundle
  let directory: StateDirectory
  let container: Container
  let record: Record

  /// - Parameter detached: nobody stays to be the program's parent, so that a terminal has to be handed to somebody.
  /// - Parameter handsOver: another process than this one will start it.
  init(_ invocation: Invocation, detached: Bool, handsOver: Bool) throws(ApusError) {
    let options = invocation.options
    try StateDirectory.validate(invocation.id)
    let pidFile = try options.value("pid-file").map { path throws(ApusError) in try absolute(path) }
    let consoleSocket = try options.value("console-socket").map { path throws(ApusError) in try absolute(path) }
    bundle = try Bundle(options.value("bundle"))
    guard let process = bundle.spec.process else {
      throw ApusError(.invalidArgument, "config.json is not valid: process is missing")
    }
    try Console.check(terminal: process.terminal, socket: consoleSocket, detached: detached)
    var configuration = ContainerConfiguration(
      id: invocation.id, spec: bundle.spec, streams: Console.streams(process))
    configuration.bundle = bundle.path
    configuration.pivots = !options.has("no-pivot")
    // As every runtime does, whatever the specification leaves open.
    configuration.createWorkingDirectory = true
    configuration.ownKeyring = !options.has("no-new-keyring")
    configuration.cgroupsBelowOwn = true
    if invocation.global.systemdCgroup {
      configuration.systemd = try SystemdPlacement(bundle.spec, id: invocation.id)
    }
    if bundle.spec.linux?.seccomp != nil { configuration.seccompCacheDirectory = invocation.filterCache }
    let preserved = try PreservedDescriptors(options)
    configuration.preservedDescriptors = preserved.count
    configuration.spec.process?.env += preserved.environment

    try Self.checkRights(configuration, rootless: invocation.global.rootless)
    let directory = try StateDirectory(creating: invocation.id, root: invocation.global.root)
    self.directory = directory
    do throws(ApusError) {
      if NotifySocket.isWanted { try NotifySocket.add(to: &configuration.spec, in: directory) }
      (container, record) = try Self.make(&configuration, bundle: bundle, in: directory, handsOver: handsOver)
    } catch {
      try? directory.remove()
      throw error
    }
    do throws(ApusError) {
      if let consoleSocket, let master = container.takeTerminal() {
        try Console.send(master.raw, to: consoleSocket)
      }
      if let pidFile { try Self.writePID(record.pid, to: pidFile) }
    } catch {
      Deletion.end(record, in: directory, hooks: bundle.spec.hooks, log: invocation.log)
      throw error
    }
  }

  private static func make(
    _ configuration: inout ContainerConfiguration, bundle: Bundle, in directory: StateDirectory,
    handsOver: Bool
  ) throws(ApusError) -> (Container, Record) {
    if handsOver {
      configuration.handover = Handover(
        start: try directory.makeFIFO(StateDirectory.startGate).release(),
        report: try directory.makeFIFO(StateDirectory.report).release())
    }
    // The new process has its own.
    defer { if let gates = configuration.handover { for gate in [gates.start, gates.report] { close(gate) } } }
    try directory.note(group: configuration.cgroupPath)
    let hooks = bundle.spec.hooks ?? Hooks()
    var record = Record()
    record.id = configuration.id
    record.bundle = bundle.path
    record.rootfs = bundle.rootfs
    record.created = Timestamp.now()
    record.sharesKeyring = !configuration.ownKeyring
    record.annotations = bundle.spec.annotations
    record.hasHooks = !hooks.poststart.isEmpty || !hooks.poststop.isEmpty
    let early = record
    let files = DirectoryFiles(descriptor: directory.descriptor.raw)
    // Written while the new process sets itself up, which takes longer; and before anything can go wrong that would
    // leave a process whose number nobody knows.
    configuration.whenMade = { (process, made) throws(ApusError) in
      try files.write(early.completed(by: made, process: process), configuration: bundle.json, filter: made.filter)
      // The new process takes longer: this costs nothing.
      clinux_forget_code()
    }
    if !hooks.prestart.isEmpty || !hooks.createRuntime.isEmpty {
      configuration.runtimeHooks = { (process) throws(ApusError) in
        var record = early
        record.pid = process
        let state = record.state(.creating)
        try HookRunner.run(hooks.prestart, kind: "prestart", state: state, directory: bundle.path)
        try HookRunner.run(hooks.createRuntime, kind: "createRuntime", state: state, directory: bundle.path)
      }
    }
    do throws(ApusError) {
      // What has read the configuration is needed no more.
      clinux_forget_code()
      let container = try Container.create(configuration)
      record = try Record(
        json: directory.read(StateDirectory.newStateFile), subject: "The state of \(configuration.id)")
      try directory.rename(StateDirectory.newStateFile, to: StateDirectory.stateFile)
      return (container, record)
    } catch {
      // Also where it was a hook that failed (runtime.md, Lifecycle).
      try? HookRunner.run(hooks.poststop, kind: "poststop", state: early.state(.stopped), directory: bundle.path)
      throw error
    }
  }

  /// An ordinary user has rights in a user namespace only; and containers without control groups where that user may make
  /// none, unless that is not wanted.
  private static func checkRights(_ configuration: ContainerConfiguration, rootless: String) throws(ApusError) {
    guard !UserNamespace.isHostRoot else { return }
    let namespaces = configuration.spec.linux?.namespaces ?? []
    guard geteuid() == 0 || namespaces.contains(where: { $0.type == "user" }) else {
      throw ApusError(
        .permissionDenied,
        "linux.namespaces: who is not root can only have containers with a user namespace; see spec --rootless")
    }
    guard rootless == "false", configuration.systemd == nil else { return }
    guard try Cgroups.driver(toMake: configuration.cgroupPath).version != 0 else {
      throw ApusError(
        .permissionDenied,
        "this user may not make the control group \(configuration.cgroupPath); without --rootless=false the container "
          + "has none")
    }
  }

  /// So that a reader finds either nothing or all of it.
  static func writePID(_ process: pid_t, to path: String) throws(ApusError) {
    try Files.writeAtomically(Array(String(process).utf8), to: path, mode: 0o644)
  }
}

/// Descriptors of the caller that the program gets, from 3 on: those of systemd's socket activation, then others.
struct PreservedDescriptors {
  let count: Int32
  let environment: [String]

  init(_ options: Options) throws(ApusError) {
    let listening = getenv("LISTEN_FDS").flatMap { Int32(String(cString: $0)) } ?? 0
    let more: Int32 = try options.number("preserve-fds") ?? 0
    guard (0...1024).contains(listening), (0...1024).contains(more) else {
      throw ApusError(.invalidArgument, "cannot pass on \(listening) and \(more) descriptors: at most 1024 each")
    }
    count = listening + more
    environment = listening > 0 ? ["LISTEN_FDS=\(listening)", "LISTEN_PID=1"] : []
    for descriptor in 3..<(3 + count) where clinux_fcntl(descriptor, F_GETFD, 0) < 0 {
      throw ApusError(
        .invalidArgument, "cannot pass on descriptor \(descriptor): it is not open; give fewer by --preserve-fds")
    }
  }
}

/// The files of a container being made, written below an open directory that outlives this.
private struct DirectoryFiles: Sendable {
  let descriptor: Int32

  func write(_ record: Record, configuration: [UInt8], filter: [UInt8]) throws(ApusError) {
    try write(configuration, to: StateDirectory.configurationFile)
    if !filter.isEmpty { try write(filter, to: StateDirectory.filterFile) }
    try write(record.json(), to: StateDirectory.newStateFile)
  }

  private func write(_ bytes: [UInt8], to name: String) throws(ApusError) {
    let file = try Files.open(
      at: descriptor, path: name, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600, resolve: [.beneath, .noSymlinks])
    try Files.write(bytes, to: file.raw, name: name)
  }
}

extension Record {
  fileprivate func completed(by made: ContainerRecord, process: pid_t) throws(ApusError) -> Record {
    var record = self
    record.pid = process
    record.startTime = try Processes.startTime(of: process)
    record.cgroupPath = made.cgroupPath
    record.unit = made.systemdUnit
    record.sharesGroup = made.sharesGroup
    record.ownsSharesGroup = made.ownsSharesGroup
    record.namespaces = made.linux.namespaces
    record.filterFlags = made.filterFlags
    record.listenerPath = made.linux.seccomp?.listenerPath ?? ""
    record.listenerMetadata = made.linux.seccomp?.listenerMetadata ?? ""
    return record
  }
}

/// A path that still means the same after a change of the working directory.
func absolute(_ path: String) throws(ApusError) -> String {
  guard !path.hasPrefix("/") else { return path }
  guard let text = getcwd(nil, 0) else { throw ApusError(errno: errno, "cannot find the working directory") }
  defer { free(text) }
  return "\(String(cString: text))/\(path)"
}
