import Errors

/// The cause of a start or exec that failed because of the program: the status a shell would give.
public struct ExitStatus: Error, Sendable, Equatable {
  /// 127: not found; 126: found, not runnable; 128: anything else.
  public let value: Int32
  public init(_ value: Int32) { self.value = value }
}

extension ApusError {
  /// The exit status that goes with a failed start or exec, where the program was to blame.
  public var exitStatus: Int32? { (cause as? ExitStatus)?.value }
}
