import CLinux
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

  /// One that is kept by a file (ip-netns(8)).
  public init(path: String) throws(ApusError) {
    file = try Files.open(path, flags: O_RDONLY | O_CLOEXEC)
  }

  private init(owning file: consuming OwnedDescriptor) { self.file = file }

  /// The one that the calling thread is in.
  public static func current() throws(ApusError) -> NetworkNamespace {
    NetworkNamespace(owning: try Files.open("/proc/thread-self/ns/net", flags: O_RDONLY | O_CLOEXEC))
  }

  /// A new one, with nothing in it but a loopback interface that is down. It ends with this object, unless something else
  /// has it by then.
  public static func make() throws(ApusError) -> NetworkNamespace {
    let own = try current()
    try check(clinux_unshare(CLONE_NEWNET), "cannot make a network namespace")
    defer { own.enterOrEnd() }
    return try current()
  }

  /// Executes `body` with the calling thread inside: sockets that it opens are this namespace's, and so is what it sees
  /// below /proc/sys/net.
  public func run<Result: ~Copyable>(
    _ body: () throws(ApusError) -> Result
  ) throws(ApusError) -> Result {
    let own = try Self.current()
    try check(clinux_setns(descriptor, CLONE_NEWNET), "cannot enter a network namespace")
    defer { own.enterOrEnd() }
    return try body()
  }

  /// A thread that stays in an instance's namespace would do the daemon's next work there.
  private func enterOrEnd() {
    guard clinux_setns(descriptor, CLONE_NEWNET) == 0 else {
      preconditionFailure("a thread cannot return to its network namespace")
    }
  }
}
