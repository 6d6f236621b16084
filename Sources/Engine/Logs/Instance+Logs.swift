import Errors

extension Instance {
  /// What the first process wrote, as the log has it. With `follow`, also what it will write until it ends.
  ///
  /// - Throws: `unsupported` where no log is kept.
  public func logs(_ options: LogOptions) async throws -> AsyncThrowingStream<LogEntry, any Error> {
    let stream = try await logStream(options)
    return AsyncThrowingStream(unfolding: { try await stream.next() })
  }

  /// The same in batches, of what there is at the moment: for whoever sends many entries at once.
  public func logBatches(_ options: LogOptions) async throws -> AsyncThrowingStream<[LogEntry], any Error> {
    let stream = try await logStream(options)
    return AsyncThrowingStream(unfolding: { try await stream.nextBatch() })
  }

  private func logStream(_ options: LogOptions) async throws -> LogStream {
    guard current.configuration.log.driver != "none" else {
      throw ApusError(.unsupported, "configured logging driver does not support reading")
    }
    // Registered before the log is opened: an end from now on is noticed.
    var ended: (@Sendable () async -> Void)?
    if options.follow, isUp {
      let wait = try await registerWait(.notRunning)
      ended = { _ = try? await wait.result() }
    }
    let (path, blocking, noticed) = (paths.log, services.blocking, ended)
    return try await blocking.run {
      try LogStream(path: path, options: options, blocking: blocking, ended: noticed)
    }
  }
}
