import Errors
import Glibc
import Linux

/// A name, and the open directory it is looked up in.
struct TreePlace: ~Copyable {
  let directory: OwnedDescriptor
  let name: EntryName
}

extension Tree {
  /// Components of a path of somebody else's tree, cleaned lexically: never above the root.
  static func components(_ path: String) -> [Substring] {
    var result: [Substring] = []
    for component in path.split(separator: "/") where component != "." {
      if component == ".." { _ = result.popLast() } else { result.append(component) }
    }
    return result
  }

  /// The directory that holds what `path` names, links on the way followed inside the root, and the last component,
  /// which is not followed. With a slash or `/.` at its end, a path names the directory that a link there leads to.
  static func parent(root: Int32, path: String) throws(ApusError) -> TreePlace {
    guard !path.utf8.contains(0), path.utf8.count < Int(PATH_MAX) else {
      throw ApusError(.invalidArgument, "the path '\(path.prefix(200))' is too long or contains a NUL")
    }
    let clean = components(path)
    guard let last = clean.last, !path.hasSuffix("/"), !path.hasSuffix("/."), path != "." else {
      let directory = try Files.open(at: root, path: "/" + clean.joined(separator: "/"), flags: O_PATH | O_DIRECTORY)
      return TreePlace(directory: directory, name: EntryName(".".utf8))
    }
    let directory = try Files.open(
      at: root, path: "/" + clean.dropLast().joined(separator: "/"), flags: O_PATH | O_DIRECTORY)
    return TreePlace(directory: directory, name: EntryName(last.utf8))
  }

  /// What `path` names; a link in its last component is described itself.
  /// - Throws: `notFound`.
  public static func stat(root: Int32, path: String) throws(ApusError) -> Status {
    let place = try parent(root: root, path: path)
    guard let status = try EntryStatus.find(place.name, at: place.directory.raw) else {
      throw ApusError(.notFound, "there is no '\(path.prefix(200))'")
    }
    var target = ""
    if status.has(type: S_IFLNK) { target = "/" + (try resolve(root: root, path: path)).joined(separator: "/") }
    return Status(
      name: baseName(path), size: status.size, mode: status.mode, modifiedSeconds: status.modifiedSeconds,
      modifiedNanoseconds: Int(status.modifiedNanoseconds), linkTarget: target)
  }

  /// The last component as it was asked for: `/` for the root, `.` where the path says so.
  static func baseName(_ path: String) -> String {
    if path.hasSuffix("/."), components(path).isEmpty == false { return "." }
    return components(path).last.map { String($0) } ?? "/"
  }

  /// st_mode as Go's os.FileMode, the form Docker's API has.
  public static func goMode(_ mode: UInt32) -> UInt32 {
    var result = mode & 0o777
    switch mode & UInt32(S_IFMT) {
    case UInt32(S_IFDIR): result |= 1 << 31
    case UInt32(S_IFLNK): result |= 1 << 27
    case UInt32(S_IFBLK): result |= 1 << 26
    case UInt32(S_IFCHR): result |= 1 << 26 | 1 << 21
    case UInt32(S_IFIFO): result |= 1 << 25
    case UInt32(S_IFSOCK): result |= 1 << 24
    default: break
    }
    if mode & UInt32(S_ISUID) != 0 { result |= 1 << 23 }
    if mode & UInt32(S_ISGID) != 0 { result |= 1 << 22 }
    if mode & UInt32(S_ISVTX) != 0 { result |= 1 << 20 }
    return result
  }

  /// Where a path ends when every link is followed, as text; parts that do not exist stay as they are. To be shown, not
  /// to be opened: the tree may change meanwhile.
  static func resolve(root: Int32, path: String) throws(ApusError) -> [String] {
    var done: [String] = []
    var rest = Array(path.split(separator: "/").reversed())
    var links = 0
    while let component = rest.popLast() {
      if component == "." { continue }
      if component == ".." {
        _ = done.popLast()
        continue
      }
      // `done` contains no links, so opening it is one walk inside the root.
      let directory: OwnedDescriptor
      do {
        directory = try Files.open(at: root, path: "/" + done.joined(separator: "/"), flags: O_PATH)
      } catch {
        done.append(String(component))
        continue
      }
      let name = EntryName(component.utf8)
      guard let status = try? EntryStatus.find(name, at: directory.raw), status.has(type: S_IFLNK) else {
        done.append(String(component))
        continue
      }
      links += 1
      guard links <= 40 else { throw ApusError(.invalidArgument, "'\(path.prefix(200))' is a loop of symbolic links") }
      let target = String(decoding: try TreeStep.readLink(name, at: directory.raw), as: UTF8.self)
      if target.hasPrefix("/") { done = [] }
      rest += target.split(separator: "/").reversed().map { Substring(String($0)) }
    }
    return done
  }

  /// Whether a directory has no entries.
  public static func isEmpty(_ directory: Int32) throws(ApusError) -> Bool { try TreeStep.list(directory).isEmpty }
}
