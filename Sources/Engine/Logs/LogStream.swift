import Errors
import FoundationEssentials
import Glibc
import Synchronization

/// The entries of a log, one at a time, as somebody asks for them: nothing is read ahead but a piece of a file.
final class LogStream: Sendable {
  private struct State {
    var entries: [LogEntry] = []
    var next = 0
    /// Nothing is written any more: what is there is all.
    var ended = false
  }

  private let reader: LogReader
  private let blocking: BlockingPool
  private let follows: Bool
  private let state = Mutex(State())
  private let wakeUp = WakeUp()
  private let watch: Int32
  private let endings = Mutex<[Task<Void, Never>]>([])

  /// - Parameters:
  ///   - path: of the file that is written.
  ///   - ended: returns when nothing will be written any more; only waited for where `options` follow.
  /// - Throws: when the log cannot be opened. Blocks.
  init(
    path: String, options: LogOptions, blocking: BlockingPool, ended: (@Sendable () async -> Void)? = nil
  ) throws(ApusError) {
    var options = options
    options.follow = options.follow && ended != nil
    self.blocking = blocking
    follows = options.follow
    // The watch comes first: what is written from now on is either read or announced.
    if options.follow, let slash = path.lastIndex(of: "/") {
      watch = try LogWatcher.shared.add(wakeUp, directory: String(path[..<slash]))
    } else {
      watch = -1
    }
    do {
      reader = try LogReader(path: path, options: options)
    } catch {
      if watch >= 0 { LogWatcher.shared.remove(wakeUp, watch: watch) }
      throw error
    }
    guard follows, let ended else { return }
    var tasks = [
      Task { [weak self] in
        await ended()
        self?.end()
      }
    ]
    if let until = options.until {
      tasks.append(
        Task { [weak self] in
          try? await Task.sleep(for: .seconds(max(0, until.timeIntervalSinceNow)))
          self?.end()
        })
    }
    let all = tasks
    endings.withLock { $0 = all }
  }

  deinit {
    if watch >= 0 { LogWatcher.shared.remove(wakeUp, watch: watch) }
    endings.withLock { for task in $0 { task.cancel() } }
  }

  private func end() {
    state.withLock { $0.ended = true }
    wakeUp.signal()
  }

  /// The next entry; nil at the end. One caller at a time.
  func next() async throws -> LogEntry? {
    while true {
      let kept = state.withLock { state -> LogEntry? in
        guard state.next < state.entries.count else { return nil }
        state.next += 1
        return state.entries[state.next - 1]
      }
      if let kept { return kept }
      guard let batch = try await nextBatch() else { return nil }
      state.withLock { state in
        state.entries = batch
        state.next = 0
      }
    }
  }

  /// The next entries, as many as there are for now within a piece of a file, at least one; nil at the end. Not to be
  /// mixed with ``next()``.
  func nextBatch() async throws -> [LogEntry]? {
    while true {
      if Task.isCancelled { return nil }
      let ended = state.withLock { $0.ended }
      do {
        if let batch = try await blocking.run({ [reader] in try reader.read() }) { return batch }
      } catch is CancellationError {
        return nil
      }
      // Ended before that look, so there is nothing more.
      if !follows || ended || reader.passedEnd { return nil }
      await wakeUp.wait()
    }
  }
}
