import Errors
import Linux
import NIOCore
import SandboxProtocol
import Synchronization

/// A connection to a shim that carries one process's streams: an attach or an exec.
///
/// At most 256 KiB wait here for a slow reader; then the shim's socket fills, and then the process waits.
final class ShimStream: Sendable {
  static let limit = 256 * 1024
  /// The connection carries one stream only.
  private static let tag: UInt16 = 1

  private let channel: FrameChannel
  private let receiver: Receiver
  private let reactor: ShimReactor

  /// - Parameter onExit: an exec's exit code; nil where the connection broke before it came. Before the end is read.
  init(
    socket: consuming OwnedDescriptor, reactor: ShimReactor, onExit: @escaping @Sendable (Int32?) -> Void = { _ in }
  ) {
    receiver = Receiver(onExit)
    channel = FrameChannel(socket: socket, handler: receiver)
    self.reactor = reactor
    reactor.add(channel)
  }

  /// Sends the request that makes this connection a stream.
  func begin(_ kind: FrameKind, _ payload: [UInt8]) async throws -> [UInt8] {
    try channel.send(kind: kind.rawValue, tag: Self.tag, payload: payload)
    return try await withCheckedThrowingContinuation { receiver.awaitAnswer($0) }
  }

  /// The next output; nil at the end.
  func read() async throws -> OutputChunk? {
    let (chunk, resume) = await receiver.next()
    if resume { reactor.resume(channel) }
    return chunk
  }

  func write(_ bytes: ByteBuffer) async throws {
    var rest = bytes
    while let part = rest.readSlice(length: min(rest.readableBytes, 64 * 1024)), part.readableBytes > 0 {
      try await channel.write(kind: FrameKind.stdin.rawValue, tag: Self.tag, payload: part)
    }
  }

  func closeInput() { try? channel.send(kind: FrameKind.closeStdin.rawValue, tag: Self.tag) }

  func close() { channel.close() }

  deinit { channel.close() }

  private final class Receiver: FrameHandler {
    private struct State {
      var answer: Result<[UInt8], any Error>?
      var answerWaiter: CheckedContinuation<[UInt8], any Error>?
      var chunks = CircularBuffer<OutputChunk>()
      var bytes = 0
      var paused = false
      var finished = false
      var exited = false
      var reader: CheckedContinuation<(OutputChunk?, Bool), Never>?
    }
    private let state = Mutex(State())
    private let onExit: @Sendable (Int32?) -> Void

    init(_ onExit: @escaping @Sendable (Int32?) -> Void) { self.onExit = onExit }

    func awaitAnswer(_ continuation: CheckedContinuation<[UInt8], any Error>) {
      let answer = state.withLock { state -> Result<[UInt8], any Error>? in
        if state.answer == nil { state.answerWaiter = continuation }
        return state.answer
      }
      if let answer { continuation.resume(with: answer) }
    }

    /// - Returns: the chunk, and whether reading from the socket goes on again.
    func next() async -> (OutputChunk?, Bool) {
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let now = state.withLock { state -> (OutputChunk?, Bool)? in
            if let chunk = state.chunks.popFirst() {
              state.bytes -= chunk.bytes.readableBytes
              let resume = state.paused && state.bytes <= ShimStream.limit / 2
              if resume { state.paused = false }
              return (chunk, resume)
            }
            if state.finished || Task.isCancelled { return (nil, false) }
            state.reader = continuation
            return nil
          }
          if let now { continuation.resume(returning: now) }
        }
      } onCancel: {
        state.withLock { state in
          defer { state.reader = nil }
          return state.reader
        }?.resume(returning: (nil, false))
      }
    }

    func received(kind: UInt8, tag: UInt16, payload: ByteBuffer) -> Bool {
      switch FrameKind(rawValue: kind) {
      case .ok: answer(.success(Array(payload.readableBytesView)))
      case .error: answer(.failure(ErrorReply.decoded(payload)))
      case .stdout: return output(OutputChunk(stream: .stdout, bytes: payload))
      case .stderr: return output(OutputChunk(stream: .stderr, bytes: payload))
      case .execExited:
        let code = try? ExecExited(json: Array(payload.readableBytesView), subject: "The exit").exitCode
        exit(code)
      case .end: finish()
      default: break
      }
      return true
    }

    private func answer(_ result: Result<[UInt8], any Error>) {
      let waiter = state.withLock { state -> CheckedContinuation<[UInt8], any Error>? in
        guard state.answer == nil else { return nil }
        state.answer = result
        defer { state.answerWaiter = nil }
        return state.answerWaiter
      }
      waiter?.resume(with: result)
    }

    private func output(_ chunk: OutputChunk) -> Bool {
      guard chunk.bytes.readableBytes > 0 else { return true }
      let (reader, goOn) = state.withLock { state -> (CheckedContinuation<(OutputChunk?, Bool), Never>?, Bool) in
        if let reader = state.reader {
          state.reader = nil
          return (reader, true)
        }
        state.chunks.append(chunk)
        state.bytes += chunk.bytes.readableBytes
        state.paused = state.bytes > ShimStream.limit
        return (nil, !state.paused)
      }
      reader?.resume(returning: (chunk, false))
      return goOn
    }

    private func exit(_ code: Int32?) {
      let first = state.withLock { state in
        defer { state.exited = true }
        return !state.exited
      }
      if first { onExit(code) }
    }

    private func finish() {
      state.withLock { state in
        state.finished = true
        defer { state.reader = nil }
        return state.reader
      }?.resume(returning: (nil, false))
    }

    func closed() {
      answer(.failure(FrameChannel.gone))
      exit(nil)
      finish()
    }
  }
}
