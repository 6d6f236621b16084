import Errors
import Glibc

/// The system call behind an ``ApusError``: what was being done, and the errno it ended with.
public struct SystemFailure: Error, Sendable, Equatable {
  /// errno(3).
  public let errno: Int32
  /// What was being done, in words.
  public let stage: String

  public init(errno: Int32, stage: String) {
    self.errno = errno
    self.stage = stage
  }
}

extension ApusError {
  /// "`stage`: why", with the code that `errno` stands for.
  public init(errno: Int32, _ stage: String) {
    self.init(
      ErrorCode(errno: errno), "\(stage): \(describe(errno: errno))", cause: SystemFailure(errno: errno, stage: stage))
  }

  /// The errno of the system call that caused it, if one did.
  public var errno: Int32? { (cause as? SystemFailure)?.errno }
}

extension ErrorCode {
  /// The code that an errno(3) stands for where nothing more is known.
  public init(errno: Int32) {
    switch errno {
    case ENOENT, ESRCH, ENXIO, ENODEV: self = .notFound
    case EACCES, EPERM, EROFS: self = .permissionDenied
    case ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM, EAGAIN, EUSERS: self = .resourceExhausted
    case EBUSY, EEXIST, ENOTEMPTY: self = .conflict
    case EINVAL, ENOTDIR, EISDIR, ELOOP, ENAMETOOLONG, ERANGE, E2BIG, EXDEV: self = .invalidArgument
    case ENOSYS, EOPNOTSUPP, ENOTBLK: self = .unsupported
    case ETIMEDOUT: self = .deadlineExceeded
    case ECONNREFUSED, ECONNRESET, EPIPE: self = .unavailable
    default: self = .internal
    }
  }
}

/// errno(3) in lower-case words, as a sentence continues with them.
public func describe(errno: Int32) -> String {
  guard let text = strerror(errno) else { return "error \(errno)" }
  let words = String(cString: text)
  // "No such file" becomes "no such file", "RPC struct is bad" stays.
  guard let first = words.first, let second = words.dropFirst().first, second.isLowercase || second == " " else {
    return words
  }
  return first.lowercased() + words.dropFirst()
}

/// Turns the -1 of a system call into an ``ApusError`` that names the stage; passes every other result on.
@discardableResult @inline(__always)
public func check(_ result: Int32, _ stage: @autoclosure () -> String) throws(ApusError) -> Int32 {
  if result >= 0 { return result }
  let why = errno
  throw ApusError(errno: why, stage())
}

/// The same for calls that return a length.
@discardableResult @inline(__always)
public func check(_ result: Int, _ stage: @autoclosure () -> String) throws(ApusError) -> Int {
  if result >= 0 { return result }
  let why = errno
  throw ApusError(errno: why, stage())
}

/// Repeats a system call while a signal interrupts it.
@inline(__always)
public func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result >= 0 || errno != EINTR { return result }
  }
}
