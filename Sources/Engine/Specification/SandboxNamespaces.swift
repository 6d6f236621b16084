import Errors
import RuntimeSpec

/// Which namespaces a sandbox gets, joins, or leaves alone.
struct SandboxNamespaces {
  var list: [LinuxNamespace] = [LinuxNamespace(type: "mount")]
  /// A network namespace of its own: parameters may be set in it.
  var ownsNetwork = false
  var ownsProcesses = false
  /// Where /dev/shm comes from: nil for a new tmpfs.
  var sharedMemory: String?
  var hasSharedMemory = true
  /// Whose /etc/hostname and kin are used.
  var networkPeer: SandboxContext.Peer?

  /// - Throws: `conflict` where the instance to join does not run or does not share.
  init(_ configuration: InstanceConfiguration, context: SandboxContext) throws(ApusError) {
    let namespaces = configuration.namespaces

    let network = configuration.network.mode
    if let name = InstanceConfiguration.joined(network) {
      let peer = try Self.running(name, context, "network")
      list.append(LinuxNamespace(type: "network", path: "/proc/\(peer.pid)/ns/net"))
      networkPeer = peer
    } else if network != "host" {
      list.append(LinuxNamespace(type: "network"))
      ownsNetwork = true
    }

    if namespaces.uts != "host" { list.append(LinuxNamespace(type: "uts")) }

    if let name = namespaces.pid.flatMap(InstanceConfiguration.joined) {
      let peer = try Self.running(name, context, "PID")
      list.append(LinuxNamespace(type: "pid", path: "/proc/\(peer.pid)/ns/pid"))
    } else if namespaces.pid != "host" {
      list.append(LinuxNamespace(type: "pid"))
      ownsProcesses = true
    }

    if let name = namespaces.ipc.flatMap(InstanceConfiguration.joined) {
      let peer = try Self.running(name, context, "IPC")
      guard peer.configuration.namespaces.ipc == "shareable" else {
        throw ApusError(
          .conflict,
          "can't join IPC of container \(peer.id): non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
        )
      }
      list.append(LinuxNamespace(type: "ipc", path: "/proc/\(peer.pid)/ns/ipc"))
      sharedMemory = peer.paths.sharedMemory
    } else if namespaces.ipc == "host" {
      sharedMemory = "/dev/shm"
    } else {
      list.append(LinuxNamespace(type: "ipc"))
      hasSharedMemory = namespaces.ipc != "none"
      if namespaces.ipc == "shareable" { sharedMemory = context.paths.sharedMemory }
    }

    // On v1 the host's view is what the field expects; on v2 a private one.
    let cgroup = namespaces.cgroup ?? ""
    if cgroup == "private" || (cgroup.isEmpty && context.host.unifiedCgroups) {
      list.append(LinuxNamespace(type: "cgroup"))
    }
  }

  private static func running(
    _ name: String, _ context: SandboxContext, _ kind: String
  ) throws(ApusError) -> SandboxContext.Peer {
    guard let peer = context.peers[name] else { throw ApusError(.notFound, "No such container: \(name)") }
    guard peer.pid > 0 else {
      throw ApusError(.conflict, "cannot join \(kind) of a non running container: \(peer.id)")
    }
    return peer
  }
}

extension InstancePaths {
  /// The tmpfs behind /dev/shm of an instance that lets others join its IPC namespace (``SharedMemory``).
  public var sharedMemory: String { runDirectory + "/shm" }
}
