import Errors
import Glibc
import Linux

/// Something that waits for a descriptor.
protocol EventHandler: AnyObject {
  func handle(_ events: Poller.Events)
}

/// The shim's only thread waits here: descriptors by epoll, deadlines by its timeout.
///
/// Linked nodes instead of dictionaries: there are a dozen, and each generic type that is used costs a process that lives
/// for milliseconds a part of one.
final class EventLoop {
  /// How long nothing must happen until ``onIdle`` is called.
  static let idleDelay: Int64 = 5000

  /// Called once things have been quiet for a while: time to give memory back.
  var onIdle: () -> Void = {}

  private final class Registration {
    let token: UInt64
    let handler: any EventHandler
    var next: Registration?

    init(_ token: UInt64, _ handler: any EventHandler, next: Registration?) {
      self.token = token
      self.handler = handler
      self.next = next
    }
  }

  private final class Deadline {
    let time: Int64
    let action: () -> Void
    var next: Deadline?

    init(_ time: Int64, _ action: @escaping () -> Void) {
      self.time = time
      self.action = action
    }
  }

  private var poller: Poller
  private var registrations: Registration?
  /// The nearest first.
  private var deadlines: Deadline?
  // Never used twice: an event that is already fetched must not reach the next owner of a descriptor number.
  private var lastToken: UInt64 = 0
  private(set) var isStopped = false

  init() throws(ApusError) { poller = try Poller(capacity: 16) }

  /// Milliseconds on the monotonic clock.
  static var now: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  func add(_ descriptor: Int32, _ events: Poller.Events, _ handler: any EventHandler) throws(ApusError) -> UInt64 {
    lastToken += 1
    try poller.add(descriptor, events, token: lastToken)
    registrations = Registration(lastToken, handler, next: registrations)
    return lastToken
  }

  func modify(_ descriptor: Int32, _ events: Poller.Events, token: UInt64) {
    // Fails only for a descriptor that is not watched.
    try? poller.modify(descriptor, events, token: token)
  }

  func remove(_ descriptor: Int32, token: UInt64) {
    poller.remove(descriptor)
    var previous: Registration?
    var current = registrations
    while let node = current, node.token != token {
      previous = node
      current = node.next
    }
    guard let node = current else { return }
    if let previous { previous.next = node.next } else { registrations = node.next }
  }

  /// Calls `action` once, `milliseconds` from now.
  func after(_ milliseconds: Int64, _ action: @escaping () -> Void) {
    let deadline = Deadline(Self.now + milliseconds, action)
    var previous: Deadline?
    var current = deadlines
    while let node = current, node.time <= deadline.time {
      previous = node
      current = node.next
    }
    deadline.next = current
    if let previous { previous.next = deadline } else { deadlines = deadline }
  }

  func stop() { isStopped = true }

  func run() throws(ApusError) {
    var busy = true
    while !isStopped {
      var timeout = busy ? Self.idleDelay : -1
      if let nearest = deadlines {
        let wait = max(0, nearest.time - Self.now)
        timeout = timeout < 0 ? wait : min(timeout, wait)
      }
      let ready = try poller.wait(milliseconds: Int32(min(timeout, 60_000)))
      for event in ready {
        handler(of: event.token)?.handle(event.events)
        if isStopped { return }
      }
      let expired = runDeadlines()
      if !ready.isEmpty || expired {
        busy = true
      } else if busy {
        busy = false
        onIdle()
      }
    }
  }

  private func handler(of token: UInt64) -> (any EventHandler)? {
    var current = registrations
    while let node = current {
      if node.token == token { return node.handler }
      current = node.next
    }
    return nil
  }

  private func runDeadlines() -> Bool {
    guard let first = deadlines else { return false }
    let now = Self.now
    guard first.time <= now else { return false }
    while let node = deadlines, node.time <= now, !isStopped {
      deadlines = node.next
      node.action()
    }
    return true
  }
}

/// A descriptor's place in the event loop. Waiting for nothing takes it out altogether, because epoll reports a hang-up
/// even of a descriptor that nobody asked about, again and again.
struct Watch {
  private let descriptor: Int32
  private var token: UInt64?
  private(set) var events: Poller.Events = []

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  mutating func wait(for events: Poller.Events, in loop: EventLoop, _ handler: any EventHandler) {
    guard events != self.events else { return }
    self.events = events
    if events.isEmpty {
      if let token { loop.remove(descriptor, token: token) }
      token = nil
    } else if let token {
      loop.modify(descriptor, events, token: token)
    } else {
      token = try? loop.add(descriptor, events, handler)
    }
  }
}

/// One page-aligned buffer for everything that is read: the thread reads one thing at a time. It exists from the first
/// use to the next idle moment.
enum Scratch {
  static let size = 64 * 1024
  // Only ever used by the shim's single thread.
  nonisolated(unsafe) private static var base: UnsafeMutableRawPointer?

  static func buffer() -> UnsafeMutableRawBufferPointer {
    if base == nil {
      let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      guard let memory, memory != MAP_FAILED else { fatalError("out of memory") }
      base = memory
    }
    return UnsafeMutableRawBufferPointer(start: base, count: size)
  }

  static func release() {
    if let memory = base { munmap(memory, size) }
    base = nil
  }
}
