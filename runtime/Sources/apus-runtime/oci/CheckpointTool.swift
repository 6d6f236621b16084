import Errors
import Glibc
import Linux
import RuntimeSpec

/// criu(8), the external program that takes processes apart and puts them together again.
struct CheckpointTool {
  let path: String

  /// Throws unsupported where there is none that works on this kernel.
  init(_ name: String) throws(ApusError) {
    let search = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
    let candidates = name.contains("/") ? [name] : search.split(separator: ":").map { "\($0)/\(name)" }
    guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
      throw ApusError(
        .unsupported, "checkpoint and restore need the program criu, which is not installed; name another by --criu")
    }
    path = found
    guard try run(["check"]) == 0 else {
      throw ApusError(
        .unsupported, "\(found) does not work on this host's kernel: \"criu check\" says why; install a newer one")
    }
  }

  /// Its exit code. It writes a log, so what it says is dropped.
  /// - Parameter descriptors: what it gets as 0, 1 and 2; nil is the null device.
  func run(_ arguments: [String], descriptors: [(ours: Int32, theirs: Int32)]? = nil) throws(ApusError) -> Int32 {
    let null = try Files.open("/dev/null", flags: O_RDWR)
    let process = try start(
      arguments, descriptors: descriptors ?? [(null.raw, 0), (null.raw, 1), (null.raw, 2)])
    return try Processes.wait(for: process)?.code ?? 1
  }

  func start(_ arguments: [String], descriptors: [(ours: Int32, theirs: Int32)]) throws(ApusError) -> pid_t {
    try Spawn.process(
      path, arguments: [path] + arguments, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
      descriptors: descriptors, newSession: false)
  }

  /// Options that mean the same at both ends, and that criu has under the same name.
  static let sharedOptions: [Option] = [
    Option("image-path", "path for criu image files"),
    Option("work-path", "path for saving work files and logs"),
    Option("tcp-established", kind: .flag, "allow open tcp connections"),
    Option("ext-unix-sk", kind: .flag, "allow external unix sockets"),
    Option("shell-job", kind: .flag, "allow shell jobs"),
    Option("file-locks", kind: .flag, "handle file locks, for safety"),
    Option("manage-cgroups-mode", "cgroups mode: 'soft' (default), 'full', 'strict' and 'ignore'"),
    Option("empty-ns", kind: .list, "create a namespace, but don't restore its properties"),
    Option("auto-dedup", kind: .flag, "enable auto deduplication of memory images"),
  ]

  /// Those of `sharedOptions` that are given, and the directories, which have to exist.
  static func shared(_ options: Options) throws(ApusError) -> (arguments: [String], images: String, logs: String) {
    let images = try absolute(options.value("image-path") ?? "checkpoint")
    let logs = try options.value("work-path").map { path throws(ApusError) in try absolute(path) } ?? images
    var arguments: [String] = []
    let mode = options.value("manage-cgroups-mode") ?? "soft"
    guard ["soft", "full", "strict", "ignore"].contains(mode) else {
      throw ApusError(.invalidArgument, "Invalid manage-cgroups-mode value: \"\(mode)\"")
    }
    arguments.append("--manage-cgroups=\(mode)")
    for name in ["tcp-established", "ext-unix-sk", "shell-job", "file-locks", "auto-dedup"] where options.has(name) {
      arguments.append("--\(name)")
    }
    for kind in options.list("empty-ns") {
      guard kind == "network" else { throw ApusError(.unsupported, "namespace \(kind) is not supported") }
      arguments += ["--empty-ns", "net"]
    }
    return (arguments, images, logs)
  }

  /// What is mounted in a container and comes from outside, which criu takes note of at one end and is shown at the
  /// other: pairs of a path in the container and one of the host.
  /// - Parameter group: the path of the control group.
  static func externalMounts(_ spec: Spec, group: String) -> [(name: String, source: String)] {
    var mounts: [(String, String)] = []
    for mount in spec.mounts {
      if mount.type == "bind" || mount.options.contains("bind") || mount.options.contains("rbind") {
        mounts.append((mount.destination, mount.source))
      } else if mount.type == "cgroup" || mount.type == "cgroup2" {
        guard !Files.exists("\(Cgroups.root)/cgroup.controllers") else {
          mounts.append((mount.destination, "\(Cgroups.root)/\(group)"))
          continue
        }
        for hierarchy in hierarchies()
        where Files.exists("\(Cgroups.root)/\(hierarchy)/\(group)") {
          mounts.append(("\(mount.destination)/\(hierarchy)", "\(Cgroups.root)/\(hierarchy)/\(group)"))
        }
      }
    }
    return mounts
  }

  private static func hierarchies() -> [String] {
    guard let root = try? Files.open(Cgroups.root, flags: O_RDONLY | O_DIRECTORY) else { return [] }
    return ((try? Files.entries(of: root.raw)) ?? []).map(\.name).filter { $0 != "unified" }.sorted()
  }

  /// Network and process namespaces that the container has joined, which criu is not to take apart.
  static func externalNamespaces(_ namespaces: [LinuxNamespace]) -> [(kind: String, key: String, path: String)] {
    namespaces.compactMap { namespace in
      switch (namespace.type, namespace.path) {
      case (_, ""): nil
      case ("network", let path): ("net", "extRootNetNS", path)
      case ("pid", let path): ("pid", "extRootPidNS", path)
      default: nil
      }
    }
  }
}

/// What is kept beside criu's images for the container to be one again.
enum CheckpointFiles {
  /// What the first process had as 0, 1 and 2: names as /proc/PID/fd shows them, each with a NUL behind.
  static let descriptors = "descriptors"
  /// Its compiled filter, for what will be executed in the container. Whoever can change it can change the processes.
  static let filter = "seccomp.bpf"
}
