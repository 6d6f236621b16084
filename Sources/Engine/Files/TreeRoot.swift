import Errors
import Glibc
import ImageSpec
import Layers
import Linux

/// The root directory of an instance's files, and what keeps it there. Closed with the last reference.
final class TreeRoot: Sendable {
  let descriptor: Int32
  /// Descriptors that keep mounts or a mount namespace alive; −1: none.
  private let keeper: Int32
  private let lease: LayerLease?

  init(descriptor: Int32, keeper: Int32 = -1, lease: LayerLease? = nil) {
    self.descriptor = descriptor
    self.keeper = keeper
    self.lease = lease
  }

  deinit {
    close(descriptor)
    if keeper >= 0 { close(keeper) }
    lease?.release()
  }

  /// The root as the first process of a running instance sees it, volumes included. Blocks shortly.
  ///
  /// - Parameters:
  ///   - shim: the process's parent: by the time it is looked up, the number may be somebody else's.
  ///   - bare: without volumes and everything else that is mounted on it.
  /// - Throws: `conflict` where the process has ended.
  static func running(_ pid: Int32, shim: Int32, id: String, bare: Bool = false) throws(ApusError) -> TreeRoot {
    let ended = ApusError(.conflict, "container \(id) is not running")
    guard Files.exists("/proc/\(pid)") else { throw ended }
    let process = try Files.open("/proc/\(pid)", flags: O_RDONLY | O_DIRECTORY)
    let status = String(decoding: try Files.read(at: process.raw, path: "stat", limit: 8192), as: UTF8.self)
    // After the command's name, which may contain anything: state, parent.
    guard let end = status.lastIndex(of: ")") else { throw ended }
    let fields = status[status.index(after: end)...].split(separator: " ")
    guard fields.count > 1, fields[1] == String(shim) else { throw ended }
    if bare {
      let (root, keeper) = try MountNamespace.bareRoot(of: process.raw)
      return TreeRoot(descriptor: root, keeper: keeper)
    }
    // The magic link is the point: it leads into the instance's mount namespace.
    let root = openat(process.raw, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    return TreeRoot(descriptor: try check(root, "cannot open the root of container \(id)"))
  }
}

extension InstanceRecord {
  /// Uid and gid of what is copied in with Docker's `copyUIDGID`: those of the instance's user. Blocks shortly.
  func owner(in root: TreeRoot) throws(ApusError) -> Tree.Owner {
    let parts = resolved.user.split(separator: ":", maxSplits: 1).map(String.init)
    guard let user = parts.first else { return Tree.Owner(uid: 0, gid: 0) }
    func lines(_ path: String) -> [[Substring]] {
      guard let bytes = try? Files.read(at: root.descriptor, path: path, limit: 4 << 20) else { return [] }
      return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map {
        $0.split(separator: ":", omittingEmptySubsequences: false)
      }
    }
    func unknown(_ kind: String, _ name: String) -> ApusError {
      ApusError(.invalidArgument, "unable to find \(kind) \(name): no matching entries in its file")
    }
    let passwd = lines("/etc/passwd").first { $0.count > 3 && ($0[0] == user || $0[2] == user) }
    let numbers = passwd.flatMap { entry -> Tree.Owner? in
      guard let uid = UInt32(entry[2]), let gid = UInt32(entry[3]) else { return nil }
      return Tree.Owner(uid: uid, gid: gid)
    }
    guard var owner = numbers ?? UInt32(user).map({ Tree.Owner(uid: $0, gid: 0) }) else { throw unknown("user", user) }
    if parts.count == 2 {
      let group = parts[1]
      let entry = lines("/etc/group").first { $0.count > 2 && $0[0] == group }
      guard let gid = entry.flatMap({ UInt32($0[2]) }) ?? UInt32(group) else { throw unknown("group", group) }
      owner.gid = gid
    }
    return owner
  }
}
