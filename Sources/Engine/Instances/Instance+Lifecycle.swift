import Errors
import FoundationEssentials
import Glibc
import Linux
import SandboxProtocol

extension Instance {
  // MARK: Start

  /// Starts the instance; waiting attaches are connected first.
  ///
  /// - Returns: false where it ran already (Docker's 304).
  /// - Throws: an error whose ``Errors/ApusError/exitStatus`` is 127 or 126 where the program is missing or cannot be run.
  @discardableResult
  public func start() async throws -> Bool {
    try await lifecycle.withLock {
      switch current.state.status {
      case .running: return false
      case .paused:
        throw ApusError(.conflict, "cannot start a paused container, try unpause instead")
      case .removing, .dead:
        throw ApusError(.conflict, "container is marked for removal and cannot be started")
      case .created, .exited, .restarting: break
      }
      cancelRestart()
      backoff.reset()
      current.state.restartCount = 0
      current.state.stoppedByUser = false
      try await bringUp()
      return true
    }
  }

  /// Starts, with the lock held and no sandbox there. On failure everything is undone and the reason is in the record.
  func bringUp() async throws {
    generation += 1
    let run = generation
    // With nobody to connect first, the start is on its way before the shim is even up.
    let startAtOnce = waitingSessions.isEmpty
    let record = current
    do {
      let peers = try await joinedPeers()
      let linked = try await linkedInstances()
      // The last life's cgroup has the same name.
      await leaving?.value
      leaving = nil
      // A layer's file can be lost (a power cut) while what it was made of is still here.
      if !record.layers.allSatisfy(services.layers.contains) { try await services.images.restoreLayers(record.layers) }
      let standby = await services.standby.claim(id, services)
      let (attachment, plugged) = try await attach(standby)
      let launch: Launch
      do {
        launch = try await services.lifecycle.run { [services] in
          try Launch.begin(
            record, standby: standby, peers: peers, linked: linked, attachment: attachment, plugged: plugged,
            services: services, startAtOnce: startAtOnce
          ) { [weak self] event in self?.hear(event, run: run) }
        }
      } catch {
        await detach(attachment)()
        throw error
      }
      do {
        try await complete(launch)
      } catch {
        launch.connection.close()
        // The shim still clears away, at the paths that the next start will use.
        _ = await ShimReaper.reap(launch.shimPID, startTime: launch.shimStartTime, child: true, logger: logger).value
        launch.lease.release()
        await detach(launch.attachment)()
        _ = unlink(paths.exit)
        throw error
      }
    } catch {
      await failedStart(error)
      throw error
    }
  }

  /// The instances whose namespaces this one joins, by the text that names them.
  private func joinedPeers() async throws -> [String: SandboxContext.Peer] {
    var peers: [String: SandboxContext.Peer] = [:]
    for text in current.configuration.joinedInstances {
      let peer = try services.index.resolve(text)
      guard peer.id != id else {
        throw ApusError(.invalidArgument, "cannot join own namespaces: container \(id) names itself")
      }
      let record = await peer.record
      peers[text] = SandboxContext.Peer(
        id: peer.id, pid: record.state.pid, paths: peer.paths, configuration: record.configuration)
    }
    return peers
  }

  private func complete(_ launch: Launch) async throws {
    let created = try await launch.connection.answer(launch.created)
    let process = try ProcessStarted(json: created, subject: "The shim's answer")
    var started = launch.started
    if !launch.attachment.endpoints.isEmpty, launch.plugged != process.pid {
      // It refuses to start a process other than the one that was plugged for.
      if let refused = started { _ = try? await launch.connection.answer(refused) }
      started = nil
      try await plug(launch, process: process.pid)
    }
    for session in takeWaitingSessions() { await connect(session) }
    _ = try await launch.connection.answer(try started ?? launch.connection.post(.start))
    _ = try await launch.connection.answer(launch.subscribed)

    sandbox = RunningSandbox(
      connection: launch.connection, lease: launch.lease, shimPID: launch.shimPID,
      shimStartTime: launch.shimStartTime, isChild: true)
    stopRequested = false
    current.state.status = .running
    current.state.pid = process.pid
    current.state.shimPID = launch.shimPID
    current.state.shimStartTime = launch.shimStartTime
    current.state.exitCode = 0
    current.state.oomKilled = false
    current.state.error = ""
    current.state.startedAt = Date()
    current.state.finishedAt = nil
    current.state.endpoints = launch.attachment.endpoints
    current.state.ports = launch.attachment.ports
    save()
    publish("start")
    // Attaches that came while it started.
    for session in takeWaitingSessions() { await connect(session) }
    startHealthChecks()
  }

  private func failedStart(_ error: any Error) async {
    let failure = error as? ApusError
    current.state.status = current.state.startedAt == nil ? .created : .exited
    current.state.pid = 0
    current.state.shimPID = 0
    current.state.error = failure?.message ?? "\(error)"
    current.state.exitCode = failure?.exitStatus ?? 128
    current.state.finishedAt = current.state.startedAt == nil ? nil : Date()
    save()
    for session in takeWaitingSessions() { session.end() }
    if current.configuration.removeOnExit, !restartRequested { await removeAfterExit() }
  }

  // MARK: The end

  /// What the shim tells, on the reactor's thread.
  nonisolated func hear(_ event: ShimConnection.Event, run: UInt64) {
    switch event {
    case .ended(let exit): Task { await ended(exit, run: run) }
    case .outOfMemory: Task { await publish("oom") }
    case .execExited(let exit): (try? services.index.exec(exit.id))?.ended(exit.exitCode)
    case .closed: break
    }
  }

  private func ended(_ exit: ExitRecord?, run: UInt64) async {
    await lifecycle.withLock {
      // A failed start ends its shim too; that is no exit of the instance.
      guard run == generation, isUp, let sandbox else { return }
      await finish(exit, sandbox)
    }
  }

  /// The sandbox is gone: notes how it ended, gives back what it had, and does what the policies say. With the lock held.
  func finish(_ exit: ExitRecord?, _ ended: RunningSandbox) async {
    let exit = if let exit { exit } else { await recoverExit(of: ended) }
    ended.connection.close()
    let disconnecting = await detach(takeAttachment())
    leaving = clearAway(ended, then: disconnecting)
    ended.lease.release()
    SharedMemory.remove(paths)
    sandbox = nil
    stopHealthChecks()
    for exec in services.index.execs(of: id) { exec.endedWithInstance() }

    let uptime = current.state.startedAt.map { Date().timeIntervalSince($0) } ?? 0
    noteExit(exit)
    let restarts =
      !stopRequested && !restartRequested && !services.isClosing
      && current.configuration.restartPolicy.restarts(
        afterExitCode: exit.exitCode, restarts: current.state.restartCount)
    if restarts {
      current.state.status = .restarting
      save()
    }
    publish("die", ["exitCode": String(exit.exitCode), "execDuration": String(Int(max(0, uptime)))])
    fulfilWaits([.notRunning, .nextExit])
    if restarts {
      scheduleRestart(uptime: .seconds(uptime))
    } else if current.configuration.removeOnExit, !restartRequested {
      await removeAfterExit()
    }
  }

  /// Sees the shim off, which removes the cgroup last, and removes that where the shim was killed before.
  private func clearAway(
    _ ended: RunningSandbox, then disconnecting: @escaping @Sendable () async -> Void
  ) -> Task<Void, Never> {
    let reaping = ShimReaper.reap(
      ended.shimPID, startTime: ended.shimStartTime, child: ended.isChild, logger: logger)
    let cgroup = LostSandbox.cgroup(of: current, services)
    return Task { [services] in
      await disconnecting()
      if await reaping.value { return }
      try? await services.blocking.run { try LostSandbox.removeCgroup(cgroup, services) }
    }
  }

  /// Writes an exit down.
  func noteExit(_ exit: ExitRecord) {
    current.state.status = .exited
    current.state.pid = 0
    current.state.shimPID = 0
    current.state.shimStartTime = 0
    current.state.exitCode = exit.exitCode
    current.state.oomKilled = exit.oomKilled
    current.state.error = exit.error ?? ""
    current.state.finishedAt = Date(timeIntervalSince1970: Double(exit.finishedAt) / 1e9)
    save()
  }

  /// How a container ended whose shim did not say so. Kills and removes what is left of it.
  private func recoverExit(of ended: RunningSandbox) async -> ExitRecord {
    let (paths, record, services) = (paths, current, services)
    do {
      return try await services.blocking.run {
        try LostSandbox.recoverExit(
          paths, record: record, shim: (ended.shimPID, ended.shimStartTime), services: services)
      }
    } catch {
      logger.error("instance \(id): cleaning up after its shim: \(error)")
      return LostSandbox.killed
    }
  }

  private func removeAfterExit() async {
    do {
      try await removeLocked(volumes: true)
    } catch {
      logger.error("instance \(id) could not be removed after its exit: \(error)")
    }
  }

  // MARK: Restart policy

  func scheduleRestart(uptime: Duration) {
    let delay = backoff.next(uptime: uptime)
    let run = generation
    restartTask = Task { [weak self] in
      guard (try? await Task.sleep(for: delay)) != nil else { return }
      await self?.restartByPolicy(run: run)
    }
  }

  private func restartByPolicy(run: UInt64) async {
    await lifecycle.withLock {
      guard run == generation, current.state.status == .restarting, !Task.isCancelled else { return }
      restartTask = nil
      current.state.restartCount += 1
      do {
        try await bringUp()
      } catch {
        // What cannot start now may later (a volume's server comes back): the policy goes on trying.
        let policy = current.configuration.restartPolicy
        guard policy.restarts(afterExitCode: current.state.exitCode, restarts: current.state.restartCount) else {
          return
        }
        current.state.status = .restarting
        save()
        scheduleRestart(uptime: .zero)
      }
    }
  }

  /// Gives up a restart that is due.
  func cancelRestart() {
    restartTask?.cancel()
    restartTask = nil
    if current.state.status == .restarting { current.state.status = .exited }
  }

  // MARK: Wait

  /// Waits and returns the exit code.
  public func wait(_ condition: WaitCondition = .notRunning) async throws -> ExitResult {
    try await registerWait(condition).result()
  }

  /// Registers a wait and returns at once, so that a client can be told (response headers) before the start it waits for.
  public func registerWait(_ condition: WaitCondition = .notRunning) async throws -> ExitWait {
    if condition == .notRunning, !isUp, current.state.status != .restarting {
      return ExitWait(condition, result: exitResult)
    }
    let wait = ExitWait(condition)
    waits.removeAll { $0.isAbandoned }
    waits.append(wait)
    return wait
  }

  private var exitResult: ExitResult { ExitResult(exitCode: current.state.exitCode, error: current.state.error) }

  func fulfilWaits(_ conditions: Set<WaitCondition>) {
    guard !waits.isEmpty else { return }
    let result = exitResult
    for wait in waits where conditions.contains(wait.condition) { wait.fulfil(result) }
    waits.removeAll { conditions.contains($0.condition) }
  }
}
