import Errors
import Glibc
import Linux
import NIOCore
import Synchronization

/// One thread that waits for frames from every shim.
///
/// An idle connection costs a descriptor and a small object: no task, no event loop, no buffer. Everything it calls
/// must return at once.
final class ShimReactor: Sendable {
  private enum Command: Sendable {
    case add(FrameChannel)
    case resume(FrameChannel)
    case stop
  }
  private struct Inbox {
    var commands: [Command] = []
    var signalled = false
    var stopped = false
  }

  private let inbox = Mutex(Inbox())
  private let wake: Int32
  private static let wakeToken: UInt64 = 0
  private static let scratchSize = 64 * 1024

  init() throws {
    wake = try EventDescriptors.counter().release()
    try Self.startThread { [self] in
      do {
        try run()
      } catch {
        // A defect, or no descriptor left when the daemon starts: without this thread it is deaf to every shim.
        fatalError("waiting for shims: \(error)")
      }
    }
  }

  // Once the thread has ended; it holds a reference until then.
  deinit { close(wake) }

  func add(_ channel: FrameChannel) { send(.add(channel)) }
  func resume(_ channel: FrameChannel) { send(.resume(channel)) }
  func stop() { send(.stop) }

  private func send(_ command: Command) {
    let signal = inbox.withLock { inbox -> Bool in
      inbox.commands.append(command)
      defer { inbox.signalled = true }
      return !inbox.signalled
    }
    if signal { EventDescriptors.signal(counter: wake) }
  }

  private func run() throws {
    var poller = try Poller(capacity: 128)
    try poller.add(wake, .readable, token: Self.wakeToken)
    var channels: [UInt64: FrameChannel] = [:]
    var nextToken: UInt64 = 1
    // Channels that had more to read than one turn allows.
    var unfinished: [FrameChannel] = []
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.scratchSize, alignment: 16)
    defer { scratch.deallocate() }

    func serve(_ channel: FrameChannel, resuming: Bool = false) {
      switch channel.readAvailable(scratch, resuming: resuming) {
      case .drained: break
      case .more: unfinished.append(channel)
      case .closed:
        channels[channel.token.load(ordering: .relaxed)] = nil
        channel.finish()
      }
    }

    while true {
      let ready = try poller.wait(milliseconds: unfinished.isEmpty ? -1 : 0)
      let more = unfinished
      unfinished = []
      for event in ready {
        if event.token == Self.wakeToken {
          _ = EventDescriptors.drain(wake)
          continue
        }
        guard let channel = channels[event.token] else { continue }
        if event.events.contains(.writable) { channel.flush() }
        if !event.events.isDisjoint(with: [.readable, .hangUp, .error, .peerClosed]) { serve(channel) }
      }
      for channel in more { serve(channel) }
      let commands = inbox.withLock { inbox in
        inbox.signalled = false
        defer { inbox.commands = [] }
        return inbox.commands
      }
      for command in commands {
        switch command {
        case .add(let channel):
          let token = nextToken
          nextToken += 1
          channel.token.store(token, ordering: .relaxed)
          do {
            // Edge-triggered: one epoll_ctl in a connection's life. What came before the add is reported by the add.
            try poller.add(
              channel.descriptor, [.readable, .writable, .peerClosed, .edgeTriggered], token: token)
            channels[token] = channel
          } catch {
            channel.finish()
          }
        case .resume(let channel):
          if channels[channel.token.load(ordering: .relaxed)] === channel { serve(channel, resuming: true) }
        case .stop:
          for channel in channels.values { channel.finish() }
          return
        }
      }
    }
  }

  private static func startThread(_ body: @escaping @Sendable () -> Void) throws {
    final class Box: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body))
    let result = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        pthread_setname_np(pthread_self(), "shims")
        Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      }, box.toOpaque())
    guard result == 0 else {
      box.release()
      throw ApusError(errno: result, "cannot start a thread")
    }
    pthread_detach(thread)
  }
}
