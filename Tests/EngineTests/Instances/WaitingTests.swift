import FoundationEssentials
import Synchronization
import Testing

@testable import Engine

@Suite struct WaitingTests {
  @Test func aWaitGetsWhatHappenedBeforeItAsked() async throws {
    let wait = ExitWait(.nextExit)
    wait.fulfil(ExitResult(exitCode: 7))
    wait.fulfil(ExitResult(exitCode: 8))
    #expect(try await wait.result().exitCode == 7)
  }

  @Test func severalTasksGetTheSameResult() async throws {
    let wait = ExitWait(.removed)
    try await withThrowingTaskGroup(of: Int32.self) { group in
      for _ in 0..<4 { group.addTask { try await wait.result().exitCode } }
      wait.fulfil(ExitResult(exitCode: 3))
      for try await code in group { #expect(code == 3) }
    }
  }

  @Test func aCancelledWaitEnds() async {
    let wait = ExitWait(.nextExit)
    let task = Task { try await wait.result() }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(wait.isAbandoned)
  }

  @Test func aLimitedWaitGivesUp() async {
    let wait = ExitWait(.nextExit)
    #expect(await wait.result(within: .milliseconds(20)) == nil)
    wait.fulfil(ExitResult(exitCode: 1))
    #expect(await wait.result(within: .milliseconds(20))?.exitCode == 1)
  }

  @Test func theLockIsHeldOverSuspensions() async {
    final class Count: Sendable {
      let inside = Atomic<Int>(0)
      let most = Atomic<Int>(0)
    }
    let lock = LifecycleLock()
    let count = Count()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          await lock.withLock {
            let now = count.inside.add(1, ordering: .relaxed).newValue
            _ = count.most.max(now, ordering: .relaxed)
            try? await Task.sleep(for: .milliseconds(1))
            _ = count.inside.subtract(1, ordering: .relaxed)
          }
        }
      }
    }
    let together = count.most.load(ordering: .relaxed)
    #expect(together == 1)
  }
}

@Suite struct EventBusTests {
  private func event(_ number: Int, time: Date = Date()) -> EngineEvent {
    EngineEvent(kind: "container", action: "\(number)", subject: "x", attributes: [:], time: time)
  }

  @Test func subscribersGetEventsInOrder() async {
    let bus = EventBus()
    let stream = bus.subscribe()
    for number in 0..<10 { bus.publish(event(number)) }
    var got: [String] = []
    for await event in stream {
      got.append(event.action)
      if got.count == 10 { break }
    }
    #expect(got == (0..<10).map { "\($0)" })
  }

  @Test func thePastComesFirstAndEnds() async {
    let bus = EventBus()
    let start = Date(timeIntervalSince1970: 1_000)
    for number in 0..<(EventBus.capacity + 5) {
      bus.publish(event(number, time: start.addingTimeInterval(Double(number))))
    }
    let stream = bus.subscribe(since: start.addingTimeInterval(1_020), until: start.addingTimeInterval(1_022))
    var got: [String] = []
    for await event in stream { got.append(event.action) }
    #expect(got == ["1020", "1021", "1022"])
  }

  @Test func onlyTheNewestAreKept() async {
    let bus = EventBus()
    for number in 0..<(EventBus.capacity * 2) { bus.publish(event(number)) }
    let stream = bus.subscribe(since: .distantPast, until: Date())
    var count = 0
    for await event in stream {
      if count == 0 { #expect(event.action == "\(EventBus.capacity)") }
      count += 1
    }
    #expect(count == EventBus.capacity)
  }
}
