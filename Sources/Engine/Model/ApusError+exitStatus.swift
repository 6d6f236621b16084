import Errors
import SandboxProtocol

extension ApusError {
  /// The status a shell would give for a start or exec that failed because of the program: 127 where it is not found,
  /// 126 where it cannot be run; nil where something else was to blame.
  public var exitStatus: Int32? { (cause as? StartFailure)?.exitStatus }
}
