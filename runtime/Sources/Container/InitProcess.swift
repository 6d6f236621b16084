import CLinux
import Errors
import Glibc
import Linux

/// The PID 1 of a container that asks for one: runs the program as its only child, passes signals on, reaps what the
/// program leaves behind, and ends as the program ends.
struct InitProcess {
  let program: Program
  let channel: Int32
  let hasTerminal: Bool

  /// Returns only when there could be no program.
  func run() -> ApusError {
    // Blocked, signals wait for sigwaitinfo; and a signal that waits is not dropped, as it is for a PID 1 without a
    // handler for it.
    var all = sigset_t()
    sigfillset(&all)
    sigprocmask(SIG_BLOCK, &all, nil)
    // Not clone3: the container's seccomp filter is loaded already, and the default one refuses it.
    let child = fork()
    if child < 0 { return ApusError(errno: errno, "cannot start the program of the container") }
    if child == 0 {
      // A group of its own, in the foreground: Ctrl-C of the terminal reaches the program once, not twice.
      setpgid(0, 0)
      if hasTerminal { tcsetpgrp(0, getpid()) }
      clinux_reset_signals()
      return program.execute()
    }
    _ = "apus-init".withCString { clinux_prctl(PrctlOption.name, UInt(bitPattern: $0), 0, 0, 0) }
    // The end of the channel tells the caller that the program runs: only the child's copy may delay it.
    closeDescriptors(from: 3)
    while true {
      var information = siginfo_t()
      let signal = sigwaitinfo(&all, &information)
      switch signal {
      case SIGCHLD:
        while let (process, status) = Processes.reap() {
          guard process == child else { continue }
          // A signal's end is reported as a shell does: PID 1 cannot kill itself.
          clinux_exit(status.code)
        }
      case SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS: continue
      case 1...64: kill(child, signal)
      default: continue
      }
    }
  }
}
