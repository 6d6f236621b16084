import Errors
import Glibc
import Linux
import Logging
import Netlink

/// Something whose descriptor the resolver's thread watches. Whatever it does must return at once.
protocol Watched: AnyObject {
  func ready(_ events: Poller.Events)
  /// The time that was set by ``ResolverLoop/expect(_:by:)`` has come.
  func expired()
}

/// The resolver's thread: waits for queries and replies, and passes them to whom they are for.
///
/// Raw sockets, not an event loop's channels: a query that is passed on is one socket for one datagram each way.
///
/// Everything here, and everything watched, is used on that thread alone.
final class ResolverLoop {
  /// Sooner than this after the last time nobody is told that his time has come.
  private static let tick: Milliseconds = 20
  private static let inboxToken: UInt64 = 0

  let logger: Logger
  /// Room for one message of any size.
  let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
  /// When the events being handled were received.
  private(set) var now = MonotonicClock.now
  private let inbox: ResolverInbox
  private var poller: Poller
  private var watched: [UInt64: any Watched] = [:]
  private var deadlines: [UInt64: Milliseconds] = [:]
  private var nextDeadline = Milliseconds.max
  private var nextToken: UInt64 = 1
  private var instances: [String: ServedInstance] = [:]
  private var names: OwnNames
  private let forwarder: Forwarder

  init(
    inbox: ResolverInbox, source: any NameSource, upstreams: @escaping @Sendable () -> [IPAddress], port: UInt16,
    logger: Logger
  ) throws(ApusError) {
    self.inbox = inbox
    self.logger = logger
    names = OwnNames(source: source)
    forwarder = Forwarder(upstreams: upstreams, port: port)
    poller = try Poller(capacity: 64)
    try poller.add(inbox.descriptor, .readable, token: Self.inboxToken)
  }

  deinit { scratch.deallocate() }

  /// Starts the thread, which ends upon ``ResolverInbox/Command/end`` and is the caller's to join.
  func start() throws(ApusError) -> pthread_t {
    var thread = pthread_t()
    // The thread is the only one that uses it from here on.
    let loop = Unmanaged.passRetained(self)
    let result = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        pthread_setname_np(pthread_self(), "names")
        Unmanaged<ResolverLoop>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, loop.toOpaque())
    guard result == 0 else {
      loop.release()
      throw ApusError(errno: result, "cannot start a thread for name resolution")
    }
    return thread
  }

  // MARK: What is watched

  /// - Returns: what the other calls know it by; nil where the kernel watches no more, and the descriptor stays the
  ///   caller's to close.
  func watch(_ descriptor: Int32, _ events: Poller.Events, _ object: any Watched) -> UInt64? {
    let token = nextToken
    nextToken += 1
    do {
      try poller.add(descriptor, events, token: token)
    } catch {
      logger.warning("names: \(error)")
      return nil
    }
    watched[token] = object
    return token
  }

  func change(_ token: UInt64, _ descriptor: Int32, _ events: Poller.Events) {
    do { try poller.modify(descriptor, events, token: token) } catch { logger.warning("names: \(error)") }
  }

  /// Before the descriptor is closed.
  func forget(_ token: UInt64, _ descriptor: Int32) {
    poller.remove(descriptor)
    watched[token] = nil
    deadlines[token] = nil
  }

  /// Sets when it expires, once; nil: never.
  func expect(_ token: UInt64, by deadline: Milliseconds?) {
    deadlines[token] = deadline
    if let deadline { nextDeadline = min(nextDeadline, deadline) }
  }

  // MARK: Running

  private func run() {
    defer { close() }
    while true {
      do {
        let events = try poller.wait(milliseconds: patience)
        now = MonotonicClock.now
        var isTold = false
        for event in events {
          if event.token == Self.inboxToken { isTold = true }
          // What is handled before it in the same turn may have closed it.
          watched[event.token]?.ready(event.events)
        }
        if now >= nextDeadline { expire() }
        if isTold, !obey(inbox.take()) { return }
      } catch {
        logger.error("names are not resolved any more: \(error)")
        return
      }
    }
  }

  /// Milliseconds; -1: for ever.
  private var patience: Int32 {
    guard nextDeadline != .max else { return -1 }
    return Int32(clamping: max(nextDeadline - MonotonicClock.now, 0) + 1)
  }

  private func expire() {
    for (token, deadline) in deadlines where deadline <= now {
      deadlines[token] = nil
      watched[token]?.expired()
    }
    nextDeadline = deadlines.values.min().map { max($0, now + Self.tick) } ?? .max
  }

  /// Returns false where it is told to end.
  private func obey(_ commands: [ResolverInbox.Command]) -> Bool {
    for command in commands {
      switch command {
      case .serve(let request):
        instances.removeValue(forKey: request.instance)?.close()
        instances[request.instance] = ServedInstance(request, loop: self)
      case .stop(let instance): instances.removeValue(forKey: instance)?.close()
      case .end: return false
      }
    }
    return true
  }

  private func close() {
    for instance in instances.values { instance.close() }
    instances = [:]
    forwarder.close()
    watched = [:]
  }

  // MARK: Queries

  /// Answers a message that a client sent, now or later.
  func handle(_ message: [UInt8], from asker: Asker) {
    switch DNSQuery.read(message) {
    case .ignored: break
    case .answered(let answer): asker.send(answer)
    case .query(let query):
      let instance = asker.instance
      if let answer = names.answer(query.question, for: instance.name) {
        asker.send(answer.encoded(for: query, limit: asker.limit(query)))
      } else if query.question.recordClass != 1 || (DNSType.ixfr...DNSType.axfr).contains(query.question.type) {
        asker.send(DNSAnswer(.refused).encoded(for: query))
      } else if instance.forwards {
        forwarder.forward(query, from: asker, on: self)
      } else {
        asker.send(DNSAnswer(.serverFailure).encoded(for: query))
      }
    }
  }
}
