import Errors
import Glibc
import Linux
import Synchronization

/// Wakes somebody up. A signal that comes while nobody waits is not lost; several are one.
final class WakeUp: Sendable {
  private struct State {
    var signalled = false
    var waiter: CheckedContinuation<Void, Never>?
  }
  private let state = Mutex(State())

  func signal() {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard let waiter = state.waiter else {
        state.signalled = true
        return nil
      }
      state.waiter = nil
      return waiter
    }
    waiter?.resume()
  }

  /// Suspends until the next signal, or the task's cancellation. One waiter at a time.
  func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let now = state.withLock { state -> Bool in
          if state.signalled {
            state.signalled = false
            return true
          }
          state.waiter = continuation
          return false
        }
        if now { continuation.resume() }
      }
    } onCancel: {
      signal()
    }
  }
}

/// Tells followers of logs that something was written: one inotify(7) descriptor and one thread for all of them, made with
/// the first.
final class LogWatcher: Sendable {
  static let shared = LogWatcher()

  private struct State {
    /// −1 before the first use.
    var descriptor: Int32 = -1
    var followers: [Int32: [ObjectIdentifier: WakeUp]] = [:]
  }
  private let state = Mutex(State())

  private init() {}

  /// Signals `wakeUp` whenever a file in `directory` changes, until ``remove(_:watch:)``.
  ///
  /// - Returns: the watch.
  func add(_ wakeUp: WakeUp, directory: String) throws(ApusError) -> Int32 {
    let result = state.withLock { state -> Result<(watch: Int32, new: Int32?), ApusError> in
      do throws(ApusError) {
        var new: Int32?
        if state.descriptor < 0 {
          state.descriptor = try check(inotify_init1(Int32(IN_CLOEXEC)), "cannot watch for changes of logs")
          new = state.descriptor
        }
        let watch = try check(
          inotify_add_watch(state.descriptor, directory, UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO)),
          "cannot watch \(directory) for changes")
        state.followers[watch, default: [:]][ObjectIdentifier(wakeUp)] = wakeUp
        return .success((watch, new))
      } catch {
        return .failure(error)
      }
    }
    let (watch, new) = try result.get()
    if let new { startThread(new) }
    return watch
  }

  func remove(_ wakeUp: WakeUp, watch: Int32) {
    state.withLock { state in
      state.followers[watch]?[ObjectIdentifier(wakeUp)] = nil
      guard state.followers[watch]?.isEmpty == true else { return }
      state.followers[watch] = nil
      inotify_rm_watch(state.descriptor, watch)
    }
  }

  private func startThread(_ descriptor: Int32) {
    var thread = pthread_t()
    let created = pthread_create(
      &thread, nil,
      { argument in
        LogWatcher.shared.run(Int32(Int(bitPattern: argument)))
        return nil
      }, UnsafeMutableRawPointer(bitPattern: Int(descriptor)))
    if created == 0 { pthread_detach(thread) }
  }

  /// For as long as the process lives.
  private func run(_ descriptor: Int32) {
    // struct inotify_event: s32 watch, u32 mask, u32 cookie, u32 length of the name, name.
    let header = 16
    var buffer = [UInt8](repeating: 0, count: 16 << 10)
    while true {
      let filled = buffer.withUnsafeMutableBytes { bytes in
        retrying { read(descriptor, bytes.baseAddress, bytes.count) }
      }
      guard filled > 0 else { return }
      var changed: Set<Int32> = []
      var overflow = false
      buffer.withUnsafeBytes { bytes in
        var offset = 0
        while offset + header <= filled {
          let watch = bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)
          changed.insert(watch)
          overflow = overflow || watch < 0
          offset += header + Int(bytes.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
        }
      }
      let followers = state.withLock { state -> [WakeUp] in
        // Events were lost: everybody looks.
        let watches = overflow ? Set(state.followers.keys) : changed
        return watches.flatMap { state.followers[$0].map { Array($0.values) } ?? [] }
      }
      for follower in followers { follower.signal() }
    }
  }
}
