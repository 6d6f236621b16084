import Errors
import ImageSpec
import Linux
import RuntimeSpec
import SandboxProtocol
import Synchronization

/// System call filters as files that requests for sandboxes name. The section itself would be most of a request, and
/// reading it most of the time the request takes; nearly all instances have the same one.
final class SeccompDocuments: Sendable {
  private let directory: String
  private let known = Mutex<[(section: LinuxSeccomp, path: String)]>([])
  /// As in ``SeccompCache``.
  private static let capacity = 64

  /// - Parameter directory: nobody but root may write there.
  init(directory: String) { self.directory = directory }

  /// Moves a request's section into a file. It stays where it is if it asks for an agent, which is the request's own, or
  /// if the file cannot be written.
  func place(_ request: inout CreateRequest) {
    guard let section = request.spec.linux?.seccomp, section.listenerPath.isEmpty,
      !section.syscalls.contains(where: { $0.action == "SCMP_ACT_NOTIFY" }), let path = try? file(section)
    else { return }
    request.spec.linux?.seccomp = nil
    request.seccompDocument = path
  }

  private func file(_ section: LinuxSeccomp) throws(ApusError) -> String {
    if let path = known.withLock({ known in known.first { $0.section == section }?.path }), Files.exists(path) {
      return path
    }
    let bytes = section.json()
    let path = "\(directory)/\(ContentDigest.sha256(bytes).hex).json"
    if !Files.exists(path) { try Files.writeAtomically(bytes, to: path, mode: 0o600) }
    known.withLock { known in
      known.removeAll { $0.section == section }
      if known.count >= Self.capacity { known.removeFirst() }
      known.append((section, path))
    }
    return path
  }
}
