import Errors
import Glibc
import Linux
import Synchronization

/// Removes big files without waiting until their space is free: the name goes at once, and the file with its last
/// descriptor, which a thread of its own closes. A process that dies in between frees them by that.
enum FileRemoval {
  /// Bytes; smaller files are gone before a thread could be told.
  private static let big: off_t = 1 << 20

  private struct Queue {
    var descriptors: [Int32] = []
    var isWorking = false
  }
  private static let queue = Mutex(Queue())

  /// Removing what is not there is fine.
  static func remove(_ path: String, _ stage: @autoclosure () -> String) throws(ApusError) {
    let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
    var status = stat()
    let isBig = descriptor >= 0 && fstat(descriptor, &status) == 0 && status.st_size > big
    let result = unlink(path)
    let reason = errno
    if isBig { closeLater(descriptor) } else if descriptor >= 0 { close(descriptor) }
    if result < 0, reason != ENOENT { throw ApusError(errno: reason, stage()) }
  }

  private static func closeLater(_ descriptor: Int32) {
    let starts = queue.withLock { queue in
      queue.descriptors.append(descriptor)
      defer { queue.isWorking = true }
      return !queue.isWorking
    }
    guard starts else { return }
    var thread = pthread_t()
    let made = pthread_create(
      &thread, nil,
      { _ in
        FileRemoval.work()
        return nil
      }, nil)
    if made == 0 { pthread_detach(thread) } else { work() }
  }

  private static func work() {
    while true {
      let next = queue.withLock { queue in
        let next = queue.descriptors.popLast()
        if next == nil { queue.isWorking = false }
        return next
      }
      guard let next else { return }
      close(next)
    }
  }
}
