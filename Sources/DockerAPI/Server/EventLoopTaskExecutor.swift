import NIOCore

/// Runs tasks on an event loop's thread.
///
/// A request is read, answered and written without changing threads: on a machine with idle processors each change
/// costs more than most of what the handlers do. Whatever blocks is elsewhere already (the engine's thread pools).
final class EventLoopTaskExecutor: TaskExecutor {
  private let eventLoop: any EventLoop

  init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    eventLoop.execute { [self] in job.runSynchronously(on: asUnownedTaskExecutor()) }
  }
}
