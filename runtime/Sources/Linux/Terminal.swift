import CLinux
import Errors
import Glibc

/// Both ends of a pseudo-terminal.
@frozen
public struct PseudoTerminal: ~Copyable, Sendable {
  public var master: OwnedDescriptor
  public var slave: OwnedDescriptor

  public init(master: consuming OwnedDescriptor, slave: consuming OwnedDescriptor) {
    self.master = master
    self.slave = slave
  }
}

/// Pseudo-terminals (pty(7)).
public enum Terminal {
  /// A new pair from the devpts whose `ptmx` is opened relative to `directory`; both close-on-exec, none is anybody's
  /// controlling terminal.
  public static func open(
    at directory: Int32 = AT_FDCWD, ptmx: String = "/dev/ptmx"
  ) throws(ApusError) -> PseudoTerminal {
    let master = OwnedDescriptor(
      owning: try check(openat(directory, ptmx, O_RDWR | O_NOCTTY | O_CLOEXEC), "cannot open a new terminal at \(ptmx)")
    )
    try check(clinux_pty_unlock(master.raw), "cannot unlock a terminal")
    // By the master, not by name: a name could be somebody else's terminal by now.
    let slave = OwnedDescriptor(
      owning: try check(
        clinux_pty_peer(master.raw, O_RDWR | O_NOCTTY | O_CLOEXEC), "cannot open the slave of a terminal"))
    return PseudoTerminal(master: master, slave: slave)
  }

  /// Sets the size in characters; the foreground process group gets SIGWINCH.
  public static func resize(_ terminal: Int32, rows: UInt16, columns: UInt16) throws(ApusError) {
    try check(clinux_set_window_size(terminal, rows, columns), "cannot resize a terminal")
  }

  /// The size in characters.
  public static func size(of terminal: Int32) throws(ApusError) -> (rows: UInt16, columns: UInt16) {
    var rows: UInt16 = 0
    var columns: UInt16 = 0
    try check(clinux_get_window_size(terminal, &rows, &columns), "cannot read the size of a terminal")
    return (rows, columns)
  }
}
