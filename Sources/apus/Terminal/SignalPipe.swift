import Errors
import Glibc

/// Signals as bytes in a pipe, so that one `poll` waits for them and for everything else.
struct SignalPipe {
  let descriptor: Int32

  /// Signals that a program in the foreground hands on to the container. Job control (Ctrl-Z, `fg`) stays with the
  /// shell: catching SIGTTIN would turn a background read of the terminal into an endless loop.
  static let proxied: [(number: Int32, name: String)] = [
    (SIGHUP, "HUP"), (SIGINT, "INT"), (SIGQUIT, "QUIT"), (SIGTERM, "TERM"), (SIGUSR1, "USR1"), (SIGUSR2, "USR2"),
    (SIGALRM, "ALRM"),
  ]

  /// Signals that end this program. One that has made the terminal raw has to restore it first.
  static let endings = [SIGHUP, SIGINT, SIGQUIT, SIGTERM]

  /// Catches `signals` from now on.
  init(_ signals: [Int32]) throws(ApusError) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw LocalFile.failure("make", "a pipe") }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    descriptor = ends[0]
    signalPipeEnd = ends[1]
    for number in signals {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { number in
        // Only async-signal-safe calls here. A full pipe means that thousands of signals wait already.
        let saved = errno
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(signalPipeEnd, &byte, 1)
        errno = saved
      }
      action.sa_flags = SA_RESTART
      sigaction(number, &action, nil)
    }
  }

  /// The signals that arrived.
  func drain() -> [Int32] {
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    return count > 0 ? bytes[..<count].map(Int32.init) : []
  }
}

/// Written before the first handler is installed and never again, so a handler may read it at any time.
nonisolated(unsafe) private var signalPipeEnd: Int32 = -1
