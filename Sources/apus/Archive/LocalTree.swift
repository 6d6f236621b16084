import Errors
import Glibc

/// Puts the entries of an archive under a directory. Paths are walked one component at a time without following
/// links: an archive from a container must not be able to write anywhere else.
final class LocalTree {
  private let root: Int32
  private let rootPath: String
  /// What stands for the first component of every entry's name; nil leaves it as it is, empty drops it.
  private let replacement: String?
  private let keepsOwners: Bool
  private var file: (descriptor: Int32, entry: TarEntry)?
  private var modes: [(path: [String], mode: UInt32)] = []

  init(directory: String, replacement: String?, keepsOwners: Bool) throws {
    root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard root >= 0 else { throw LocalFile.failure("open", directory) }
    rootPath = directory
    self.replacement = replacement
    self.keepsOwners = keepsOwners
  }

  deinit {
    if let file { close(file.descriptor) }
    close(root)
  }

  func take(_ event: TarReader.Event) throws {
    switch event {
    case .entry(let entry): try begin(entry)
    case .data(let bytes):
      if let file { try LocalFile.write(bytes, to: file.descriptor, named: file.entry.name) }
    case .end:
      guard let file else { return }
      finish(file.descriptor, file.entry)
      close(file.descriptor)
      self.file = nil
    }
  }

  /// Gives directories the modes that would have been in the way while they were filled.
  func finish() {
    for (path, mode) in modes.reversed() {
      guard let parent = try? directory(path.dropLast(), create: false), let name = path.last else { continue }
      fchmodat(parent, name, mode_t(mode), 0)
      close(parent)
    }
  }

  private func components(_ name: String) throws -> [String] {
    var parts = name.split(separator: "/").map(String.init).filter { $0 != "." }
    if let replacement {
      let isDot = name == "." || name.hasPrefix("./") || name.isEmpty
      if !isDot, !parts.isEmpty { parts.removeFirst() }
      if !replacement.isEmpty { parts.insert(replacement, at: 0) }
    }
    guard !parts.contains("..") else { throw TarReader.malformed("'\(name)' leads out of the directory") }
    return parts
  }

  /// An open directory, made where it is missing.
  private func directory(_ path: ArraySlice<String>, create: Bool) throws -> Int32 {
    var current = dup(root)
    for name in path {
      var next = openat(current, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      if next < 0, errno == ENOENT, create {
        mkdirat(current, name, 0o755)
        next = openat(current, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      }
      let failure = next < 0 ? LocalFile.failure("open", rootPath + "/" + path.joined(separator: "/")) : nil
      close(current)
      if let failure { throw failure }
      current = next
    }
    return current
  }

  private func begin(_ entry: TarEntry) throws {
    let path = try components(entry.name)
    guard let name = path.last else { return }
    let parent = try directory(path.dropLast(), create: true)
    defer { close(parent) }
    let shown = rootPath + "/" + path.joined(separator: "/")
    var status = stat()
    let exists = fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0
    let isDirectory = exists && status.st_mode & S_IFMT == S_IFDIR
    if entry.kind == .directory {
      if exists, !isDirectory {
        throw ApusError(.conflict, "Cannot put a directory over \(shown), which is none.")
      }
      if !exists {
        guard mkdirat(parent, name, mode_t(entry.mode | 0o700)) == 0 else { throw LocalFile.failure("make", shown) }
      }
      modes.append((path, entry.mode))
      if keepsOwners { fchownat(parent, name, entry.owner, entry.group, AT_SYMLINK_NOFOLLOW) }
      return
    }
    if isDirectory { throw ApusError(.conflict, "Cannot put a file over \(shown), which is a directory.") }
    if exists { unlinkat(parent, name, 0) }
    var result: Int32 = 0
    switch entry.kind {
    case .file:
      let descriptor = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else { throw LocalFile.failure("create", shown) }
      file = (descriptor, entry)
      return
    case .symbolicLink: result = symlinkat(entry.target, parent, name)
    case .hardLink:
      let target = try components(entry.target)
      guard let last = target.last else { throw TarReader.malformed("'\(entry.name)' links to nothing") }
      let from = try directory(target.dropLast(), create: false)
      result = linkat(from, last, parent, name, 0)
      close(from)
    case .fifo: result = mkfifoat(parent, name, mode_t(entry.mode))
    case .characterDevice, .blockDevice:
      let type = entry.kind == .characterDevice ? S_IFCHR : S_IFBLK
      result = mknodat(parent, name, type | mode_t(entry.mode), Self.device(entry.device.major, entry.device.minor))
    case .directory: break
    }
    guard result == 0 else { throw LocalFile.failure("create", shown) }
    if keepsOwners { fchownat(parent, name, entry.owner, entry.group, AT_SYMLINK_NOFOLLOW) }
  }

  private func finish(_ descriptor: Int32, _ entry: TarEntry) {
    if keepsOwners { fchown(descriptor, entry.owner, entry.group) }
    // The owner may have changed, which clears set-user-id: the mode comes last.
    fchmod(descriptor, mode_t(entry.mode))
    let time = timespec(tv_sec: Int(entry.modified), tv_nsec: 0)
    var times = [time, time]
    futimens(descriptor, &times)
  }

  /// makedev(3), which is a macro.
  private static func device(_ major: UInt32, _ minor: UInt32) -> dev_t {
    let major = UInt64(major), minor = UInt64(minor)
    return dev_t((major & 0xFFF) << 8 | (major & ~0xFFF) << 32 | (minor & 0xFF) | (minor & ~0xFF) << 12)
  }
}
