import Errors
import FoundationEssentials
import Glibc
import ImageSpec
import Layers
import Linux
import Logging

extension Engine {
  /// Opens the engine: state is loaded, running shims are adopted, the rest is reconciled, restart policies apply.
  ///
  /// - Throws: `conflict` where another daemon uses the root.
  public static func open(_ configuration: EngineConfiguration, logger: Logger) async throws -> Engine {
    raiseDescriptorLimit(logger)
    // The mode of a writable layer is the mode of its container's root directory.
    umask(0o022)
    // The engine's own files are written and read by many at once; shims are spawned from here too.
    let blocking = BlockingPool(threads: 8)
    let index = InstanceIndex()
    let (services, lock, lost) = try await blocking.run { () -> (EngineServices, RootLock, [Digest]) in
      let paths = EnginePaths(configuration)
      try makeDirectories(paths)
      // Before the host is examined, of which the profile is a part.
      do { try AppArmor.loadDefaultProfile(by: paths.runDirectory) } catch {
        logger.warning("instances that name no AppArmor profile are not confined by one: \(error)")
      }
      let lock = try RootLock(paths.lock)
      let events = EventBus()
      let database = try StateDatabase(path: paths.database)
      let content = try ContentStore(root: paths.content)
      let layers = try LayerStores.open(
        root: paths.layers, runDirectory: paths.runDirectory, content: content, form: configuration.layerStore)
      let lost = try layers.recover()
      let images = try ImageService(
        database: database.queue, content: content, layers: layers, blocking: blocking,
        uses: { await index.imageUses() }, publish: { events.publish($0) }, settings: configuration.images,
        logger: logger)
      let trash = try Trash(root: paths.trash, blocking: blocking, logger: logger)
      let volumes = try VolumeService(
        root: paths.volumes, database: database.queue, layers: layers, blocking: blocking,
        discard: { try trash.discard($0, as: $1) }, publish: { events.publish($0) }, logger: logger)
      let identity = try identity(paths)
      let networks = try NetworkService(
        database: database.queue, blocking: blocking, index: index, identity: identity,
        settings: configuration.networks ?? NetworkSettings(root: configuration.root, identity: identity),
        publish: { events.publish($0) }, logger: logger)
      let services = EngineServices(
        configuration: configuration, identity: identity, logger: logger, events: events, index: index,
        database: database, store: InstanceStore(database: database, blocking: blocking, logger: logger),
        content: content, layers: layers, images: images, volumes: volumes,
        networks: networks, trash: trash, cgroups: try Cgroups.detect(),
        runtime: try RuntimeExecutable(path: configuration.runtimePath), reactor: try ShimReactor(), blocking: blocking)
      return (services, lock, lost)
    }
    let engine = Engine(services: services, lock: lock)
    services.networks.setEviction { [weak services] network in
      if let services { await services.standby.evict(network: network, services) }
    }
    // Before an instance that needs them is restarted.
    await services.images.restoreLost(lost)
    try await Reconciliation(services: services).run()
    engine.startMaintenance()
    return engine
  }

  /// Writes what is noted and lets go of everything. Instances go on.
  public func shutdown() async {
    services.beginClosing()
    stopMaintenance()
    // While the running ones still hold theirs.
    try? await services.blocking.run { [services] in services.layers.unmountIdle(grace: .zero) }
    for instance in services.index.all() { await instance.letGo() }
    await services.standby.close(services)
    // What is not deleted by then, the next daemon deletes.
    await services.trash.drain(limit: .seconds(2))
    do {
      try await services.blocking.run { [services] in
        services.networks.close()
        try services.store.flush()
        // A clean stop leaves nothing to verify.
        try services.images.synchronize()
        try services.database.close()
      }
    } catch {
      services.logger.error("closing the state database: \(error)")
    }
    services.reactor.stop()
    await services.blocking.shutdown()
    await services.lifecycle.shutdown()
    lock.release()
  }

  /// Three descriptors and more go to every running instance; the usual soft limit is 1,024.
  private static func raiseDescriptorLimit(_ logger: Logger) {
    guard let limit = ResourceLimit(named: "NOFILE") else { return }
    do {
      let hard = try limit.current().hard
      try limit.set(soft: hard, hard: hard)
    } catch {
      logger.warning("the limit of open files stays as it is: \(error)")
    }
  }

  private static func makeDirectories(_ paths: EnginePaths) throws {
    for directory in [paths.root, paths.runDirectory] {
      guard directory.hasPrefix("/"), !directory.utf8.contains(0) else {
        throw ApusError(.invalidArgument, "The directory \(directory) is not an absolute path.")
      }
      try Files.makeDirectories(directory, mode: 0o711)
    }
    // Containers' users must be able to pass through, nobody else to look.
    try Files.makeDirectory(paths.instances, mode: 0o711)
    try Files.makeDirectory(paths.runInstances, mode: 0o711)
    try Files.makeDirectory(paths.seccompCache, mode: 0o700)
  }

  private static func identity(_ paths: EnginePaths) throws -> String {
    if Files.exists(paths.identity) {
      let text = String(decoding: try Files.read(paths.identity, limit: 128), as: UTF8.self).trimmed
      if !text.isEmpty { return text }
    }
    let new = UUID().uuidString.lowercased()
    // What it names on the host and in the database must not outlive it.
    try Files.writeAtomically(Array(new.utf8), to: paths.identity, mode: 0o600, synchronize: true)
    return new
  }
}

/// A root belongs to one daemon at a time: two would each take the other's instances for leftovers.
final class RootLock: Sendable {
  private let descriptor: Int32

  init(_ path: String) throws {
    let file = try Files.open(path, flags: O_RDWR | O_CREAT, mode: 0o600)
    if flock(file.raw, LOCK_EX | LOCK_NB) < 0 {
      if errno == EWOULDBLOCK {
        throw ApusError(
          .conflict,
          "Another daemon uses the root \(path.dropLast("/lock".count)): stop it, or give this one another root.")
      }
      try check(-1 as Int32, "cannot lock \(path)")
    }
    descriptor = file.release()
  }

  /// For shutdown: before the last reference goes.
  func release() { flock(descriptor, LOCK_UN) }

  deinit { close(descriptor) }
}
