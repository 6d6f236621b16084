import ImageSpec
import Synchronization

/// One download per layer, whoever wants it: those that come later join the first. A download that nobody waits for
/// any more is cancelled.
final class SharedFetches: Sendable {
  typealias Report = @Sendable (TransferProgress) -> Void

  private struct Fetch {
    /// Who began it: a cancelled download may end after another took its place.
    var owner: UInt64
    var task: Task<Void, Never>
    var waiting: [UInt64: Waiter] = [:]
    var last: TransferProgress?
  }
  private struct Waiter {
    var continuation: CheckedContinuation<FetchedLayer, any Error>
    var report: Report
  }
  private struct State {
    var fetches: [Digest: Fetch] = [:]
    var cancelled: Set<UInt64> = []
    var next: UInt64 = 0
  }
  private let state = Mutex(State())

  /// - Parameters:
  ///   - digest: of the blob.
  ///   - start: makes the download, if nobody else has begun it.
  /// - Throws: what the download threw, for all who waited; `CancellationError` for who gave up.
  func layer(
    _ digest: Digest, report: @escaping Report,
    start: @escaping @Sendable (@escaping Report) async throws -> FetchedLayer
  ) async throws -> FetchedLayer {
    let me = state.withLock { state in
      state.next += 1
      return state.next
    }
    defer { state.withLock { _ = $0.cancelled.remove(me) } }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        join(digest, me, Waiter(continuation: continuation, report: report), start)
      }
    } onCancel: {
      leave(digest, me)
    }
  }

  private func join(
    _ digest: Digest, _ me: UInt64, _ waiter: Waiter,
    _ start: @escaping @Sendable (@escaping Report) async throws -> FetchedLayer
  ) {
    let gone = state.withLock { state in
      guard state.cancelled.remove(me) == nil else { return true }
      if state.fetches[digest] != nil {
        state.fetches[digest]?.waiting[me] = waiter
        if let last = state.fetches[digest]?.last { waiter.report(last) }
      } else {
        // The task cannot end before it is entered: it needs the lock to say so.
        let task = Task.detached { [self] in
          let result: Result<FetchedLayer, any Error>
          do {
            result = .success(try await start { progress in self.tell(digest, progress) })
          } catch {
            result = .failure(error)
          }
          finish(digest, me, result)
        }
        state.fetches[digest] = Fetch(owner: me, task: task, waiting: [me: waiter])
      }
      return false
    }
    if gone { waiter.continuation.resume(throwing: CancellationError()) }
  }

  private func tell(_ digest: Digest, _ progress: TransferProgress) {
    let reports = state.withLock { state -> [Report] in
      state.fetches[digest]?.last = progress
      return state.fetches[digest].map { $0.waiting.values.map(\.report) } ?? []
    }
    for report in reports { report(progress) }
  }

  /// A layer that nobody waits for any more stays, for the next who wants it.
  private func finish(_ digest: Digest, _ owner: UInt64, _ result: Result<FetchedLayer, any Error>) {
    let waiters = state.withLock { state -> [Waiter] in
      guard state.fetches[digest]?.owner == owner else { return [] }
      return state.fetches.removeValue(forKey: digest).map { Array($0.waiting.values) } ?? []
    }
    for waiter in waiters { waiter.continuation.resume(with: result) }
  }

  private func leave(_ digest: Digest, _ me: UInt64) {
    let (waiter, task) = state.withLock { state -> (Waiter?, Task<Void, Never>?) in
      guard let waiter = state.fetches[digest]?.waiting.removeValue(forKey: me) else {
        // Cancelled before it joined.
        state.cancelled.insert(me)
        return (nil, nil)
      }
      guard state.fetches[digest]?.waiting.isEmpty == true else { return (waiter, nil) }
      return (waiter, state.fetches.removeValue(forKey: digest)?.task)
    }
    task?.cancel()
    waiter?.continuation.resume(throwing: CancellationError())
  }
}
