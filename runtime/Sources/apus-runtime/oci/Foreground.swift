import CLinux
import Errors
import Glibc
import Linux

/// Stays with a program until it ends: passes signals on, and serves its terminal if it has one.
final class Foreground {
  private let signals: OwnedDescriptor

  /// From here on signals wait to be passed on. Processes that the program leaves behind become ours to be reaped,
  /// unless `isSubreaper` is false.
  init(isSubreaper: Bool) throws(ApusError) {
    // Not those that a defect of this process would raise, and not SIGURG, which nobody sends on purpose.
    let own = [SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGURG, SIGPIPE, 32, 33]
    signal(SIGPIPE, SIG_IGN)
    if isSubreaper { try processControl(PrctlOption.childSubreaper, 1) }
    signals = try EventDescriptors.signals((1...64).filter { !own.contains($0) })
  }

  /// - Parameters:
  ///   - process: a child of ours.
  ///   - other: a descriptor; `serve` is called when it can be read.
  /// - Returns: what a shell would show of its end.
  func attend(
    _ process: pid_t, terminal: consuming OwnedDescriptor?, also other: Int32? = nil, serve: () -> Void = {}
  ) throws(ApusError) -> Int32 {
    guard let other else { return try attend(process, terminal: terminal, events: signals.raw, serve) }
    // One descriptor stands for both.
    let poller = try Poller()
    try poller.add(signals.raw, .readable, token: 0)
    try poller.add(other, .readable, token: 1)
    return try attend(process, terminal: terminal, events: poller.descriptor.raw, serve)
  }

  private func attend(
    _ process: pid_t, terminal: consuming OwnedDescriptor?, events: Int32, _ serve: () -> Void
  ) throws(ApusError) -> Int32 {
    guard let terminal else { return try wait(for: process, events, serve) { _ in } }
    let relay = try TerminalRelay(master: terminal)
    defer { relay.end() }
    return try wait(for: process, events, serve) {
      relay.work(orUntil: $0)
    } resized: {
      relay.resize()
    }
  }

  /// `work` returns when there may be a signal, or something to serve.
  private func wait(
    for process: pid_t, _ events: Int32, _ serve: () -> Void, _ work: (_ events: Int32) -> Void,
    resized: () -> Void = {}
  ) throws(ApusError) -> Int32 {
    while true {
      work(events)
      var wait = pollfd(fd: events, events: Int16(POLLIN), revents: 0)
      _ = retrying { poll(&wait, 1, -1) }
      serve()
      while let (signal, _) = EventDescriptors.nextSignal(signals.raw) {
        switch signal {
        case SIGCHLD:
          while let (ended, status) = Processes.reap() {
            if ended == process { return status.code }
          }
        case SIGWINCH: resized()
        default: kill(process, signal)
        }
      }
    }
  }
}
