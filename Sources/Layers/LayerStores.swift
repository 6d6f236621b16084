import Errors
import Glibc
import Linux

/// The store that suits a host.
public enum LayerStores {
  public enum Form: String, Sendable, CaseIterable { case erofs, directories }

  /// - Parameter form: nil: what ``probe(root:)`` says.
  /// - Throws: when the directories cannot be made.
  public static func open(
    root: String, runDirectory: String, content: ContentStore, form: Form? = nil
  ) throws(ApusError) -> any LayerStore {
    try Files.makeDirectories(root, mode: 0o700)
    return switch form ?? probe(root: root) {
    case .erofs: try EROFSLayerStore(root: root, runDirectory: runDirectory, content: content)
    case .directories: try DirectoryLayerStore(root: root, runDirectory: runDirectory, content: content)
    }
  }

  /// EROFS files where one made in `root` can be mounted, directories elsewhere: no root, a kernel without EROFS, or one
  /// that cannot mount files and has no loop device to give.
  public static func probe(root: String) -> Form {
    let path = TemporaryName.next(in: root)
    defer { _ = unlink(path) }
    do {
      let file = try Files.open(path, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
      _ = try LayerConverter(file, name: path).finish(uuid: [UInt8](repeating: 0, count: 16))
      // Mounted nowhere, it is gone with the descriptor.
      _ = try Mounts.erofs(file: path, attributes: [.noDevices, .noSetUserID])
      return .erofs
    } catch {
      return .directories
    }
  }
}
