import Errors
import FoundationEssentials
import Glibc
import Linux
import Logging
import RuntimeSpec
import SandboxProtocol

/// Brings together, when a daemon starts, what the database says and what the host shows.
///
/// The host is right: a shim that answers is a running instance, whatever was last written about it; an exit file is an
/// exit; a record without a directory was being removed; a directory without a record was being created.
struct Reconciliation {
  let services: EngineServices
  /// How many instances are looked at side by side.
  private static let width = 32

  func run() async throws {
    let records = try await load()
    var instances: [Instance] = []
    for record in records {
      let instance = Instance(record: record, services: services)
      try services.index.reserve(name: record.name, for: record.id)
      services.index.insert(instance)
      services.volumes.adopt(record)
      instances.append(instance)
    }
    let attachments = try await services.blocking.run { [services] in try services.networks.stored() }
    await each(instances) { await $0.reconcile(attachments[$0.id]) }
    // Before any starts, which must find what the running ones have.
    var running: Set<String> = []
    for instance in instances where await instance.isUp { running.insert(instance.id) }
    do {
      let all = running
      try await services.blocking.run { [services] in try services.networks.restore(attachments, running: all) }
    } catch {
      services.logger.error("the networks on the host could not be brought up to date: \(error)")
    }
    try await services.blocking.run { [services] in services.trash.empty() }
    // Only when all are known: a policy's start may join another instance's namespaces.
    await each(instances) { await $0.startWithDaemon() }
  }

  private func each(_ instances: [Instance], _ body: @escaping @Sendable (Instance) async -> Void) async {
    await withTaskGroup(of: Void.self) { group in
      for (position, instance) in instances.enumerated() {
        if position >= Self.width { await group.next() }
        group.addTask { await body(instance) }
      }
    }
  }

  /// The records that still stand for something; the rest is cleaned up.
  private func load() async throws -> [InstanceRecord] {
    try await services.blocking.run { [services] in
      let (all, unreadable) = try services.store.load()
      let present = Set(try Self.names(in: services.paths.instances))
      var records: [InstanceRecord] = []
      for record in all {
        if present.contains(record.id) {
          records.append(record)
        } else {
          Self.discardLeftover(record.id, cgroup: LostSandbox.cgroup(of: record, services), services)
          services.store.noteDeletion(of: record.id)
        }
      }
      // What cannot be read belongs to a newer version, and is left for it.
      let known = Set(records.map(\.id)).union(unreadable)
      let running = Set(try Self.names(in: services.paths.runInstances))
      for id in present.union(running).subtracting(known) where Self.isIdentifier(id) {
        services.logger.debug("instance \(id): a leftover without a record is removed")
        Self.discardLeftover(id, cgroup: services.configuration.cgroupParent + "/" + id, services)
      }
      try services.store.flush()
      return records
    }
  }

  /// Only directories of this root and run directory say which ids are ours: other daemons' cgroups lie beside them.
  private static func discardLeftover(_ id: String, cgroup: String, _ services: EngineServices) {
    let paths = services.paths.instance(id)
    do {
      try LostSandbox.removeCgroup(cgroup, services)
      SharedMemory.remove(paths)
      try services.trash.discard(paths.directory, as: id)
      services.trash.delete(directory: paths.runDirectory)
    } catch {
      services.logger.error("instance \(id): its leftovers could not be removed: \(error)")
    }
  }

  private static func names(in directory: String) throws -> [String] {
    let directory = try Files.open(directory, flags: O_RDONLY | O_DIRECTORY)
    return try Files.entries(of: directory.raw).map(\.name)
  }

  private static func isIdentifier(_ name: String) -> Bool {
    name.utf8.count == 64
      && name.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }
}

extension Instance {
  /// How long a shim may take to answer a new daemon.
  private static let adoptionLimit = Duration.seconds(10)

  /// Finds out whether the sandbox still runs, and how it ended if not.
  ///
  /// - Parameter attachment: what was written down that it has of the networks.
  func reconcile(_ attachment: Attachment?) async {
    await lifecycle.withLock {
      let believed = current.state
      let mayRun = isUp || Files.exists(paths.socket)
      if mayRun {
        do {
          if try await adopt(attachment) { return }
        } catch {
          logger.warning("instance \(id): its shim cannot be taken over: \(error)")
        }
      }
      switch believed.status {
      case .running, .paused: await finishLost()
      case .restarting, .removing: current.state.status = .exited
      case .created where Files.exists(paths.exit), .exited where mayRun && Files.exists(paths.exit):
        // Started and ended between two writes of the daemon that was killed.
        await finishLost()
      case .created where mayRun, .exited where mayRun:
        // Its start was under way; the shim died with the daemon, or dies now.
        await discardSandbox()
      default: break
      }
      if current.configuration.removeOnExit, current.state.status == .exited, current.state.startedAt != nil {
        do {
          try await removeLocked(volumes: true)
        } catch {
          logger.error("instance \(id) could not be removed after its exit: \(error)")
        }
      }
    }
  }

  /// What the restart policy wants of an instance that does not run when the daemon starts.
  func startWithDaemon() async {
    await lifecycle.withLock {
      guard !isUp, services.index.contains(id: id), current.state.status == .exited,
        current.configuration.restartPolicy.startsWithDaemon(current.state)
      else { return }
      do {
        try await bringUp()
      } catch {
        logger.warning("instance \(id) could not be started by its restart policy: \(error)")
        guard current.state.status == .exited else { return }
        current.state.status = .restarting
        save()
        scheduleRestart(uptime: .zero)
      }
    }
  }

  /// Takes over a shim that an earlier daemon started.
  ///
  /// - Returns: false where there is none, or its container has ended.
  private func adopt(_ attachment: Attachment?) async throws -> Bool {
    generation += 1
    let run = generation
    let (services, paths, record) = (services, paths, current)
    let connection: ShimConnection
    do {
      connection = try await services.blocking.run {
        ShimConnection(
          socket: try UnixSocket.connect(to: paths.socket, nonBlocking: true), reactor: services.reactor
        ) { [weak self] event in self?.hear(event, run: run) }
      }
    } catch let error as ApusError where error.code == .notFound || error.code == .unavailable {
      return false
    }
    let timer = Task {
      guard (try? await Task.sleep(for: Self.adoptionLimit)) != nil else { return }
      connection.close()
    }
    defer { timer.cancel() }
    let subscribed = try connection.post(.subscribe)
    let asked = try connection.post(.state)
    do {
      _ = try await connection.answer(subscribed)
      let state = try SandboxState(json: await connection.answer(asked), subject: "The shim's answer")
      guard state.status == "running" || state.status == "paused" else {
        connection.close()
        return false
      }
      let lease = try await services.blocking.run {
        if let attachment { services.networks.adopt(attachment, of: record, process: state.pid) }
        return try services.layers.acquire(record.layers)
      }
      // The peer of a socket cannot lie about its number.
      let shim = try connection.peer()
      sandbox = RunningSandbox(
        connection: connection, lease: lease, shimPID: shim, shimStartTime: try Processes.startTime(of: shim),
        isChild: false)
      current.state.status = state.status == "paused" ? .paused : .running
      current.state.pid = state.pid
      current.state.shimPID = shim
      current.state.shimStartTime = sandbox?.shimStartTime ?? 0
      current.state.startedAt = current.state.startedAt ?? Date()
      current.state.finishedAt = nil
      current.state.endpoints = attachment?.endpoints ?? []
      current.state.ports = attachment?.ports ?? []
      save()
      startHealthChecks()
      return true
    } catch {
      connection.close()
      throw error
    }
  }

  /// The exit of an instance that ran when the last daemon was there.
  private func finishLost() async {
    let (services, paths, record) = (services, paths, current)
    let exit: ExitRecord
    do {
      exit = try await services.blocking.run {
        try LostSandbox.recoverExit(
          paths, record: record, shim: (record.state.shimPID, record.state.shimStartTime), services: services)
      }
    } catch {
      logger.error("instance \(id): cleaning up after its shim: \(error)")
      exit = LostSandbox.killed
    }
    if current.state.startedAt == nil { current.state.startedAt = current.created }
    (current.state.endpoints, current.state.ports) = ([], [])
    noteExit(exit)
    publish("die", ["exitCode": String(exit.exitCode)])
  }

  private func discardSandbox() async {
    let (services, record) = (services, current)
    do {
      try await services.blocking.run {
        try LostSandbox.removeCgroup(LostSandbox.cgroup(of: record, services), services)
      }
    } catch {
      logger.error("instance \(id): removing an unfinished sandbox: \(error)")
    }
  }

  /// The engine closes; the instance goes on without it.
  func letGo() {
    stopHealthChecks()
    restartTask?.cancel()
    restartTask = nil
    generation += 1
    sandbox?.connection.close()
    sandbox = nil
  }
}
