import Synchronization

/// One lifecycle operation at a time, in the order of asking. Unlike an actor it stays held while its holder suspends.
final class LifecycleLock: Sendable {
  private struct State {
    var held = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }
  private let state = Mutex(State())

  func withLock<Result>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
  ) async rethrows -> Result {
    await acquire(isolation: isolation)
    defer { release() }
    return try await body()
  }

  private func acquire(isolation: isolated (any Actor)?) async {
    let free = state.withLock { state in
      defer { state.held = true }
      return !state.held
    }
    if free { return }
    await withCheckedContinuation(isolation: isolation) { continuation in
      // It may have been released meanwhile.
      let now = state.withLock { state -> Bool in
        if !state.held {
          state.held = true
          return true
        }
        state.waiters.append(continuation)
        return false
      }
      if now { continuation.resume() }
    }
  }

  private func release() {
    let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard !state.waiters.isEmpty else {
        state.held = false
        return nil
      }
      // The lock passes on without being free in between.
      return state.waiters.removeFirst()
    }
    next?.resume()
  }
}
