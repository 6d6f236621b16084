import Errors
import Glibc
import Linux

/// Checkpoints by criu, an external program (criu(8)).
enum CheckpointTool {
  /// Where it is; throws unsupported where there is none that works on this kernel.
  static func find(_ name: String) throws(ApusError) -> String {
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
    let candidates = name.contains("/") ? [name] : path.split(separator: ":").map { "\($0)/\(name)" }
    guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
      throw ApusError(
        .unsupported, "checkpoint and restore need the program criu, which is not installed; name another by --criu")
    }
    guard try run(found, ["check"]) == 0 else {
      throw ApusError(
        .unsupported, "\(found) does not work on this host's kernel: \"criu check\" says why; install a newer one")
    }
    return found
  }

  /// Its exit code; what it says is dropped, because it writes a log.
  static func run(_ program: String, _ arguments: [String]) throws(ApusError) -> Int32 {
    let null = try Files.open("/dev/null", flags: O_RDWR)
    let process = try Spawn.process(
      program, arguments: [program] + arguments, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
      descriptors: [(null.raw, 0), (null.raw, 1), (null.raw, 2)], newSession: false)
    return try Processes.wait(for: process)?.code ?? 1
  }
}

extension Command {
  static let checkpoint = Command(
    name: "checkpoint", summary: "checkpoint a running container",
    options: [
      Option("image-path", "path for saving criu image files"),
      Option("work-path", "path for saving work files and logs"),
      Option("parent-path", "path for previous criu image files in pre-dump"),
      Option("leave-running", kind: .flag, "leave the process running after checkpointing"),
      Option("tcp-established", kind: .flag, "allow open tcp connections"),
      Option("ext-unix-sk", kind: .flag, "allow external unix sockets"),
      Option("shell-job", kind: .flag, "allow shell jobs"),
      Option("file-locks", kind: .flag, "handle file locks, for safety"),
      Option(
        "pre-dump", kind: .flag, "dump container's memory information only, leave the container running after this"),
      Option("manage-cgroups-mode", "cgroups mode: 'soft' (default), 'full' and 'strict'"),
      Option("auto-dedup", kind: .flag, "enable auto deduplication of memory images"),
    ]
  ) { (invocation) throws(ApusError) in
    let stored = try StoredContainer(invocation.id, root: invocation.global.root, locked: true)
    let status = try stored.status()
    guard status == .running || status == .paused else {
      throw ApusError(.conflict, "cannot checkpoint a container that is \(status.rawValue)")
    }
    let criu = try CheckpointTool.find(invocation.global.criu)
    let options = invocation.options
    let images = options.value("image-path") ?? "checkpoint"
    try Files.makeDirectories(images, mode: 0o700)
    let isPreDump = options.has("pre-dump")
    var arguments = [
      isPreDump ? "pre-dump" : "dump", "--tree", String(stored.record.pid), "--images-dir", images, "--log-file",
      "dump.log", "--root", stored.record.rootfs, "--manage-cgroups=\(options.value("manage-cgroups-mode") ?? "soft")",
    ]
    if let directory = options.value("work-path") { arguments += ["--work-dir", directory] }
    if let directory = options.value("parent-path") { arguments += ["--prev-images-dir", directory, "--track-mem"] }
    for name in ["leave-running", "tcp-established", "ext-unix-sk", "shell-job", "file-locks", "auto-dedup"]
    where options.has(name) { arguments.append("--\(name)") }
    for mount in try stored.configuration().mounts where mount.type == "bind" || mount.options.contains("bind") {
      arguments += ["--external", "mnt[\(mount.destination)]:\(mount.destination)"]
    }
    guard try CheckpointTool.run(criu, arguments) == 0 else {
      throw ApusError(.internal, "criu failed to checkpoint: see dump.log in \(options.value("work-path") ?? images)")
    }
    if !isPreDump, !options.has("leave-running") {
      let hooks = try stored.hooks()
      try Deletion.kill(stored.record)
      try Deletion.finish(stored.record, in: stored.directory, hooks: hooks, log: invocation.log)
    }
    return 0
  }
}
