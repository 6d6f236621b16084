import CLinux
import Container
import Errors
import Glibc
import Linux
import RuntimeSpec

/// Terminals on their way from a container to whoever serves them.
enum Console {
  static func check(terminal: Bool, socket: String?, detached: Bool) throws(ApusError) {
    if detached, terminal, socket == nil {
      throw ApusError(.invalidArgument, "cannot allocate tty if runc will detach without setting console socket")
    }
    if socket != nil, !detached || !terminal {
      throw ApusError(.invalidArgument, "cannot use console socket if runc will not detach or allocate tty")
    }
  }

  /// Ours, or a terminal of the size that is asked for or that ours has.
  static func streams(_ process: ProcessSpec) -> ProcessStreams {
    guard process.terminal else { return .descriptors(input: 0, output: 1, error: 2) }
    if let size = process.consoleSize {
      return .terminal(rows: UInt16(clamping: size.height), columns: UInt16(clamping: size.width))
    }
    let size = try? Terminal.size(of: 0)
    return .terminal(rows: size?.rows ?? 0, columns: size?.columns ?? 0)
  }

  /// Sends a master, with its terminal's name, to the socket at a path.
  static func send(_ master: Int32, to path: String) throws(ApusError) {
    let number = try Linux.check(clinux_pty_number(master), "cannot find the name of a terminal")
    let socket = try UnixSocket.connect(to: path)
    try UnixSocket.send(Array("/dev/pts/\(number)".utf8), descriptors: [master], on: socket.raw)
  }
}
