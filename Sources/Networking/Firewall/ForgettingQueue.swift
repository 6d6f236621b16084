import Dispatch
import Errors
import Glibc
import Logging
import Netlink
import Synchronization

/// Forgets connections soon, and many in one go: to look through the kernel's table takes milliseconds of a processor,
/// whatever is in it, and an instance's end does not wait for it.
final class ForgettingQueue: Sendable {
  private struct State {
    var matches: Set<ConnectionTracking.Match> = []
    /// Of the first who asks.
    var namespace: NetworkNamespace?
    /// Kept, as the firewall's is: others wait for who closes one.
    var socket: NetfilterSocket?
    var isScheduled = false
    /// Not before: no more than one twentieth of a processor's time goes into this.
    var next = DispatchTime.now()
  }

  private let state = Mutex(State())
  private let queue = DispatchQueue(label: "connections")
  private let logger: Logger

  init(logger: Logger) { self.logger = logger }

  func add(_ matches: [ConnectionTracking.Match]) {
    guard !matches.isEmpty else { return }
    let start: DispatchTime? = state.withLock { state in
      state.matches.formUnion(matches)
      do throws(ApusError) {
        if state.socket == nil {
          if state.namespace == nil { state.namespace = try NetworkNamespace.current() }
          state.socket = try NetfilterSocket()
        }
      } catch {
        fail(error)
        return nil
      }
      if state.isScheduled { return nil }
      state.isScheduled = true
      return state.next
    }
    if let start { queue.asyncAfter(deadline: start) { [self] in work() } }
  }

  /// Waits until what has been added is done; for tests.
  func wait() {
    while state.withLock({ $0.isScheduled }) { usleep(1000) }
  }

  private func work() {
    let start = DispatchTime.now()
    let (matches, namespace, socket) = state.withLock { state in
      defer { state.matches = [] }
      return (state.matches, state.namespace, state.socket)
    }
    do throws(ApusError) {
      try namespace?.run { () throws(ApusError) in
        if let socket { try ConnectionTracking.forget(matches, by: socket) }
      }
    } catch {
      fail(error)
      // Answers may have been left in it.
      state.withLock { $0.socket = nil }
    }
    let spent = DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds
    let next: DispatchTime? = state.withLock { state in
      state.next = .now() + .nanoseconds(Int(spent * 20))
      state.isScheduled = !state.matches.isEmpty
      return state.isScheduled ? state.next : nil
    }
    if let next { queue.asyncAfter(deadline: next) { [self] in work() } }
  }

  /// A failure is no reason not to go on: the entries end by themselves too, only later.
  private func fail(_ error: ApusError) {
    logger.warning("connections to addresses of before may go on for a while: \(error)")
  }
}
