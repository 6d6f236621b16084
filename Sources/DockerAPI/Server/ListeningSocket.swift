import Errors
import FoundationEssentials
import Glibc
import Linux

/// Where a daemon accepts connections: a unix socket of its own, or those that systemd opened for it.
public enum ListeningSocket {
  /// Opens the socket at `path` for its owner and `group`. One that a dead daemon left makes way; one that answers is
  /// an error.
  ///
  /// - Throws: `conflict` when another daemon listens there, `notFound` when there is no such group.
  public static func open(at path: String, group: String?) throws(ApusError) -> OwnedDescriptor {
    guard path.hasPrefix("/") else {
      throw ApusError(.invalidArgument, "the socket \(path) must be an absolute path")
    }
    if let answering = try? UnixSocket.connect(to: path) {
      _ = consume answering
      throw ApusError(.conflict, "another daemon listens on \(path): stop it, or give this one another --socket")
    }
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
      try Files.makeDirectories(String(path[..<slash]), mode: 0o755)
    }
    // First for the owner alone: nobody else gets in before the group is set.
    let socket = try UnixSocket.listen(at: path, mode: 0o600, backlog: 1_024, nonBlocking: true)
    if let group { try check(chown(path, uid_t.max, try identifier(of: group)), "cannot give \(path) to \(group)") }
    try check(chmod(path, 0o660), "cannot set the mode of \(path)")
    return socket
  }

  /// Removes the socket at `path` if it is still the one that `open` made: `identity` is what ``identity(of:)`` said then.
  public static func remove(_ path: String, identity: UInt64?) {
    guard let identity, self.identity(of: path) == identity else { return }
    unlink(path)
  }

  /// The inode at `path`.
  public static func identity(of path: String) -> UInt64? {
    var status = stat()
    return stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
  }

  /// The sockets that systemd passes to this process (sd_listen_fds(3)); empty when it was started otherwise.
  public static func activated() -> [Int32] {
    let environment = ProcessInfo.processInfo.environment
    guard let process = environment["LISTEN_PID"].flatMap(Int32.init), process == getpid(),
      let count = environment["LISTEN_FDS"].flatMap(Int32.init), (1...64).contains(count)
    else { return [] }
    let sockets = (3..<3 + count).map { $0 }
    for socket in sockets { _ = clearInheritance(socket) }
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) }
    return sockets
  }

  /// The number of a group given by name or number.
  public static func identifier(of name: String) throws(ApusError) -> gid_t {
    if let number = gid_t(name) { return number }
    guard let number = existing(name) else {
      throw ApusError(.notFound, "there is no group \(name) for the socket: make it, or give another with --group")
    }
    return number
  }

  /// The group's number if there is one of that name.
  public static func existing(_ name: String) -> gid_t? {
    guard let bytes = try? Files.read("/etc/group", limit: 4 << 20) else { return nil }
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      if fields.count >= 3, fields[0] == name[...] { return gid_t(fields[2]) }
    }
    return nil
  }

  /// FIOCLEX: children must not hold the daemon's sockets.
  private static func clearInheritance(_ socket: Int32) -> Int32 { ioctl(socket, 0x5451) }
}
