import Glibc

/// Lets threads that want something at the same time have it done at once: while one of them works, what the others
/// bring collects, and the next of them does all of it.
///
/// Unchecked, because the compiler knows nothing of POSIX mutexes: `waiting` and `isWorking` are touched only while
/// `mutex` is held, a ticket's outcome too.
final class GroupCommit<Request: Sendable, Outcome: Sendable>: @unchecked Sendable {
  private final class Ticket {
    let request: Request
    var outcome: Outcome?
    init(_ request: Request) { self.request = request }
  }

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var waiting: [Ticket] = []
  private var isWorking = false
  private let work: ([Request]) -> [Outcome]

  /// - Parameter work: does a batch, on one thread at a time; returns as many outcomes as there are requests.
  init(_ work: @escaping @Sendable ([Request]) -> [Outcome]) {
    self.work = work
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// Blocks until the request has been part of a batch.
  func run(_ request: Request) -> Outcome {
    let ticket = Ticket(request)
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    waiting.append(ticket)
    while true {
      if let outcome = ticket.outcome { return outcome }
      if isWorking {
        pthread_cond_wait(condition, mutex)
        continue
      }
      isWorking = true
      let batch = waiting
      waiting = []
      pthread_mutex_unlock(mutex)
      let outcomes = work(batch.map(\.request))
      pthread_mutex_lock(mutex)
      for (ticket, outcome) in zip(batch, outcomes) { ticket.outcome = outcome }
      isWorking = false
      pthread_cond_broadcast(condition)
    }
  }
}
