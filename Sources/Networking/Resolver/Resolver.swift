import Errors
import Glibc
import Linux
import Logging
import Netlink
import Synchronization

/// The name server of instances, 127.0.0.11 in each one's own network namespace: it answers for the instances' names and
/// passes everything else on to other servers (docs/decisions/0032).
///
/// One thread serves all of them; it is started by the first.
public final class Resolver: Sendable {
  private enum State {
    case idle
    case running(ResolverInbox, pthread_t)
    case ended
  }

  private let source: any NameSource
  private let upstreams: @Sendable () -> [IPAddress]
  private let logger: Logger
  private let state = Mutex(State.idle)
  /// Of other servers; another one in tests.
  private let port: UInt16

  /// - Parameter upstreams: the host's name servers (``HostNameServers``). Called for every query that is passed on: it
  ///   must return at once.
  public convenience init(
    source: any NameSource, upstreams: @escaping @Sendable () -> [IPAddress], logger: Logger
  ) {
    self.init(source: source, upstreams: upstreams, port: 53, logger: logger)
  }

  init(
    source: any NameSource, upstreams: @escaping @Sendable () -> [IPAddress], port: UInt16, logger: Logger
  ) {
    self.source = source
    self.upstreams = upstreams
    self.port = port
    self.logger = logger
  }

  deinit { shutdown() }

  /// Answers for this instance from now on, on 127.0.0.11 in its namespace. The rules that lead port 53 there are made too;
  /// those of an earlier call, or of an earlier daemon, are replaced. Blocks for a few hundred microseconds.
  ///
  /// The namespace stays until ``stop(_:)``, whoever leaves it.
  ///
  /// - Parameter upstreams: the servers that what is not ours is asked of, from the host's namespace; empty: the host's.
  /// - Parameter forwards: whether it is asked of them at all. Otherwise the client is told that it cannot be known.
  /// - Throws: what failed; nothing is left then but rules that lead nowhere.
  public func serve(
    _ instance: String, in namespace: NetworkNamespace, upstreams: [IPAddress], forwards: Bool = true
  ) throws(ApusError) {
    let sockets = try InstanceSockets(in: namespace)
    try serve(ServedRequest(instance: instance, sockets: sockets, upstreams: upstreams, forwards: forwards))
  }

  func serve(_ request: ServedRequest) throws(ApusError) { try running().send(.serve(request)) }

  /// Closes the instance's sockets, soon after this has returned. One that is not served is fine.
  public func stop(_ instance: String) {
    let inbox = state.withLock { state -> ResolverInbox? in
      if case .running(let inbox, _) = state { inbox } else { nil }
    }
    inbox?.send(.stop(instance))
  }

  /// Closes everything; the resolver serves nobody any more, and asks nothing of its source. Queries under way stay
  /// unanswered.
  public func shutdown() {
    let running = state.withLock { state -> (inbox: ResolverInbox, thread: pthread_t)? in
      defer { state = .ended }
      return if case .running(let inbox, let thread) = state { (inbox, thread) } else { nil }
    }
    guard let running else { return }
    running.inbox.send(.end)
    pthread_join(running.thread, nil)
  }

  private func running() throws(ApusError) -> ResolverInbox {
    try state.withLock { (state) throws(ApusError) in
      switch state {
      case .running(let inbox, _): return inbox
      case .ended: throw ApusError(.unavailable, "names are not resolved any more: the daemon is being stopped")
      case .idle:
        let inbox = try ResolverInbox()
        let loop = try ResolverLoop(inbox: inbox, source: source, upstreams: upstreams, port: port, logger: logger)
        state = .running(inbox, try loop.start())
        return inbox
      }
    }
  }
}
