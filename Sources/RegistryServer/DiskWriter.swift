import Errors
import Layers
import Logging
import NIOPosix
import Synchronization

/// Flushes what has been stored, behind the clients' backs: one flush at a time, and one more for what came meanwhile.
final class DiskWriter: Sendable {
  private let content: ContentStore
  private let logger: Logger
  private let wakeUps: AsyncStream<Void>.Continuation
  private let work: Task<Void, Never>

  init(content: ContentStore, logger: Logger) {
    self.content = content
    self.logger = logger
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    wakeUps = continuation
    work = Task {
      for await _ in stream {
        do {
          try await NIOThreadPool.singleton.runIfActive { try content.synchronize() }
        } catch {
          logger.error("stored content could not be flushed to disk: \(error)")
        }
      }
    }
  }

  func wake() { wakeUps.yield() }

  /// Returns when everything that was stored so far has been flushed.
  func finish() async {
    wakeUps.yield()
    wakeUps.finish()
    await work.value
  }
}
