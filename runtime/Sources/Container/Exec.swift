import Errors

extension Container {
  /// Runs one more process in the running container; returns when the kernel has executed its program. On failure the
  /// process has been reaped; the error's cause is an ``ExecFailure`` when the program could not be executed.
  public func exec(_ configuration: ExecConfiguration) throws(ApusError) -> ExecProcess {
    throw ApusError(.unsupported, "not yet")
  }
}
