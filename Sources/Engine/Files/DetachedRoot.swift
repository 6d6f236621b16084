import Errors
import Glibc
import ImageSpec
import Layers
import Linux

/// A root file system of layers, opened without being mounted anywhere: it is gone with the last reference.
final class DetachedRoot: Sendable {
  /// The root directory, for reading and as the start of every path.
  let descriptor: Int32
  /// The detached mount lives as long as this is open; −1 where nothing had to be mounted.
  private let mount: Int32
  private let lease: LayerLease

  /// - Parameters:
  ///   - diffIDs: lowest first.
  ///   - upper: what an instance wrote, on top of them; read only, unless there is a `work`.
  ///   - work: overlayfs's own directory beside `upper`, which then takes changes. Nobody else may use the two meanwhile.
  init(
    layers diffIDs: [Digest], store: any LayerStore, upper: String? = nil, work: String? = nil
  ) throws(ApusError) {
    let lease = try store.acquire(diffIDs)
    let lower = (work == nil ? upper.map { [$0] } ?? [] : []) + lease.paths
    if let only = lower.first, lower.count == 1, work == nil {
      // overlayfs does not take a single directory.
      descriptor = try Files.open(only, flags: O_RDONLY | O_DIRECTORY).release()
      mount = -1
    } else {
      let overlay =
        if let upper, let work {
          try Mounts.overlay(lower: lower, upper: upper, work: work)
        } else {
          try Mounts.overlay(lower: lower, attributes: .readOnly)
        }
      descriptor = try Files.open(at: overlay.raw, path: ".", flags: O_RDONLY | O_DIRECTORY).release()
      mount = overlay.release()
    }
    self.lease = lease
  }

  deinit {
    close(descriptor)
    if mount >= 0 { close(mount) }
    lease.release()
  }
}
