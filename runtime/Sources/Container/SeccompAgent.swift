import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The program of the host that answers the calls of a container whose filter says SCMP_ACT_NOTIFY.
struct SeccompAgent: Sendable, Equatable {
  /// Of a stream socket.
  private let path: String
  private let metadata: String

  /// Nil when no call is left to an agent.
  init?(_ profile: LinuxSeccomp?) {
    guard let profile, Seccomp.notifies(profile) else { return nil }
    path = profile.listenerPath
    metadata = profile.listenerMetadata
  }

  /// Takes the filter's listener out of a process, and hands it to the agent with the state (config-linux.md, The
  /// Container Process State). The process itself only says its descriptor's number: whatever else it did could be a call
  /// for the agent to answer.
  func deliver(_ number: Int32, of process: pid_t, descriptor: Int32, state: ContainerState) throws(ApusError) {
    let listener = OwnedDescriptor(
      owning: try check(
        clinux_pidfd_getfd(descriptor, number), "cannot take over the listener of a system call filter"))
    do throws(ApusError) {
      let connection = try UnixSocket.connect(to: path)
      let state = ContainerProcessState(
        ociVersion: state.ociVersion, pid: process, metadata: metadata, state: state)
      let bytes = state.json()
      let sent = try UnixSocket.send(bytes, descriptors: [listener.raw], on: connection.raw)
      if sent < bytes.count {
        try Files.write(Array(bytes[sent...]), to: connection.raw, name: "the rest of the state")
      }
    } catch {
      throw ApusError(
        error.code,
        "linux.seccomp.listenerPath: cannot reach the agent at \(path): \(describe(errno: error.errno ?? 0))",
        cause: error.cause)
    }
  }
}
