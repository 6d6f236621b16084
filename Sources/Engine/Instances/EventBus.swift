import FoundationEssentials
import Synchronization

/// The engine's events, in order, to any number of subscribers.
///
/// Bounded: the last 1,024 are kept for `since`, and a subscriber that does not read loses its oldest 1,024th.
public final class EventBus: Sendable {
  static let capacity = 1_024

  private struct State {
    var history: [EngineEvent] = []
    /// Where the oldest is in `history` once it is full.
    var head = 0
    var subscribers: [UInt64: AsyncStream<EngineEvent>.Continuation] = [:]
    var next: UInt64 = 0
  }
  private let state = Mutex(State())

  public init() {}

  public func publish(_ event: EngineEvent) {
    let receivers = state.withLock { state in
      if state.history.count < Self.capacity {
        state.history.append(event)
      } else {
        state.history[state.head] = event
        state.head = (state.head + 1) % Self.capacity
      }
      return state.subscribers.isEmpty ? [] : Array(state.subscribers.values)
    }
    for receiver in receivers { receiver.yield(event) }
  }

  /// Events from now on; with `since`, those kept from then on come first. The stream ends at `until`.
  public func subscribe(since: Date? = nil, until: Date? = nil) -> AsyncStream<EngineEvent> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: EngineEvent.self, bufferingPolicy: .bufferingNewest(Self.capacity * 2))
    let over = until.map { $0 <= Date() } ?? false
    let identifier = state.withLock { state -> UInt64 in
      if let since {
        let kept = state.history[state.head...] + state.history[..<state.head]
        for event in kept where event.time >= since && (until.map { event.time <= $0 } ?? true) {
          continuation.yield(event)
        }
      }
      state.next += 1
      if !over { state.subscribers[state.next] = continuation }
      return state.next
    }
    if over {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLock { _ = $0.subscribers.removeValue(forKey: identifier) }
    }
    if let until {
      Task {
        try? await Task.sleep(for: .seconds(until.timeIntervalSinceNow))
        continuation.finish()
      }
    }
    return stream
  }
}
