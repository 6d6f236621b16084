import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

extension Command {
  static let restore = Command(
    name: "restore", summary: "restore a container from a previous checkpoint",
    options: CheckpointTool.sharedOptions + [
      Option("bundle", "b", "path to the root of the bundle directory"),
      Option(
        "console-socket", "path to an AF_UNIX socket which will receive the master end of the console's pseudoterminal"),
      Option("detach", "d", kind: .flag, "detach from the container's process"),
      Option("pid-file", "specify the file to write the process id to"),
      Option("no-subreaper", kind: .flag, "disable the use of the subreaper used to reap reparented processes"),
      Option("no-pivot", kind: .flag, "accepted for compatibility: criu decides"),
    ], entersContainers: true
  ) { (invocation) throws(ApusError) in
    let options = invocation.options
    try StateDirectory.validate(invocation.id)
    let criu = try CheckpointTool(invocation.global.criu)
    // Before the bundle becomes the working directory.
    let (shared, images, logs) = try CheckpointTool.shared(options)
    let consoleSocket = try options.value("console-socket").map { path throws(ApusError) in try absolute(path) }
    let pidFile = try options.value("pid-file").map { path throws(ApusError) in try absolute(path) }
    guard Files.exists("\(images)/inventory.img") else {
      throw ApusError(.notFound, "there is no checkpoint in \(images): inventory.img is missing")
    }
    let bundle = try Bundle(options.value("bundle"))
    let isDetached = options.has("detach")
    try Console.check(terminal: bundle.spec.process?.terminal == true, socket: consoleSocket, detached: isDetached)
    // The restored process becomes this one's child, once criu has ended.
    let foreground = isDetached ? nil : try Foreground(isSubreaper: true)
    let directory = try StateDirectory(creating: invocation.id, root: invocation.global.root)
    let record: Record
    // The master of its terminal; -1 without.
    let terminal: Int32
    do throws(ApusError) {
      var configuration = ContainerConfiguration(
        id: invocation.id, spec: bundle.spec, streams: .descriptors(input: 0, output: 1, error: 2))
      configuration.bundle = bundle.path
      configuration.cgroupsBelowOwn = true
      if invocation.global.systemdCgroup {
        configuration.systemd = try SystemdPlacement(bundle.spec, id: invocation.id)
      }
      let restoration = Restoration(configuration: configuration, bundle: bundle, images: images, logs: logs)
      (record, terminal) = try restoration.run(criu, shared, in: directory)
    } catch {
      try? directory.remove()
      throw error
    }
    do throws(ApusError) {
      if let consoleSocket { try Console.send(terminal, to: consoleSocket) }
      if let pidFile { try Creation.writePID(record.pid, to: pidFile) }
    } catch {
      Deletion.end(record, in: directory, hooks: bundle.spec.hooks, log: invocation.log)
      throw error
    }
    guard let foreground else { return 0 }
    directory.unlock()
    let status = try foreground.attend(
      record.pid, terminal: terminal >= 0 ? OwnedDescriptor(owning: terminal) : nil)
    Deletion.end(record, in: directory, hooks: bundle.spec.hooks, log: invocation.log)
    return status
  }
}

/// A checkpoint becomes a container again.
private struct Restoration {
  let configuration: ContainerConfiguration
  let bundle: Bundle
  let images: String
  let logs: String

  func run(_ criu: CheckpointTool, _ shared: [String], in directory: StateDirectory) throws(ApusError) -> (
    record: Record, terminal: Int32
  ) {
    try configuration.validate()
    try directory.note(group: configuration.cgroupPath)
    // criu restores into what is there, and leaves its limits alone.
    let group = try RestoredGroup(configuration)
    do throws(ApusError) {
      let (process, terminal) = try run(criu, shared, group: group.path)
      let record = try adopt(process, group: group.path, in: directory)
      group.release()
      return (record, terminal)
    } catch {
      group.remove()
      throw error
    }
  }

  /// - Returns: the number of the first process, and the master of its terminal, or -1.
  private func run(
    _ criu: CheckpointTool, _ shared: [String], group: String
  ) throws(ApusError) -> (process: pid_t, terminal: Int32) {
    try mountRoot()
    var arguments = shared + ["--root", bundle.rootfs, "--cgroup-root", "/\(group)"]
    for (name, source) in CheckpointTool.externalMounts(bundle.spec, group: group) {
      arguments += ["--external", "mnt[\(name)]:\(source)"]
    }
    // Its own streams only where it is to be found at a terminal: what it and its programs say is in the log.
    let null = try Files.open("/dev/null", flags: O_RDWR)
    var descriptors: [(ours: Int32, theirs: Int32)] = (0...2).map {
      (shared.contains("--shell-job") ? $0 : null.raw, $0)
    }
    for (number, name) in pipes().enumerated() where name.hasPrefix("pipe:") {
      let theirs = Int32(descriptors.count)
      descriptors.append((Int32(number), theirs))
      arguments += ["--inherit-fd", "fd[\(theirs)]:\(name)"]
    }
    var opened: [Int32] = []
    defer { for descriptor in opened { close(descriptor) } }
    for (_, key, path) in CheckpointTool.externalNamespaces(bundle.spec.linux?.namespaces ?? []) {
      opened.append(try Files.open(path, flags: O_RDONLY).release())
      let theirs = Int32(descriptors.count)
      descriptors.append((opened[opened.count - 1], theirs))
      arguments += ["--inherit-fd", "fd[\(theirs)]:\(key)"]
    }
    let failure = ApusError(.internal, "criu failed to restore \(configuration.id): see \(logs)/restore.log")
    if bundle.spec.process?.terminal == true {
      let restored = try? CheckpointService(tool: criu).ask(
        .restore, arguments: arguments, images: images, logs: logs, log: "restore.log", descriptors: descriptors)
      guard let restored, restored.process > 0, let terminal = restored.terminal else { throw failure }
      return (restored.process, terminal)
    }
    let file = "\(logs)/restored.pid"
    _ = unlink(file)
    let verb = [
      "restore", "--restore-detached", "--pidfile", file, "--log-file", "restore.log", "--images-dir", images,
      "--work-dir", logs, "-v4",
    ]
    guard try criu.run(verb + arguments, descriptors: descriptors) == 0 else { throw failure }
    let text = String(decoding: try Files.read(file, limit: 64), as: UTF8.self)
    guard let process = pid_t(text.filter(\.isNumber)), process > 0 else {
      throw ApusError(.internal, "criu does not say which process it has restored")
    }
    return (process, -1)
  }

  /// criu wants the root to be a mount, whose parent gets nothing of what it mounts: in a namespace of this process's
  /// own, which goes with it.
  private func mountRoot() throws(ApusError) {
    try check(clinux_unshare(0x20000), "cannot make a mount namespace")  // CLONE_NEWNS
    try Mounts.setAttributes("/", propagation: .private, recursive: true)
    let root = try Mounts.clone(bundle.rootfs, recursive: true)
    try Mounts.attach(root.raw, bundle.rootfs)
  }

  /// The names of 0, 1 and 2 at the checkpoint; none of them where it was another program's.
  private func pipes() -> [String] {
    guard let bytes = try? Files.read("\(images)/\(CheckpointFiles.descriptors)", limit: 65536) else { return [] }
    return bytes.split(separator: 0, omittingEmptySubsequences: false).prefix(3).map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  private func adopt(_ process: pid_t, group: String, in directory: StateDirectory) throws(ApusError) -> Record {
    var record = Record()
    record.id = configuration.id
    record.bundle = bundle.path
    record.rootfs = bundle.rootfs
    record.created = Timestamp.now()
    record.annotations = bundle.spec.annotations
    let hooks = bundle.spec.hooks ?? Hooks()
    record.hasHooks = !hooks.poststart.isEmpty || !hooks.poststop.isEmpty
    record.pid = process
    record.startTime = try Processes.startTime(of: process)
    record.cgroupPath = group
    record.unit = configuration.systemd?.unit
    record.namespaces = bundle.spec.linux?.namespaces ?? []
    do throws(ApusError) {
      if bundle.spec.linux?.seccomp != nil {
        try directory.write(
          Files.read("\(images)/\(CheckpointFiles.filter)", limit: 1 << 20), to: StateDirectory.filterFile)
      }
      try directory.write(bundle.json, to: StateDirectory.configurationFile)
      try directory.write(record.json(), to: StateDirectory.newStateFile)
      try directory.rename(StateDirectory.newStateFile, to: StateDirectory.stateFile)
    } catch {
      try? Deletion.kill(record)
      throw error
    }
    return record
  }
}
