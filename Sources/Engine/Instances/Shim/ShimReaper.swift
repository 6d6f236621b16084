import Glibc
import Linux
import Logging

/// Sees a shim off whose connection has closed: waits for its process, so that no zombie is left.
enum ShimReaper {
  /// - Parameter child: this daemon started it; one that an earlier daemon started has been handed to init.
  /// - Returns: the waiting, for who must know that it is over; and whether the shim is known to have cleaned up.
  @discardableResult
  static func reap(_ process: pid_t, startTime: UInt64, child: Bool, logger: Logger) -> Task<Bool, Never> {
    Task {
      guard process > 0 else { return false }
      // It closes its connection as its last act, so this seldom takes a second look.
      var pause = Duration.microseconds(500)
      var waited = Duration.zero
      var clean = false
      while !isGone(process, startTime: startTime, child: child, clean: &clean) {
        try? await Task.sleep(for: pause)
        waited += pause
        pause = min(pause * 2, .milliseconds(100))
        if waited > .seconds(5) {
          logger.warning("shim \(process) has closed its connection but does not end: it is killed")
          if Processes.isRunning(process, startTime: startTime) {
            _ = try? Processes.send(signal: SIGKILL, toProcess: process)
          }
          waited = .zero
        }
      }
      return clean
    }
  }

  private static func isGone(_ process: pid_t, startTime: UInt64, child: Bool, clean: inout Bool) -> Bool {
    guard child else { return !Processes.isRunning(process, startTime: startTime) }
    do {
      guard let status = try Processes.wait(for: process, noHang: true) else { return false }
      clean = status.code == 0
      return true
    } catch {
      // ECHILD: somebody has waited for it.
      return true
    }
  }
}
