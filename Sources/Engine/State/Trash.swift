import Errors
import Glibc
import Linux
import Logging
import Synchronization

/// Where removed instances go: renaming a directory here takes microseconds, deleting it takes as long as it takes.
///
/// One deletion runs at a time, in the background; what a killed daemon leaves is deleted by the next one.
final class Trash: Sendable {
  private struct Queue {
    var paths: [String] = []
    var working = false
  }

  private let root: String
  private let blocking: BlockingPool
  private let logger: Logger
  private let queue = Mutex(Queue())

  init(root: String, blocking: BlockingPool, logger: Logger) throws {
    self.root = root
    self.blocking = blocking
    self.logger = logger
    try Files.makeDirectories(root, mode: 0o700)
  }

  /// Takes the directory out of its place. A missing one is fine. Blocks shortly.
  func discard(_ directory: String, as name: String) throws {
    let target = "\(root)/\(name)"
    if rename(directory, target) < 0 {
      switch errno {
      case ENOENT: return
      case EEXIST, ENOTEMPTY:
        // A leftover of an id that came twice is no id of ours.
        try check(rename(directory, "\(target).\(UInt32.random(in: 0 ... .max))"), "cannot remove \(directory)")
        return empty()
      default: try check(-1 as Int32, "cannot remove \(directory)")
      }
    }
    delete(directory: target)
  }

  /// Deletes a directory in the background, from where it is.
  func delete(directory: String) {
    let start = queue.withLock { queue in
      queue.paths.append(directory)
      defer { queue.working = true }
      return !queue.working
    }
    if start { work() }
  }

  /// Waits until nothing is left to delete, at most this long.
  func drain(limit: Duration) async {
    let end = ContinuousClock.now + limit
    while queue.withLock({ $0.working }), ContinuousClock.now < end { try? await Task.sleep(for: .milliseconds(5)) }
  }

  /// Deletes everything that is here, in the background.
  func empty() {
    guard let directory = try? Files.open(root, flags: O_RDONLY | O_DIRECTORY),
      let entries = try? Files.entries(of: directory.raw)
    else { return }
    for entry in entries { delete(directory: "\(root)/\(entry.name)") }
  }

  private func work() {
    Task {
      do {
        while try await blocking.run({ self.step() }) {}
      } catch {
        // The engine is closing; the next one goes on.
        queue.withLock { $0.working = false }
      }
    }
  }

  /// A few deletions, so that other work gets its turn on the thread.
  ///
  /// - Returns: whether there is more.
  private func step() -> Bool {
    for _ in 0..<16 {
      let next = queue.withLock { queue -> String? in
        if queue.paths.isEmpty { queue.working = false }
        return queue.paths.popLast()
      }
      guard let next else { return false }
      do {
        try FileTree.remove(next)
      } catch {
        logger.warning("\(next) could not be deleted and stays until the next start: \(error)")
      }
    }
    return true
  }
}
