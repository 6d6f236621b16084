import CLinux
import Errors
import Glibc

/// A file descriptor with exactly one owner: closed when the owner ends.
public struct OwnedDescriptor: ~Copyable, Sendable {
  /// The number, to pass to system calls while the owner lives.
  public let raw: Int32

  /// Takes over `raw`, which nobody else may close from now on.
  public init(owning raw: Int32) { self.raw = raw }

  deinit { _ = Glibc.close(raw) }

  /// Gives the descriptor away: the caller closes it.
  public consuming func release() -> Int32 {
    let raw = self.raw
    discard self
    return raw
  }

  /// A second descriptor of the same open file, close-on-exec, numbered `minimum` or higher.
  public func duplicate(minimum: Int32 = 0) throws(ApusError) -> OwnedDescriptor {
    OwnedDescriptor(
      owning: try check(clinux_fcntl(raw, F_DUPFD_CLOEXEC, Int(minimum)), "cannot duplicate a file descriptor"))
  }

  /// `/proc/self/fd/N`: the open file as a path, for calls that take no descriptor.
  public var path: String { "/proc/self/fd/\(raw)" }
}

/// A pipe; both ends close-on-exec.
@frozen
public struct Pipe: ~Copyable, Sendable {
  public var readEnd: OwnedDescriptor
  public var writeEnd: OwnedDescriptor

  public init(flags: Int32 = O_CLOEXEC) throws(ApusError) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutablePointer(to: &ends) {
      $0.withMemoryRebound(to: Int32.self, capacity: 2) { pipe2($0, flags) }
    }
    try check(result, "cannot make a pipe")
    readEnd = OwnedDescriptor(owning: ends.0)
    writeEnd = OwnedDescriptor(owning: ends.1)
  }
}

/// Closes every descriptor numbered `first` or higher (close_range(2)).
public func closeDescriptors(from first: Int32) {
  _ = clinux_close_range(UInt32(first), UInt32.max, 0)
}

/// Marks every descriptor numbered `first` or higher close-on-exec.
public func markCloseOnExec(from first: Int32) {
  _ = clinux_close_range(UInt32(first), UInt32.max, 1 << 2)
}
