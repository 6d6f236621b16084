import Errors
import Glibc

/// Manifest lists in the making, kept where docker keeps them, and as it does: one directory for each list under
/// `~/.docker/manifests`, in it one file for each manifest. Lists that docker began can be finished here.
struct ManifestStore {
  let list: String

  private static var root: String { DockerConfiguration.directory + "/manifests" }

  /// - Parameter list: in full.
  init(list: String) { self.list = list }

  private var directory: String { "\(Self.root)/\(Self.fileName(list))" }

  private static func fileName(_ name: String) -> String {
    String(name.map { $0 == ":" ? "-" : $0 == "/" ? "_" : $0 })
  }

  var exists: Bool { LocalFile.isDirectory(directory) }

  /// The manifests of the list, by their file names.
  func manifests() throws -> [JSON] {
    guard let stream = opendir(directory) else { throw Self.unknown(list) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return try names.sorted().map { try JSONReader.read(try LocalFile.read("\(directory)/\($0)")) }
  }

  /// nil: the list has no such manifest.
  func manifest(_ reference: String) throws -> JSON? {
    let path = "\(directory)/\(Self.fileName(reference))"
    guard access(path, F_OK) == 0 else { return nil }
    return try JSONReader.read(try LocalFile.read(path))
  }

  func put(_ manifest: JSON) throws {
    for path in [DockerConfiguration.directory, Self.root, directory] { mkdir(path, 0o755) }
    let path = "\(directory)/\(Self.fileName(manifest["Ref"].string ?? ""))"
    let temporary = path + ".\(getpid())"
    unlink(temporary)
    try LocalFile.create(temporary, manifest.bytes(.indented) + [0x0A])
    guard rename(temporary, path) == 0 else { throw LocalFile.failure("write", path) }
  }

  func remove() throws {
    guard let stream = opendir(directory) else { throw Self.unknown(list) }
    defer { closedir(stream) }
    while let entry = readdir(stream) { unlinkat(dirfd(stream), &entry.pointee.d_name.0, 0) }
    guard rmdir(directory) == 0 else { throw LocalFile.failure("remove", directory) }
  }

  static func unknown(_ list: String) -> ExitStatus { ExitStatus(status: 1, message: "No such manifest: \(list)") }
}
