import FoundationEssentials

/// How long to wait before a restart: 100 ms, doubled each time up to a minute, from the beginning again once an
/// instance has stayed up for ten seconds.
struct RestartBackoff: Sendable {
  static let first = Duration.milliseconds(100)
  static let longest = Duration.seconds(60)
  static let settled = Duration.seconds(10)

  private var last: Duration?

  mutating func next(uptime: Duration) -> Duration {
    guard let last, uptime < Self.settled else {
      self.last = Self.first
      return Self.first
    }
    let delay = min(last * 2, Self.longest)
    self.last = delay
    return delay
  }

  mutating func reset() { last = nil }
}

extension RestartPolicy {
  /// Whether an instance that ended by itself is started again.
  ///
  /// - Parameter restarts: how often this policy has started it since the user last did.
  func restarts(afterExitCode exitCode: Int32, restarts: Int) -> Bool {
    switch condition {
    case .no: false
    case .always, .unlessStopped: true
    case .onFailure: exitCode != 0 && (maximumRetries == 0 || restarts < maximumRetries)
    }
  }

  /// Whether an instance that does not run when the daemon starts is started.
  func startsWithDaemon(_ state: InstanceState) -> Bool {
    guard state.startedAt != nil else { return false }
    return switch condition {
    case .no: false
    case .always: true
    case .unlessStopped: !state.stoppedByUser
    case .onFailure:
      !state.stoppedByUser && restarts(afterExitCode: state.exitCode, restarts: state.restartCount)
    }
  }
}
