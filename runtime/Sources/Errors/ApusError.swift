/// What kind of failure an ``ApusError`` is. One table per API maps it to an HTTP status, a gRPC code or an exit status.
public enum ErrorCode: String, Sendable, Equatable, CaseIterable {
  /// What was named does not exist.
  case notFound
  /// The object exists, but not in a state that allows the operation; or the name is taken.
  case conflict
  /// The request itself is wrong, whatever the state of the system.
  case invalidArgument
  /// This build, host or isolation cannot do what was asked.
  case unsupported
  /// A limit, quota or disk is full, or the host cannot give as much as was asked.
  case resourceExhausted
  /// The caller, or the daemon itself, lacks the right to do it.
  case permissionDenied
  /// Something needed (a registry, a shim, a machine) does not answer.
  case unavailable
  /// It did not end in time.
  case deadlineExceeded
  /// A defect or a failure of the host that the caller could not have avoided.
  case `internal`
}

/// The one error type of Apus: a code, a sentence, a cause.
///
/// `message` is one sentence for the user: what failed, on what, why, and what to do. It never contains a Swift type
/// name, nor a bare errno. `cause` is for logs.
public struct ApusError: Error, Sendable, CustomStringConvertible {
  public let code: ErrorCode
  public let message: String
  public let cause: (any Error)?

  public init(_ code: ErrorCode, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  public var description: String { message }
}
