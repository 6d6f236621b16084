import NIOPosix

/// Threads for calls that block (files, mounts, process creation), so that the cooperative pool never waits for a disk.
public final class BlockingPool: Sendable {
  private let pool: NIOThreadPool

  public init(threads: Int = 8) {
    pool = NIOThreadPool(numberOfThreads: threads)
    pool.start()
  }

  /// Runs `body` on one of the threads and returns what it returned. Not cancelled once it runs.
  public func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await pool.runIfActive(body)
  }

  public func shutdown() async { try? await pool.shutdownGracefully() }
}
