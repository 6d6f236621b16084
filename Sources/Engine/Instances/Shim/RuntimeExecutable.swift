import Errors
import Glibc
import Linux

/// The `apus-runtime` program, as shims are started from it.
///
/// Held open through a detached, read-only copy of its mount: whatever a container finds through a shim's
/// `/proc/PID/exe`, it cannot write to the host's file by it (CVE-2019-5736), and an upgrade of the file on disk does not
/// change what this daemon starts.
final class RuntimeExecutable: Sendable {
  private let descriptor: Int32

  init(path: String) throws {
    descriptor = try Self.open(path)
  }

  deinit { close(descriptor) }

  private static func open(_ path: String) throws(ApusError) -> Int32 {
    do throws(ApusError) {
      return try high(readOnlyMount(of: path))
    } catch {
      switch error.code {
      case .notFound:
        throw ApusError(
          .notFound, "The sandbox runtime \(path) does not exist: install apus-runtime there, or name another one.",
          cause: error)
      // Without the right to mount there are no containers either, only tests.
      case .permissionDenied: return try high(Files.open(path, flags: O_PATH))
      default: throw error
      }
    }
  }

  private static func readOnlyMount(of path: String) throws(ApusError) -> OwnedDescriptor {
    let mount = try Mounts.clone(path)
    try Mounts.setAttributes(at: mount.raw, "", set: .readOnly)
    return mount
  }

  /// Descriptor 3 is the shim's connection.
  private static func high(_ file: consuming OwnedDescriptor) throws(ApusError) -> Int32 {
    try file.duplicate(minimum: 10).release()
  }

  /// Starts a shim that speaks on `socket`. Blocks until the program is executed.
  func spawnShim(id: String, socket: Int32) throws(ApusError) -> pid_t {
    try Spawn.process(
      "/proc/self/fd/\(descriptor)", arguments: ["apus-runtime", "shim", id], descriptors: [(ours: socket, theirs: 3)],
      newSession: true, workingDirectory: "/")
  }
}
