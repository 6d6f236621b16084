import Errors

extension Container {
  /// Lets the first process run its program; returns when the kernel has executed it. On failure the process has been
  /// reaped and the cgroup removed; the error's cause is an ``ExecFailure`` when the program could not be executed.
  public func start() throws(ApusError) {
    throw ApusError(.unsupported, "not yet")
  }
}
