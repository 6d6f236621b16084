import Errors
import FoundationEssentials
import Glibc
import ImageSpec
import Layers
import Linux

extension Instance {
  /// What `path` names in the instance, itself: a link in its last component is not followed.
  ///
  /// - Throws: `notFound` with Docker's sentence.
  public func stat(path: String) async throws -> PathStat {
    let root = try await tree()
    return try await services.blocking.run { [id] in
      try Self.naming(path, id) { () throws(ApusError) in PathStat(try Tree.stat(root: root.descriptor, path: path)) }
    }
  }

  /// `path` and everything below it as a tar stream (Docker's `GET /containers/{id}/archive`).
  ///
  /// - Throws: `notFound` with Docker's sentence.
  public func archive(path: String) async throws -> (PathStat, ByteStream) {
    let root = try await tree()
    let (stat, archive) = try await services.blocking.run { [id] in
      try Self.naming(path, id) { () throws(ApusError) in
        (
          PathStat(try Tree.stat(root: root.descriptor, path: path)),
          try Tree.archive(root: root.descriptor, path: path)
        )
      }
    }
    publish("archive-path")
    return (stat, ByteStream(archive, of: root, on: services.blocking))
  }

  /// Unpacks a tar stream into the existing directory `path` (Docker's `PUT /containers/{id}/archive`).
  ///
  /// - Parameters:
  ///   - noOverwriteDirNonDir: a directory is not replaced by something else, nor the reverse.
  ///   - copyUIDGID: everything belongs to the instance's user, whatever the archive says.
  /// - Throws: `notFound` where there is no such directory, `invalidArgument` where it is none or read-only.
  public func extract(
    into path: String, noOverwriteDirNonDir: Bool, copyUIDGID: Bool, from stream: ByteStream
  ) async throws {
    try checkWritable(path)
    var options = Tree.ExtractOptions()
    options.noOverwriteDirNonDir = noOverwriteDirNonDir
    if isUp {
      try await extract(into: path, options: options, copyUIDGID: copyUIDGID, from: stream, root: tree())
    } else {
      // The writable layer is ours until it is unpacked: a start waits.
      try await lifecycle.withLock {
        try await extract(
          into: path, options: options, copyUIDGID: copyUIDGID, from: stream, root: tree(writable: true))
      }
    }
    publish("extract-to-dir")
  }

  private func extract(
    into path: String, options: Tree.ExtractOptions, copyUIDGID: Bool, from stream: ByteStream, root: TreeRoot
  ) async throws {
    let (record, id) = (current, id)
    let extractor = try await services.blocking.run {
      var options = options
      if copyUIDGID { options.owner = try record.owner(in: root) }
      let chosen = options
      return try Self.naming(path, id) { () throws(ApusError) in
        try Tree.extract(root: root.descriptor, path: path, options: chosen)
      }
    }
    try await extractor.unpack(stream, on: services.blocking)
    withExtendedLifetime(root) {}
  }

  /// All files but those of volumes and other mounts, as a tar stream.
  public func export() async throws -> ByteStream {
    try checkPresent("export")
    let (record, paths, id, services, up) = (current, paths, id, services, isUp)
    let (archive, root) = try await services.blocking.run { () throws -> (TreeArchive, any AnyObject & Sendable) in
      if up {
        let root = try TreeRoot.running(record.state.pid, shim: record.state.shimPID, id: id, bare: true)
        return (try Tree.export(root: root.descriptor), root)
      }
      let root = try DetachedRoot(layers: record.layers, store: services.layers, upper: paths.upper)
      return (try Tree.export(root: root.descriptor), root)
    }
    publish("export")
    return ByteStream(archive, of: root, on: services.blocking)
  }

  /// Bytes of the writable layer, and with the image's.
  public func sizes() async throws -> (writable: Int64, total: Int64) {
    let (paths, record) = (paths, current)
    let writable = try await services.blocking.run { () throws -> Int64 in
      let upper = try Files.open(paths.upper, flags: O_RDONLY | O_DIRECTORY)
      return try Tree.diskUsage(upper.raw).bytes
    }
    let image = (try? await services.images.resolve(record.imageID.description).size) ?? 0
    return (writable, image + writable)
  }

  // MARK: Where the files are

  /// The root to reach them by: a running instance's own, else one put together for the purpose.
  func tree(writable: Bool = false) async throws -> TreeRoot {
    let (record, paths, id, services) = (current, paths, id, services)
    if isUp {
      let (pid, shim) = (record.state.pid, record.state.shimPID)
      return try await services.blocking.run { try TreeRoot.running(pid, shim: shim, id: id) }
    }
    try checkPresent("read or write the files of")
    return try await services.blocking.run {
      // What is mounted for a volume may not be there, after a reboot say.
      try services.volumes.prepare(record)
      return try StoppedTree(record: record, paths: paths, store: services.layers).open(writable: writable)
    }
  }

  func checkPresent(_ verb: String) throws {
    guard current.state.status != .removing, current.state.status != .dead else {
      throw ApusError(
        .conflict,
        "You cannot \(verb) container \(id) which is \(current.state.status == .dead ? "Dead" : "being removed")")
    }
  }

  /// Says what the kernel would only call a read-only file system.
  private func checkWritable(_ path: String) throws {
    let path = cleanPath("/" + path)
    let mount = current.mounts.filter { path == $0.target || path.hasPrefix($0.target + "/") }
      .max { $0.target.utf8.count < $1.target.utf8.count }
    if let mount {
      guard !mount.readOnly else { throw ApusError(.invalidArgument, "mounted volume is marked read-only") }
    } else if current.configuration.security.readOnlyRoot {
      throw ApusError(.invalidArgument, "container rootfs is marked read-only")
    }
  }

  /// Gives a missing file Docker's sentence.
  private static func naming<Result>(
    _ path: String, _ id: String, _ body: () throws(ApusError) -> Result
  ) throws(ApusError) -> Result {
    do {
      return try body()
    } catch  where error.code == .notFound {
      throw ApusError(.notFound, "Could not find the file \(path) in container \(id)", cause: error)
    }
  }
}

extension PathStat {
  init(_ status: Tree.Status) {
    self.init(
      name: status.name, size: status.size, mode: Tree.goMode(status.mode),
      modified: Date(
        timeIntervalSince1970: Double(status.modifiedSeconds) + Double(status.modifiedNanoseconds) / 1e9),
      linkTarget: status.linkTarget)
  }
}
