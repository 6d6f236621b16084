import Errors
import Glibc
import Linux
import RuntimeSpec

extension Command {
  static let checkpoint = Command(
    name: "checkpoint", summary: "checkpoint a running container",
    options: CheckpointTool.sharedOptions + [
      Option("parent-path", "path for previous criu image files in pre-dump"),
      Option("leave-running", kind: .flag, "leave the process running after checkpointing"),
      Option(
        "pre-dump", kind: .flag, "dump container's memory information only, leave the container running after this"),
    ]
  ) { (invocation) throws(ApusError) in
    let stored = try StoredContainer(invocation.id, root: invocation.global.root, locked: true)
    let status = try stored.status()
    guard status == .running || status == .paused else {
      throw ApusError(.conflict, "cannot checkpoint a container that is \(status.rawValue)")
    }
    let spec = try stored.configuration()
    let criu = try CheckpointTool(invocation.global.criu)
    let options = invocation.options
    let (shared, images, logs) = try CheckpointTool.shared(options)
    for directory in [images, logs] { try Files.makeDirectories(directory, mode: 0o700) }
    let isPreDump = options.has("pre-dump")
    var arguments = shared + ["--root", stored.record.rootfs, "--evasive-devices"]
    if let directory = options.value("parent-path") { arguments += ["--prev-images-dir", directory] }
    if options.has("parent-path") || isPreDump { arguments.append("--track-mem") }
    if options.has("leave-running") || isPreDump { arguments.append("--leave-running") }
    let freezer = "\(Cgroups.root)/freezer/\(stored.record.cgroupPath)"
    if Files.exists(freezer) { arguments += ["--freeze-cgroup", freezer] }
    for (name, _) in CheckpointTool.externalMounts(spec, group: stored.record.cgroupPath) {
      arguments += ["--external", "mnt[\(name)]:\(name)"]
    }
    for (kind, key, path) in CheckpointTool.externalNamespaces(stored.record.namespaces) {
      let number = try Files.status(Files.open(path, flags: O_RDONLY).raw).st_ino
      arguments += ["--external", "\(kind)[\(number)]:\(key)"]
    }
    try keep(stored, in: images)
    guard try dump(stored.record.pid, criu, arguments, isPreDump: isPreDump, spec, images, logs) else {
      throw ApusError(.internal, "criu failed to checkpoint \(invocation.id): see \(logs)/dump.log")
    }
    if !isPreDump, !options.has("leave-running") {
      let hooks = try stored.hooks()
      try Deletion.kill(stored.record)
      try Deletion.finish(stored.record, in: stored.directory, hooks: hooks, log: invocation.log)
    }
    return 0
  }

  private static func dump(
    _ process: pid_t, _ criu: CheckpointTool, _ arguments: [String], isPreDump: Bool, _ spec: Spec, _ images: String,
    _ logs: String
  ) throws(ApusError) -> Bool {
    guard spec.process?.terminal == true, !isPreDump else {
      let verb = [isPreDump ? "pre-dump" : "dump", "--tree", String(process), "--log-file", "dump.log"]
      return try criu.run(verb + ["--images-dir", images, "--work-dir", logs, "-v4"] + arguments) == 0
    }
    let null = try Files.open("/dev/null", flags: O_RDWR)
    let asked = try? CheckpointService(tool: criu).ask(
      .dump, process: process, arguments: arguments, images: images, logs: logs, log: "dump.log",
      descriptors: (0...2).map { (null.raw, $0) })
    return asked != nil
  }

  private static func keep(_ stored: StoredContainer, in images: String) throws(ApusError) {
    let names = (0...2).map { (try? Files.readLink("/proc/\(stored.record.pid)/fd/\($0)")) ?? "" }
    var bytes: [UInt8] = []
    for name in names { bytes += Array(name.utf8) + [0] }
    try Files.writeAtomically(bytes, to: "\(images)/\(CheckpointFiles.descriptors)", mode: 0o600)
    guard stored.directory.has(StateDirectory.filterFile) else { return }
    try Files.writeAtomically(
      stored.directory.read(StateDirectory.filterFile), to: "\(images)/\(CheckpointFiles.filter)", mode: 0o600)
  }
}
