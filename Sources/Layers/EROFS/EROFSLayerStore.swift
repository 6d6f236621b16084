import Errors
import Glibc
import ImageSpec
import Linux
import Synchronization

/// Layers as EROFS files, `<root>/<algorithm>/<hex of the diff ID>`, and their mounts on this host, each once:
/// `<runDirectory>/l/<first digits>`. Short, because overlayfs gets up to 128 of them in one string on older kernels.
public final class EROFSLayerStore: LayerStore {
  public let content: ContentStore
  public let root: String
  private let directories: DigestDirectories
  let marks: UnsyncedMarks
  private let mountDirectory: String
  private let mounts = Mutex<[Digest: Mounted]>([:])

  private struct Mounted {
    let path: String
    /// Its root is opaque: overlayfs honours that everywhere but there.
    let hidesLower: Bool
    var leases: Int
    var idleSince = ContinuousClock.now

    init(path: String, leases: Int) {
      self.path = path
      self.leases = leases
      let mark = try? ExtendedAttributes.get("trusted.overlay.opaque", ofPath: path)
      hidesLower = mark == [UInt8(ascii: "y")]
    }
  }

  /// - Throws: when the directories cannot be made.
  public convenience init(root: String, runDirectory: String, content: ContentStore) throws(ApusError) {
    try self.init(root: root, runDirectory: runDirectory, content: content, boot: nil)
  }

  init(root: String, runDirectory: String, content: ContentStore, boot: String?) throws(ApusError) {
    self.content = content
    self.root = root
    mountDirectory = "\(runDirectory)/l"
    directories = try DigestDirectories(root: root)
    marks = try UnsyncedMarks(root: root, boot: boot)
    try Files.makeDirectories(root + "/ingest", mode: 0o700)
    try Files.makeDirectories(mountDirectory, mode: 0o700)
  }

  var ingestDirectory: String { "\(root)/ingest" }

  public func path(for diffID: Digest) -> String { directories.path(for: diffID) }

  /// Bytes of the EROFS file; nil when there is no such layer.
  public func size(of diffID: Digest) -> Int64? { directories.size(of: diffID) }

  public func all() throws(ApusError) -> [Digest] { try directories.all() }

  public func remove(_ diffID: Digest) throws(ApusError) {
    try mounts.withLock { (mounts) throws(ApusError) in
      if let mounted = mounts[diffID] {
        guard mounted.leases == 0 else {
          throw ApusError(.conflict, "layer \(diffID) is in use by \(mounted.leases) instances")
        }
        try unmount(mounted.path)
        mounts[diffID] = nil
      }
      try marks.unname(diffID) { () throws(ApusError) in
        try FileRemoval.remove(path(for: diffID), "cannot remove layer \(diffID)")
      }
    }
  }

  // MARK: Mounts

  /// Mounts what is not mounted yet.
  public func acquire(_ diffIDs: [Digest]) throws(ApusError) -> LayerLease {
    var held: [Digest] = []
    var paths: [String] = []
    do {
      for diffID in diffIDs {
        let mounted = try mounts.withLock { (mounts) throws(ApusError) in try lease(diffID, &mounts) }
        held.append(diffID)
        if mounted.hidesLower { paths = [] }
        paths.append(mounted.path)
      }
    } catch {
      release(held)
      throw error
    }
    let leased = held
    return LayerLease(paths: paths.reversed()) { [self] in release(leased) }
  }

  private func lease(_ diffID: Digest, _ mounts: inout [Digest: Mounted]) throws(ApusError) -> Mounted {
    if let mounted = mounts[diffID] {
      mounts[diffID]?.leases += 1
      return mounted
    }
    guard contains(diffID) else {
      throw ApusError(.notFound, "layer \(diffID) is not in the store; pull its image again")
    }
    // More digits only where the first ones are those of another mounted layer.
    var length = 12
    while mounts.values.contains(where: { $0.path == mountPoint(diffID, length) }) { length += 1 }
    let path = mountPoint(diffID, length)
    try Files.makeDirectory(path, mode: 0o700)
    let mount = try Mounts.erofs(file: self.path(for: diffID), attributes: [.noDevices, .noSetUserID])
    try Mounts.attach(mount.raw, path)
    let mounted = Mounted(path: path, leases: 1)
    mounts[diffID] = mounted
    return mounted
  }

  private func mountPoint(_ diffID: Digest, _ length: Int) -> String {
    "\(mountDirectory)/\(diffID.hex.prefix(length))"
  }

  private func release(_ diffIDs: [Digest]) {
    mounts.withLock { mounts in
      for diffID in diffIDs {
        mounts[diffID]?.leases -= 1
        mounts[diffID]?.idleSince = .now
      }
    }
  }

  private func unmount(_ path: String) throws(ApusError) {
    // Lazily: an overlay has its own hold on the file system, and a reader of ours ends soon.
    try Mounts.unmount(path, lazily: true)
    _ = rmdir(path)
  }

  public func unmountIdle(grace: Duration) {
    mounts.withLock { mounts in
      for (diffID, mounted) in mounts where mounted.leases == 0 && mounted.idleSince.duration(to: .now) >= grace {
        // One that cannot be unmounted now is tried again the next time.
        guard (try? unmount(mounted.path)) != nil else { continue }
        mounts[diffID] = nil
      }
    }
  }

  // MARK: Surviving

  public func makeWriter() throws(ApusError) -> LayerWriter { LayerWriter(try EROFSLayerFile(self)) }

  public func synchronize() throws(ApusError) { try marks.synchronize(trees: false) { path(for: $0) } }

  /// Adopts the mounts an earlier daemon left (they are idle until leased again), unmounts those of layers that are
  /// gone, and removes layers that are half-written or may be.
  @discardableResult
  public func recover() throws(ApusError) -> [Digest] {
    let ingest = try Files.open(ingestDirectory, flags: O_RDONLY | O_DIRECTORY)
    for entry in try Files.entries(of: ingest.raw) { _ = unlinkat(ingest.raw, entry.name, 0) }
    let lost = try marks.review { _ in false }.filter { contains($0) }
    for diffID in lost { try remove(diffID) }
    try adoptMounts(of: all())
    return lost
  }

  private func adoptMounts(of layers: [Digest]) throws(ApusError) {
    // The table shows where the mounts are by their real names.
    let directory = realpath(mountDirectory, nil).map { path in
      defer { free(path) }
      return String(cString: path)
    }
    let prefix = (directory ?? mountDirectory) + "/"
    let found = try Mounts.list().filter { $0.mountPoint.hasPrefix(prefix) }
    try mounts.withLock { (mounts) throws(ApusError) in
      for mount in found {
        let name = mount.mountPoint.dropFirst(prefix.count)
        let candidates = layers.filter { $0.hex.hasPrefix(name) }
        if mount.type == "erofs", candidates.count == 1, mounts[candidates[0]] == nil {
          mounts[candidates[0]] = Mounted(path: "\(mountDirectory)/\(name)", leases: 0)
        } else {
          try unmount(mount.mountPoint)
        }
      }
    }
  }
}
