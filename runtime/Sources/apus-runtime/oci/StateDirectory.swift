import CLinux
import Errors
import Glibc
import Linux
import RuntimeSpec

/// The directory of one container below `--root`: opened once, used by descriptor.
///
/// It holds the record (`state.json`; `state.json.new` while the container is being created), a copy of the
/// configuration, the compiled seccomp program, the FIFOs of a container that waits to be started, a directory with the
/// socket at which its program says that it is ready, and the path of its control group, for the case that its creation
/// is killed.
final class StateDirectory {
  static let stateFile = "state.json"
  static let newStateFile = "state.json.new"
  static let configurationFile = "config.json"
  static let filterFile = "seccomp.bpf"
  static let startGate = "start.fifo"
  static let report = "report.fifo"
  static let group = "cgroup"

  let id: String
  private let root: String
  let descriptor: OwnedDescriptor

  /// Makes the directory of a new container, locked. Throws conflict when there is one of this name.
  init(creating id: String, root: String) throws(ApusError) {
    try Self.validate(id)
    if mkdirat(AT_FDCWD, "\(root)/\(id)", 0o700) < 0 {
      var why = errno
      if why == ENOENT {
        // Sticky, so that nobody tidies it away below $XDG_RUNTIME_DIR (XDG Base Directory Specification).
        why = 0
        do throws(ApusError) {
          try Files.makeDirectories(root, mode: geteuid() == 0 ? 0o700 : 0o1700)
        } catch {
          guard let number = error.errno else { throw error }
          why = number
        }
        if why == 0 { why = mkdirat(AT_FDCWD, "\(root)/\(id)", 0o700) < 0 ? errno : 0 }
      }
      if why == EEXIST { throw ApusError(.conflict, "container with given ID already exists") }
      if why == EACCES, geteuid() != 0 {
        throw ApusError(
          errno: why, "this user may not keep the state of containers in \(root) (set XDG_RUNTIME_DIR, or give --root)")
      }
      if why != 0 { throw ApusError(errno: why, "cannot make the directory \(root)/\(id)") }
    }
    self.id = id
    self.root = root
    descriptor = try Self.open(id, root: root)
    try lock()
  }

  /// Opens that of an existing container. Throws notFound when there is none.
  init(opening id: String, root: String) throws(ApusError) {
    try Self.validate(id)
    self.id = id
    self.root = root
    descriptor = try Self.open(id, root: root)
  }

  private static func open(_ id: String, root: String) throws(ApusError) -> OwnedDescriptor {
    do {
      let parent = try Files.open(root, flags: O_PATH | O_DIRECTORY)
      return try Files.open(
        at: parent.raw, path: id, flags: O_RDONLY | O_DIRECTORY, resolve: [.beneath, .noSymlinks, .noXDev])
    } catch  where error.errno == ENOENT {
      throw ApusError(.notFound, "container does not exist", cause: error.cause)
    }
  }

  /// Letters, digits and `_+-.`, as everything that names a container after its id expects.
  static func validate(_ id: String) throws(ApusError) {
    let allowed = id.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x5f, 0x2b, 0x2d, 0x2e: true
      default: false
      }
    }
    // What begins with a dot is ours.
    guard !id.isEmpty, allowed, id.first != ".", id.utf8.count < 256 else {
      throw ApusError(.invalidArgument, "invalid container ID format")
    }
  }

  /// The names of all containers.
  static func ids(root: String) throws(ApusError) -> [String] {
    do {
      let directory = try Files.open(root, flags: O_RDONLY | O_DIRECTORY)
      return try Files.entries(of: directory.raw).filter { $0.type == UInt8(DT_DIR) && $0.name.first != "." }
        .map(\.name).sorted()
    } catch  where error.errno == ENOENT {
      return []
    }
  }

  /// Waits for other commands that change this container; until this process ends or the directory is closed.
  func lock() throws(ApusError) {
    try check(retrying { flock(descriptor.raw, LOCK_EX) }, "cannot lock the state of \(id)")
  }

  /// Lets other commands go on.
  func unlock() { _ = flock(descriptor.raw, LOCK_UN) }

  /// The user whose container it is.
  func owner() throws(ApusError) -> uid_t { try Files.status(descriptor.raw).st_uid }

  func write(_ bytes: [UInt8], to name: String) throws(ApusError) {
    let file = try Files.open(
      at: descriptor.raw, path: name, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600,
      resolve: [.beneath, .noSymlinks])
    try Files.write(bytes, to: file.raw, name: name)
  }

  func read(_ name: String, limit: Int = 16 << 20) throws(ApusError) -> [UInt8] {
    try Files.read(at: descriptor.raw, path: name, limit: limit, resolve: [.beneath, .noSymlinks])
  }

  func has(_ name: String) -> Bool { faccessat(descriptor.raw, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 }

  func rename(_ name: String, to new: String) throws(ApusError) {
    try check(renameat(descriptor.raw, name, descriptor.raw, new), "cannot rename \(name) of \(id)")
  }

  func unlink(_ name: String) { _ = unlinkat(descriptor.raw, name, 0) }

  /// Makes a directory in it, and says its path.
  func makeDirectory(_ name: String, mode: mode_t) throws(ApusError) -> String {
    try Files.makeDirectory(at: descriptor.raw, name, mode: mode)
    return "\(try path())/\(name)"
  }

  /// Absolute.
  func path() throws(ApusError) -> String { try Files.readLink("/proc/self/fd/\(descriptor.raw)") }

  /// A FIFO, open for reading and writing: nobody's open(2) of it ever waits.
  func makeFIFO(_ name: String) throws(ApusError) -> OwnedDescriptor {
    try check(mknodat(descriptor.raw, name, S_IFIFO | 0o600, 0), "cannot make \(name) of \(id)")
    return try Files.open(at: descriptor.raw, path: name, flags: O_RDWR, resolve: [.beneath, .noSymlinks])
  }

  /// Keeps the path of the control group from before there is one, and a record: as a link's target, which is written in
  /// one call, and leads nowhere.
  func note(group path: String) throws(ApusError) {
    try check(symlinkat(path, descriptor.raw, Self.group), "cannot note the control group of \(id)")
  }

  /// What has been noted; nil without.
  var notedGroup: String? { try? Files.readLink(at: descriptor.raw, Self.group) }

  /// Removes the directory and what is in it; the record last, so that an interrupted removal can be done again.
  func remove() throws(ApusError) {
    for (name, type) in try Files.entries(of: descriptor.raw) where name != Self.stateFile {
      guard type == UInt8(DT_DIR) else {
        unlink(name)
        continue
      }
      if let inner = try? Files.open(
        at: descriptor.raw, path: name, flags: O_RDONLY | O_DIRECTORY, resolve: [.beneath, .noSymlinks])
      {
        for (name, _) in try Files.entries(of: inner.raw) { _ = unlinkat(inner.raw, name, 0) }
      }
      _ = unlinkat(descriptor.raw, name, AT_REMOVEDIR)
    }
    unlink(Self.stateFile)
    if unlinkat(AT_FDCWD, "\(root)/\(id)", AT_REMOVEDIR) < 0, errno != ENOENT {
      throw ApusError(errno: errno, "cannot remove the state of \(id) at \(root)/\(id)")
    }
  }
}
