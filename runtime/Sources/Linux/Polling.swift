import CLinux
import Errors
import Glibc

/// epoll(7): which of many descriptors can be read or written.
public struct Poller: ~Copyable, Sendable {
  /// What a descriptor is ready for (EPOLL*).
  public struct Events: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let readable = Events(rawValue: 0x001)
    public static let priority = Events(rawValue: 0x002)
    public static let writable = Events(rawValue: 0x004)
    public static let error = Events(rawValue: 0x008)
    public static let hangUp = Events(rawValue: 0x010)
    public static let peerClosed = Events(rawValue: 0x2000)
    public static let oneShot = Events(rawValue: 1 << 30)
    public static let edgeTriggered = Events(rawValue: 1 << 31)
  }

  /// One descriptor that is ready; `token` is what it was added with.
  public struct Ready: Sendable {
    public let token: UInt64
    public let events: Events
  }

  public let descriptor: OwnedDescriptor
  private var buffer: [epoll_event]

  public init(capacity: Int = 32) throws(ApusError) {
    descriptor = OwnedDescriptor(owning: try check(epoll_create1(Int32(EPOLL_CLOEXEC)), "cannot make an epoll"))
    buffer = [epoll_event](repeating: epoll_event(), count: capacity)
  }

  public func add(_ descriptor: Int32, _ events: Events, token: UInt64) throws(ApusError) {
    try control(EPOLL_CTL_ADD, descriptor, events, token)
  }

  public func modify(_ descriptor: Int32, _ events: Events, token: UInt64) throws(ApusError) {
    try control(EPOLL_CTL_MOD, descriptor, events, token)
  }

  public func remove(_ descriptor: Int32) {
    _ = epoll_ctl(self.descriptor.raw, EPOLL_CTL_DEL, descriptor, nil)
  }

  private func control(_ operation: Int32, _ descriptor: Int32, _ events: Events, _ token: UInt64) throws(ApusError) {
    var event = epoll_event(events: events.rawValue, data: epoll_data_t(u64: token))
    try check(epoll_ctl(self.descriptor.raw, operation, descriptor, &event), "cannot watch descriptor \(descriptor)")
  }

  /// Waits until something is ready, at most `milliseconds` (-1: for ever). An interruption by a signal returns none.
  public mutating func wait(milliseconds: Int32 = -1) throws(ApusError) -> [Ready] {
    let epoll = descriptor.raw
    let count = buffer.withUnsafeMutableBufferPointer {
      epoll_wait(epoll, $0.baseAddress, Int32($0.count), milliseconds)
    }
    if count < 0, errno == EINTR { return [] }
    try check(count, "cannot wait for events")
    return buffer.prefix(Int(count)).map { Ready(token: $0.data.u64, events: Events(rawValue: $0.events)) }
  }
}

/// Descriptors that stand for signals, time and counters.
public enum EventDescriptors {
  /// Blocks the signals for this thread and makes a non-blocking descriptor that reads them (signalfd(2)).
  public static func signals(_ numbers: [Int32]) throws(ApusError) -> OwnedDescriptor {
    try check(
      numbers.withUnsafeBufferPointer { clinux_block_signals($0.baseAddress, $0.count, true) }, "cannot block signals")
    return OwnedDescriptor(
      owning: try check(
        numbers.withUnsafeBufferPointer { clinux_signalfd($0.baseAddress, $0.count) }, "cannot make a signalfd"))
  }

  /// The next signal of a descriptor of ``signals(_:)``: number and sender; nil when none waits.
  public static func nextSignal(_ descriptor: Int32) -> (signal: Int32, process: pid_t)? {
    var information = signalfd_siginfo()
    let size = MemoryLayout<signalfd_siginfo>.size
    guard retrying({ read(descriptor, &information, size) }) == size else { return nil }
    return (Int32(information.ssi_signo), pid_t(bitPattern: information.ssi_pid))
  }

  /// A non-blocking timer on the monotonic clock (timerfd_create(2)), not yet set.
  public static func timer() throws(ApusError) -> OwnedDescriptor {
    OwnedDescriptor(
      owning: try check(
        timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC | TFD_NONBLOCK)), "cannot make a timer"))
  }

  /// Lets the timer fire once after `milliseconds`, then every `interval`; 0 and 0 stop it.
  public static func set(
    timer: Int32, milliseconds: Int, interval: Int = 0
  ) throws(ApusError) {
    func time(_ milliseconds: Int) -> timespec {
      timespec(tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
    }
    var setting = itimerspec(it_interval: time(interval), it_value: time(milliseconds))
    try check(timerfd_settime(timer, 0, &setting, nil), "cannot set a timer")
  }

  /// A non-blocking counter (eventfd(2)).
  public static func counter() throws(ApusError) -> OwnedDescriptor {
    OwnedDescriptor(
      owning: try check(eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)), "cannot make an eventfd"))
  }

  /// Adds to a counter.
  public static func signal(counter: Int32, by value: UInt64 = 1) {
    var value = value
    _ = retrying { write(counter, &value, 8) }
  }

  /// Reads and clears a counter, or how often a timer fired; 0 when nothing has happened.
  public static func drain(_ descriptor: Int32) -> UInt64 {
    var value: UInt64 = 0
    return retrying { read(descriptor, &value, 8) } == 8 ? value : 0
  }
}
