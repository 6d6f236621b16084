import Errors
import Glibc
import Linux

/// Something that happens once; the main thread can wait for it together with signals.
final class Latch: Sendable {
  fileprivate let descriptor: OwnedDescriptor

  init() throws(ApusError) { descriptor = try EventDescriptors.counter() }

  func open() {
    var one: UInt64 = 1
    _ = write(descriptor.raw, &one, MemoryLayout<UInt64>.size)
  }
}

/// SIGTERM and SIGINT, taken by the main thread. Made before any other thread, which inherits that they are blocked.
struct TerminationSignals: ~Copyable {
  private let descriptor: OwnedDescriptor

  init() throws(ApusError) { descriptor = try EventDescriptors.signals([SIGTERM, SIGINT]) }

  /// - Returns: true for a signal, false when the latch opened first.
  func wait(or latch: Latch) -> Bool {
    var waited = [
      pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0),
      pollfd(fd: latch.descriptor.raw, events: Int16(POLLIN), revents: 0),
    ]
    while true {
      _ = poll(&waited, 2, -1)
      if waited[1].revents != 0 { return false }
      if waited[0].revents != 0, EventDescriptors.nextSignal(descriptor.raw) != nil { return true }
    }
  }
}
