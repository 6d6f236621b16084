import Errors
import NIOCore
import Synchronization

/// One client at the streams of a process: an attach, perhaps before the start, or an exec.
///
/// Knows the detach keys; where the bytes come from, it leaves to ``ShimStream``.
final class AttachSession: StreamSession {
  private enum Link {
    case waiting([CheckedContinuation<ShimStream?, Never>])
    case connected(ShimStream)
    /// It will never connect, or the client has left.
    case over
  }

  let terminal: Bool
  let options: AttachOptions
  private let link = Mutex(Link.waiting([]))
  private let keys: Mutex<DetachKeys?>
  /// What is shown before the live stream (`logs=1`).
  private let prologue: Mutex<LogPrologue?>
  private let onDetach: @Sendable () -> Void

  init(
    terminal: Bool, options: AttachOptions, prologue: AsyncThrowingStream<LogEntry, any Error>? = nil,
    onDetach: @escaping @Sendable () -> Void = {}
  ) throws {
    self.terminal = terminal
    self.options = options
    keys = Mutex(terminal ? try DetachKeys(options.detachKeys) : nil)
    self.prologue = Mutex(prologue.map { LogPrologue($0) })
    self.onDetach = onDetach
  }

  // MARK: The engine's side

  /// - Returns: false where the client has left already; the stream is closed then.
  @discardableResult
  func connect(_ stream: ShimStream) -> Bool {
    let waiters = link.withLock { link -> [CheckedContinuation<ShimStream?, Never>]? in
      guard case .waiting(let waiters) = link else { return nil }
      link = .connected(stream)
      return waiters
    }
    guard let waiters else {
      stream.close()
      return false
    }
    for waiter in waiters { waiter.resume(returning: stream) }
    return true
  }

  /// The client has left.
  var isOver: Bool {
    link.withLock { link in
      if case .over = link { return true }
      return false
    }
  }

  /// Ends the session: nothing (more) to connect to.
  func end() {
    let (waiters, stream) = link.withLock { link -> ([CheckedContinuation<ShimStream?, Never>], ShimStream?) in
      defer { link = .over }
      return switch link {
      case .waiting(let waiters): (waiters, nil)
      case .connected(let stream): ([], stream)
      case .over: ([], nil)
      }
    }
    for waiter in waiters { waiter.resume(returning: nil) }
    stream?.close()
  }

  private func stream() async -> ShimStream? {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let now = link.withLock { link -> ShimStream?? in
          switch link {
          case .waiting(let waiters):
            if Task.isCancelled { return .some(nil) }
            link = .waiting(waiters + [continuation])
            return .none
          case .connected(let stream): return .some(stream)
          case .over: return .some(nil)
          }
        }
        if let now { continuation.resume(returning: now) }
      }
    } onCancel: {
      // A session whose reader or writer is cancelled is over.
      end()
    }
  }

  // MARK: The client's side

  func read() async throws -> OutputChunk? {
    if let prologue = prologue.withLock({ $0 }) {
      if let entry = try await prologue.next() { return OutputChunk(stream: entry.stream, bytes: entry.line) }
      self.prologue.withLock { $0 = nil }
    }
    guard options.stream, let stream = await stream() else { return nil }
    return try await stream.read()
  }

  func write(_ bytes: ByteBuffer) async throws {
    guard options.stdin, let stream = await stream() else { return }
    let scanned = keys.withLock { keys in keys?.scan(bytes.readableBytesView) }
    guard let scanned else { return try await stream.write(bytes) }
    if !scanned.output.isEmpty { try await stream.write(ByteBuffer(bytes: scanned.output)) }
    if scanned.detached {
      end()
      onDetach()
    }
  }

  func closeInput() async {
    guard options.stdin else { return }
    await stream()?.closeInput()
  }

  func close() async { end() }
}

/// An iterator that two suspensions may share: the session has one reader at a time.
private final class LogPrologue: Sendable {
  private let take: @Sendable () async throws -> LogEntry?

  init(_ stream: AsyncThrowingStream<LogEntry, any Error>) {
    take = {
      // An AsyncThrowingStream keeps its place itself: every iterator goes on where the last one stopped.
      var iterator = stream.makeAsyncIterator()
      return try await iterator.next()
    }
  }

  func next() async throws -> LogEntry? { try await take() }
}
