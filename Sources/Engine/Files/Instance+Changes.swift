import Errors
import Glibc
import Layers
import Linux

extension Instance {
  /// What the instance changed of its image's files (Docker's `GET /containers/{id}/changes`), by path.
  public func changes() async throws -> [FileChange] {
    let (record, paths, layers) = (current, paths, services.layers)
    return try await services.blocking.run {
      let lease = try layers.acquire(record.layers)
      defer { lease.release() }
      let upper = try Files.open(paths.upper, flags: O_RDONLY | O_DIRECTORY)
      var lowers: [Int32] = []
      defer { for descriptor in lowers { close(descriptor) } }
      for path in lease.paths { lowers.append(try Files.open(path, flags: O_RDONLY | O_DIRECTORY).release()) }
      return ChangeList.own(
        of: try Tree.changes(upper: upper.raw, lowers: lowers).map {
          FileChange(path: $0.path, kind: ChangeKind($0.kind))
        })
    }
  }
}

extension ChangeKind {
  fileprivate init(_ kind: Tree.ChangeKind) {
    switch kind {
    case .modified: self = .modified
    case .added: self = .added
    case .deleted: self = .deleted
    }
  }
}

enum ChangeList {
  /// Places for mounts that the runtime makes where an image has none; not the instance's doing.
  private static let places: Set<String> = [
    "/dev", "/dev/console", "/dev/mqueue", "/dev/pts", "/dev/shm", "/proc", "/sys", "/etc/hostname", "/etc/hosts",
    "/etc/resolv.conf",
  ]

  /// Without those places, and without parents that only changed because of them.
  static func own(of changes: [FileChange]) -> [FileChange] {
    let made = changes.filter { $0.kind == .added && places.contains($0.path) }.map(\.path)
    guard !made.isEmpty else { return changes }
    let left = changes.filter { !($0.kind == .added && places.contains($0.path)) }
    func parent(_ path: String) -> String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "" }
    let parents = Set(made.map(parent))
    let stillThere = Set(left.map { parent($0.path) })
    return left.filter { change in
      guard change.kind != .deleted, parents.contains(change.path) else { return true }
      return stillThere.contains(change.path)
    }
  }
}
