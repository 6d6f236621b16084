import Errors
import RuntimeSpec

/// What is mounted in a sandbox, in the order in which it must be.
struct SandboxMounts {
  var list: [MountSpec] = []
  /// Of the root, where a volume's propagation needs one: `shared`, `slave`, or empty.
  var rootPropagation = ""

  init(record: InstanceRecord, namespaces: SandboxNamespaces, context: SandboxContext) {
    let configuration = record.configuration
    let asked = Dictionary(configuration.mounts.map { (cleanPath($0.target), $0) }, uniquingKeysWith: { $1 })
    let own = Set(record.mounts.map(\.target))

    for mount in Self.standard(configuration, namespaces: namespaces) {
      if own.contains(mount.destination) { continue }
      // Whoever brings a /dev brings all of it.
      if mount.destination.hasPrefix("/dev/"), own.contains("/dev") { continue }
      list.append(mount)
    }

    var further: [MountSpec] = []
    for mount in record.mounts {
      let configured = asked[mount.target]
      if mount.kind == .tmpfs {
        let options = TmpfsOptions.merged(configured ?? MountConfiguration(.tmpfs, target: mount.target))
        further.append(MountSpec(destination: mount.target, type: "tmpfs", source: "tmpfs", options: options))
        continue
      }
      further.append(MountSpec(bind: mount, nonRecursive: configured?.nonRecursive ?? false))
      if mount.propagation.hasSuffix("shared") {
        rootPropagation = "shared"
      } else if mount.propagation.hasSuffix("slave"), rootPropagation.isEmpty {
        rootPropagation = "slave"
      }
    }
    further += Self.generated(configuration, namespaces: namespaces, context: context).filter {
      !own.contains($0.destination)
    }
    // What is mounted first must not hide under what comes later.
    func depth(_ path: String) -> Int { path.utf8.reduce(0) { $1 == UInt8(ascii: "/") ? $0 + 1 : $0 } }
    list += further.map { ($0, depth($0.destination)) }.sorted { $0.1 < $1.1 }.map(\.0)

    if configuration.security.readOnlyRoot {
      // Docker's exceptions: what software needs to be able to write to at all.
      let writable: Set<String> = ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"]
      for index in list.indices
      where !writable.contains(list[index].destination) && !own.contains(list[index].destination)
        && !list[index].options.contains("ro")
      {
        list[index].options.removeAll { $0 == "rw" }
        list[index].options.append("ro")
      }
    }
  }

  private static func standard(
    _ configuration: InstanceConfiguration, namespaces: SandboxNamespaces
  ) -> [MountSpec] {
    let access = configuration.security.privileged ? "rw" : "ro"
    var mounts = [
      MountSpec(destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]),
      MountSpec(
        destination: "/dev", type: "tmpfs", source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
      MountSpec(
        destination: "/dev/pts", type: "devpts", source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
      MountSpec(
        destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", access]),
      MountSpec(
        destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup",
        options: [access, "nosuid", "noexec", "nodev"]),
      MountSpec(
        destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]),
    ]
    if let source = namespaces.sharedMemory {
      mounts.append(
        MountSpec(destination: "/dev/shm", type: "bind", source: source, options: ["rbind", "rprivate"]))
    } else if namespaces.hasSharedMemory {
      let size = configuration.shmSize.flatMap { $0 > 0 ? $0 : nil } ?? SharedMemory.standardSize
      mounts.append(
        MountSpec(
          destination: "/dev/shm", type: "tmpfs", source: "shm",
          options: ["nosuid", "noexec", "nodev", "mode=1777", "size=\(size)"]))
    }
    return mounts
  }

  private static func generated(
    _ configuration: InstanceConfiguration, namespaces: SandboxNamespaces, context: SandboxContext
  ) -> [MountSpec] {
    let paths = namespaces.networkPeer?.paths ?? context.paths
    return [
      (paths.resolvConf, "/etc/resolv.conf"), (paths.hostname, "/etc/hostname"), (paths.hosts, "/etc/hosts"),
    ].map { source, destination in
      MountSpec(destination: destination, type: "bind", source: source, options: ["rbind", "rprivate"])
    }
  }
}
