import Errors
import Glibc
import Linux

/// A network namespace, held by an open descriptor: it stays for as long as this does.
public final class NetworkNamespace: Sendable {
  private let file: OwnedDescriptor

  /// To pass to system calls while this lives.
  public var descriptor: Int32 { file.raw }

  /// The one that a process is in. The caller vouches for the number (a child not reaped yet, say).
  public init(of process: pid_t) throws(ApusError) {
    file = try Files.open("/proc/\(process)/ns/net", flags: O_RDONLY | O_CLOEXEC)
  }
}
