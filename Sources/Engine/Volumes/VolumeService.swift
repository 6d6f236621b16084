import Errors
import FoundationEssentials
import GRDB
import Glibc
import Layers
import Linux
import Logging
import Synchronization

/// The volumes of one engine: directories `<root>/<name>/_data`, their labels and options in the state database, and which
/// instances have them.
///
/// A volume is there from before its row is written until after its row is deleted; a row without a directory is what a
/// daemon left that was killed while it removed one.
public final class VolumeService: Sendable {
  private struct Entry {
    var volume: Volume
    var users: Set<String> = []
  }

  let root: String
  private let database: any DatabaseWriter
  let layers: any LayerStore
  let blocking: BlockingPool
  private let discard: @Sendable (_ directory: String, _ name: String) throws -> Void
  private let publish: @Sendable (EngineEvent) -> Void
  private let logger: Logger
  private let entries = Mutex<[String: Entry]>([:])
  /// Held while directories, mounts and rows change. Taken on threads that may block, and before `entries`.
  private let changing = Mutex<Void>(())

  /// - Parameters:
  ///   - root: made where it does not exist.
  ///   - database: the engine's state database; the table is made here.
  ///   - layers: where content for empty volumes comes from.
  ///   - discard: takes a directory out of its place, to be deleted later.
  ///   - publish: where the `volume` events go.
  /// - Throws: when the table or the directory cannot be made. Blocks.
  public init(
    root: String, database: any DatabaseWriter, layers: any LayerStore, blocking: BlockingPool,
    discard: @escaping @Sendable (_ directory: String, _ name: String) throws -> Void,
    publish: @escaping @Sendable (EngineEvent) -> Void = { _ in }, logger: Logger
  ) throws {
    self.root = root
    self.database = database
    self.layers = layers
    self.blocking = blocking
    self.discard = discard
    self.publish = publish
    self.logger = logger
    try Files.makeDirectories(root, mode: 0o711)
    var migrator = DatabaseMigrator()
    VolumeTable.register(in: &migrator)
    try migrator.migrate(database)
    let all = try write { try VolumeTable.all($0) { "\(root)/\($0)/_data" } }
    for volume in all {
      if Files.exists(volume.mountpoint) {
        entries.withLock { $0[volume.name] = Entry(volume: volume) }
      } else {
        try write { try VolumeTable.delete(volume.name, $0) }
      }
    }
  }

  // MARK: What the API asks for

  /// Makes a volume, or returns the one that has this name already.
  ///
  /// - Parameters:
  ///   - name: nil or empty: an anonymous volume with a name of its own.
  ///   - driver: nil, empty or `local`.
  /// - Throws: `invalidArgument` for a wrong name or option, `notFound` for another driver.
  public func create(
    name: String? = nil, driver: String? = nil, options: [String: String] = [:], labels: [String: String] = [:]
  ) async throws -> Volume {
    let (volume, made) = try await blocking.run { [self] in
      try ensure(name ?? "", driver: driver, options: options, labels: labels, user: nil)
    }
    if made { event("create", volume.name) }
    return volume
  }

  /// The volume with exactly this name. - Throws: `notFound`.
  public func get(_ name: String) async throws -> Volume {
    guard let volume = entries.withLock({ $0[name].map(Self.value) }) else { throw Self.noSuchVolume(name) }
    return volume
  }

  /// Every volume, by name; with `withUsage`, how much each takes on disk.
  public func list(withUsage: Bool = false) async throws -> [Volume] {
    var volumes = entries.withLock { $0.values.map(Self.value) }.sorted { $0.name < $1.name }
    guard withUsage else { return volumes }
    for index in volumes.indices { volumes[index].size = try? await size(of: volumes[index]) }
    return volumes
  }

  /// Removes a volume with everything in it.
  ///
  /// - Parameter force: one that is not there is fine.
  /// - Throws: `conflict` while an instance has it, `notFound`.
  public func remove(_ name: String, force: Bool = false) async throws {
    do {
      try await blocking.run { [self] in try removeUnused(name) }
    } catch let error as ApusError where force && error.code == .notFound {
      return
    }
    event("destroy", name)
  }

  /// Removes every volume that no instance has and that `filter` wants gone.
  public func prune(
    filter: @Sendable (Volume) -> Bool
  ) async throws -> (names: [String], reclaimed: Int64) {
    var names: [String] = []
    var reclaimed: Int64 = 0
    for volume in try await list() where volume.usedBy == 0 && filter(volume) {
      let size = (try? await size(of: volume)) ?? 0
      do {
        try await remove(volume.name)
        names.append(volume.name)
        reclaimed += size
      } catch {
        // Somebody took it meanwhile, or it cannot be removed: the others still can.
        logger.notice("prune: volume \(volume.name): \(error)")
      }
    }
    publish(
      EngineEvent(
        kind: "volume", action: "prune", subject: "", attributes: ["reclaimed": String(reclaimed)], time: Date()))
    return (names, reclaimed)
  }

  private func size(of volume: Volume) async throws -> Int64 {
    try await blocking.run {
      let directory = try Files.open(volume.mountpoint, flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      return try Tree.diskUsage(directory.raw).bytes
    }
  }

  // MARK: Users

  /// Notes that an instance that exists already has its volumes. For every record, when the engine opens.
  public func adopt(_ record: InstanceRecord) {
    entries.withLock { entries in
      for mount in record.mounts where mount.kind == .volume { entries[mount.name]?.users.insert(record.id) }
    }
  }

  /// Gives the instance's volumes back; with `removeAnonymous`, those that were made for it and that nobody else has go.
  public func release(_ record: InstanceRecord, removeAnonymous: Bool) async {
    guard record.mounts.contains(where: { $0.kind == .volume }) else { return }
    await release(record.mounts, of: record.id, removeAnonymous: removeAnonymous)
  }

  func release(_ mounts: [ResolvedMount], of id: String, removeAnonymous: Bool) async {
    var removed: [String] = []
    do {
      removed = try await blocking.run { [self] in
        var removed: [String] = []
        for mount in mounts where mount.kind == .volume {
          letGo(mount.name, user: id)
          guard removeAnonymous, mount.anonymous else { continue }
          do {
            try removeUnused(mount.name)
            removed.append(mount.name)
          } catch let error as ApusError where error.code == .conflict || error.code == .notFound {
            // Another instance has it too (`--volumes-from`), or it is gone.
          } catch {
            logger.warning("anonymous volume \(mount.name) could not be removed: \(error)")
          }
        }
        return removed
      }
    } catch {
      logger.warning("the volumes of instance \(id) could not be given back: \(error)")
    }
    for name in removed { event("destroy", name) }
  }

  /// What is mounted for a volume goes when its last user goes.
  private func letGo(_ name: String, user: String) {
    changing.withLock { _ in
      let unused = entries.withLock { entries -> Volume? in
        entries[name]?.users.remove(user)
        guard let entry = entries[name], entry.users.isEmpty, !entry.volume.options.isEmpty else { return nil }
        return entry.volume
      }
      if let unused { VolumeOptions.unmount(unused.mountpoint) }
    }
  }

  // MARK: Directories and rows (all of it blocks)

  /// The volume of this name, made where it is not there, with `user` noted as having it.
  func ensure(
    _ name: String, driver: String?, options: [String: String], labels: [String: String], user: String?
  ) throws -> (volume: Volume, made: Bool) {
    if let driver, !driver.isEmpty, driver != "local" {
      throw ApusError(
        .notFound, "create \(name): error looking up volume plugin \(driver): plugin \"\(driver)\" not found")
    }
    if !name.isEmpty {
      do throws(ApusError) { try VolumeName.check(name) } catch {
        throw ApusError(error.code, "create \(name.prefix(260)): \(error.message)", cause: error)
      }
    }
    do throws(ApusError) { _ = try VolumeOptions(options) } catch {
      throw ApusError(error.code, "create \(name): \(error.message)", cause: error)
    }
    return try changing.withLock { _ in
      let known = entries.withLock { entries -> Volume? in
        if let user { entries[name]?.users.insert(user) }
        return entries[name].map(Self.value)
      }
      if let known { return (known, false) }
      let anonymous = name.isEmpty
      let name = anonymous ? VolumeName.anonymous() : name
      let directory = "\(root)/\(name)"
      let volume = Volume(
        name: name, mountpoint: directory + "/_data", created: Date(),
        labels: anonymous ? labels.merging([Volume.anonymousLabel: ""]) { $1 } : labels, options: options,
        anonymous: anonymous)
      try Files.makeDirectory(directory, mode: 0o701)
      try Files.makeDirectory(volume.mountpoint, mode: 0o755)
      do {
        try write { try VolumeTable.insert(volume, $0) }
      } catch {
        try? discard(directory, name)
        throw error
      }
      entries.withLock { $0[name] = Entry(volume: volume, users: user.map { [$0] } ?? []) }
      return (volume, true)
    }
  }

  private func removeUnused(_ name: String) throws {
    try changing.withLock { _ in
      let volume = try entries.withLock { entries -> Volume in
        guard let entry = entries[name] else { throw Self.noSuchVolume(name) }
        guard entry.users.isEmpty else {
          throw ApusError(
            .conflict, "remove \(name): volume is in use - [\(entry.users.sorted().joined(separator: ", "))]")
        }
        return entry.volume
      }
      // Deleting must never walk into what is only mounted here.
      if !volume.options.isEmpty { VolumeOptions.unmount(volume.mountpoint) }
      guard try !VolumeOptions.isMounted("\(root)/\(name)") else {
        throw ApusError(.conflict, "remove \(name): something is still mounted in \(root)/\(name): unmount it first")
      }
      try discard("\(root)/\(name)", "volume-\(name)")
      try write { try VolumeTable.delete(name, $0) }
      entries.withLock { _ = $0.removeValue(forKey: name) }
    }
  }

  /// Everything an instance's mounts need on the host: what is mounted for a volume, and sources of binds. For every
  /// start; blocks.
  ///
  /// - Throws: `invalidArgument` where a bind's source is gone, `notFound` where a volume is.
  public func prepare(_ record: InstanceRecord) throws {
    for mount in record.mounts {
      switch mount.kind {
      case .tmpfs: continue
      case .bind: try prepareBind(mount, record.configuration)
      case .volume:
        guard let volume = entries.withLock({ $0[mount.name]?.volume }) else { throw Self.noSuchVolume(mount.name) }
        guard let options = try VolumeOptions(volume.options) else { continue }
        try changing.withLock { _ in
          if try !VolumeOptions.isMounted(volume.mountpoint) { try options.mount(on: volume.mountpoint) }
        }
      }
    }
  }

  private func prepareBind(_ mount: ResolvedMount, _ configuration: InstanceConfiguration) throws {
    var status = stat()
    if stat(mount.source, &status) == 0 { return }
    let asked = configuration.mounts.first { $0.kind == .bind && cleanPath($0.target) == mount.target }
    // Inherited by `--volumes-from`: as its first owner would have it.
    guard asked?.createSource ?? true else {
      throw ApusError(
        .invalidArgument,
        "invalid mount config for type \"bind\": bind source path does not exist: \(mount.source)")
    }
    do {
      try Files.makeDirectories(mount.source)
    } catch {
      throw ApusError(
        error.code, "error while creating mount source path '\(mount.source)': \(describe(errno: error.errno ?? EIO))",
        cause: error)
    }
  }

  // MARK: Small things

  private static func value(_ entry: Entry) -> Volume {
    var volume = entry.volume
    volume.usedBy = entry.users.count
    return volume
  }

  static func noSuchVolume(_ name: String) -> ApusError { ApusError(.notFound, "get \(name): no such volume") }

  func event(_ action: String, _ name: String) {
    publish(EngineEvent(kind: "volume", action: action, subject: name, attributes: ["driver": "local"], time: Date()))
  }

  private func write<Result>(_ body: (Database) throws -> Result) throws -> Result {
    do {
      return try database.write(body)
    } catch let error as DatabaseError {
      throw ApusError(
        error.resultCode == .SQLITE_FULL ? .resourceExhausted : .internal,
        "the state database refused: \(error.message ?? "no reason given")", cause: error)
    }
  }
}
