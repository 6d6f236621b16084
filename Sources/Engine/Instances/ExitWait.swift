import Synchronization

/// A wait for an instance's exit or removal that is registered already: nothing that happens from now on is missed.
public final class ExitWait: Sendable {
  private struct State {
    var result: ExitResult?
    var waiters: [UInt64: CheckedContinuation<ExitResult?, Never>] = [:]
    var next: UInt64 = 0
    var cancelled = false
  }
  let condition: WaitCondition
  private let state = Mutex(State())

  init(_ condition: WaitCondition, result: ExitResult? = nil) {
    self.condition = condition
    if let result { state.withLock { $0.result = result } }
  }

  /// Nobody waits and nobody can any more.
  var isAbandoned: Bool { state.withLock { $0.cancelled && $0.waiters.isEmpty } }

  /// The first result counts.
  func fulfil(_ result: ExitResult) {
    let waiters = state.withLock { state -> [CheckedContinuation<ExitResult?, Never>] in
      guard state.result == nil else { return [] }
      state.result = result
      defer { state.waiters = [:] }
      return Array(state.waiters.values)
    }
    for waiter in waiters { waiter.resume(returning: result) }
  }

  /// Suspends until the condition holds.
  ///
  /// - Throws: `CancellationError` when the task is cancelled.
  public func result() async throws -> ExitResult {
    guard let result = await next() else { throw CancellationError() }
    return result
  }

  /// The same, for at most `limit`; nil when that has passed.
  func result(within limit: Duration?) async -> ExitResult? {
    if let result = state.withLock({ $0.result }) { return result }
    guard let limit else { return await next() }
    return await withTaskGroup(of: ExitResult?.self) { group in
      group.addTask { await self.next() }
      group.addTask {
        try? await Task.sleep(for: limit)
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first
    }
  }

  /// nil: cancelled.
  private func next() async -> ExitResult? {
    let identifier = state.withLock { state in
      state.next += 1
      return state.next
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let now = state.withLock { state -> ExitResult?? in
          if let result = state.result { return .some(result) }
          if Task.isCancelled { return .some(nil) }
          state.waiters[identifier] = continuation
          return .none
        }
        if let now { continuation.resume(returning: now) }
      }
    } onCancel: {
      state.withLock { state in
        state.cancelled = true
        return state.waiters.removeValue(forKey: identifier)
      }?.resume(returning: nil)
    }
  }
}
