import Errors
import Glibc
import Linux
import RuntimeSpec

extension Command {
  static let spec = Command(
    name: "spec", summary: "create a new specification file", usage: "",
    options: [
      Option("bundle", "b", "path to the root of the bundle directory"),
      Option("rootless", kind: .flag, "generate a configuration for a rootless container"),
    ], arguments: 0...0
  ) { (invocation) throws(ApusError) in
    if let bundle = invocation.options.value("bundle") { try check(chdir(bundle), "cannot enter \(bundle)") }
    let spec = invocation.options.has("rootless") ? Spec.example.rootless : Spec.example
    let file: OwnedDescriptor
    do throws(ApusError) {
      // Never over what somebody has written.
      file = try Files.open("config.json", flags: O_CREAT | O_EXCL | O_WRONLY, mode: 0o666)
    } catch {
      guard error.errno == EEXIST else { throw error }
      throw ApusError(.conflict, "File config.json exists. Remove it first", cause: error.cause)
    }
    try Files.write(Array(JSONText.indented(spec.json(), by: "\t").utf8), to: file.raw, name: "config.json")
    return 0
  }
}

extension Spec {
  /// A starting point: a shell in a read-only root.
  static var example: Spec {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    let strict = ["nosuid", "noexec", "nodev"]
    var spec = Spec()
    spec.ociVersion = OCIRole.specificationVersion
    spec.process = ProcessSpec(
      terminal: true, args: ["sh"],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"], cwd: "/",
      capabilities: LinuxCapabilities(bounding: capabilities, effective: capabilities, permitted: capabilities),
      rlimits: [POSIXRlimit(type: "RLIMIT_NOFILE", hard: 1024, soft: 1024)], noNewPrivileges: true)
    spec.root = Root(path: "rootfs", readonly: true)
    spec.hostname = OCIRole.program
    spec.mounts = [
      MountSpec(destination: "/proc", type: "proc", source: "proc"),
      MountSpec(
        destination: "/dev", type: "tmpfs", source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
      MountSpec(
        destination: "/dev/pts", type: "devpts", source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
      MountSpec(
        destination: "/dev/shm", type: "tmpfs", source: "shm", options: strict + ["mode=1777", "size=65536k"]),
      MountSpec(destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: strict),
      MountSpec(destination: "/sys", type: "sysfs", source: "sysfs", options: strict + ["ro"]),
      MountSpec(
        destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: strict + ["relatime", "ro"]),
    ]
    var linux = LinuxSection(
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map { LinuxNamespace(type: $0) },
      maskedPaths: [
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
        "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
      ], readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"])
    linux.resources = LinuxResources(devices: [LinuxDeviceCgroup(allow: false, access: "rwm")])
    if Files.exists("\(Cgroups.root)/cgroup.controllers") { linux.namespaces.append(LinuxNamespace(type: "cgroup")) }
    spec.linux = linux
    return spec
  }

  /// The same for the calling user: in a user namespace in which that user is root.
  var rootless: Spec {
    var spec = self
    spec.linux?.namespaces = (linux?.namespaces ?? []).filter { $0.type != "network" } + [LinuxNamespace(type: "user")]
    spec.linux?.uidMappings = [LinuxIDMapping(containerID: 0, hostID: geteuid(), size: 1)]
    spec.linux?.gidMappings = [LinuxIDMapping(containerID: 0, hostID: getegid(), size: 1)]
    // Without a network namespace of its own a new sysfs is refused; and no group but 0 exists.
    spec.mounts = mounts.filter { $0.destination != "/sys/fs/cgroup" }.map { mount in
      var mount = mount
      if mount.destination == "/sys" {
        mount = MountSpec(
          destination: "/sys", type: "none", source: "/sys", options: ["rbind", "nosuid", "noexec", "nodev", "ro"])
      }
      mount.options.removeAll { $0.hasPrefix("gid=") }
      return mount
    }
    spec.linux?.resources = nil
    return spec
  }
}
