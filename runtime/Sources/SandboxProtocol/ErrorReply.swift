import Errors
import RuntimeSpec

/// Why a request failed: the payload of ``FrameKind/error``.
public struct ErrorReply: JSONObject, Equatable {
  /// An `ErrorCode`, by name.
  public var code: String
  /// One sentence for the user.
  public var message: String
  /// What a shell would report for a program that could not be executed: 127 for not found, 126 for not executable.
  public var exitStatus: Int32?

  public init(code: String, message: String, exitStatus: Int32? = nil) {
    self.code = code
    self.message = message
    self.exitStatus = exitStatus
  }

  public init() { self.init(code: ErrorCode.internal.rawValue, message: "") }

  public init(_ error: ApusError, exitStatus: Int32? = nil) {
    self.init(code: error.code.rawValue, message: error.message, exitStatus: exitStatus)
  }

  /// The error to throw on the asking side; its cause is a ``StartFailure`` where there is an exit status.
  public var error: ApusError {
    let cause = exitStatus.map { StartFailure(exitStatus: $0) }
    // A code of a later version is still a failure.
    return ApusError(ErrorCode(rawValue: code) ?? .internal, message, cause: cause)
  }

  public mutating func readMember(_ member: String, from reader: inout JSONReader) throws(JSONError) -> Bool {
    switch member {
    case "code": try reader.read(&code)
    case "message": try reader.read(&message)
    case "exitStatus": try reader.read(&exitStatus)
    default: return false
    }
    return true
  }

  public func writeMembers(to writer: inout JSONWriter) {
    writer.put("code", code)
    writer.put("message", message)
    writer.putIfSet("exitStatus", exitStatus)
  }
}

/// The cause of an error from ``FrameKind/start`` or ``FrameKind/exec`` when the program could not be executed.
public struct StartFailure: Error, Sendable, Equatable {
  public let exitStatus: Int32
  public init(exitStatus: Int32) { self.exitStatus = exitStatus }
}
