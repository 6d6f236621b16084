import Errors
import Linux
import NIOCore
import RuntimeSpec
import SandboxProtocol
import Synchronization

/// The connection over which one shim takes requests and tells what happens.
///
/// The first one is the socket pair that the shim was started with; a later daemon connects to the shim's socket.
final class ShimConnection: Sendable {
  /// What a shim tells without being asked. Called on the reactor's thread.
  enum Event: Sendable {
    /// The container has ended; nil where the connection broke without a word, because the shim was killed.
    case ended(ExitRecord?)
    case outOfMemory
    case execExited(ExecExited)
    /// After ``ended``: the shim itself is ending.
    case closed
  }

  private let channel: FrameChannel
  private let receiver: Receiver

  init(socket: consuming OwnedDescriptor, reactor: ShimReactor, onEvent: @escaping @Sendable (Event) -> Void) {
    receiver = Receiver(onEvent)
    channel = FrameChannel(socket: socket, handler: receiver)
    reactor.add(channel)
  }

  /// Sends a request and waits for its answer.
  func request(_ kind: FrameKind, _ payload: [UInt8] = []) async throws -> [UInt8] {
    try await answer(post(kind, payload))
  }

  /// Sends a request now; several may be under way.
  func post(_ kind: FrameKind, _ payload: [UInt8] = []) throws -> UInt16 {
    let tag = try receiver.newTag()
    do {
      try channel.send(kind: kind.rawValue, tag: tag, payload: payload)
    } catch {
      receiver.forget(tag)
      throw error
    }
    return tag
  }

  /// The answer to ``post(_:_:)``. To be asked for exactly once.
  func answer(_ tag: UInt16) async throws -> [UInt8] {
    try await withCheckedThrowingContinuation { receiver.await(tag, $0) }
  }

  /// The number of the shim's process.
  func peer() throws -> Int32 { try channel.peer() }

  func close() { channel.close() }

  deinit { channel.close() }

  private final class Receiver: FrameHandler {
    private enum Slot {
      case asked
      case awaited(CheckedContinuation<[UInt8], any Error>)
      case answered(Result<[UInt8], any Error>)
    }
    private struct State {
      var slots: [UInt16: Slot] = [:]
      var lastTag: UInt16 = 0
      var ended = false
      var closed = false
    }
    private let state = Mutex(State())
    private let onEvent: @Sendable (Event) -> Void

    init(_ onEvent: @escaping @Sendable (Event) -> Void) { self.onEvent = onEvent }

    func newTag() throws -> UInt16 {
      try state.withLock { state in
        guard !state.closed else { throw FrameChannel.gone }
        repeat { state.lastTag &+= 1 } while state.lastTag == 0 || state.slots[state.lastTag] != nil
        state.slots[state.lastTag] = .asked
        return state.lastTag
      }
    }

    func forget(_ tag: UInt16) { state.withLock { _ = $0.slots.removeValue(forKey: tag) } }

    func await(_ tag: UInt16, _ continuation: CheckedContinuation<[UInt8], any Error>) {
      let result = state.withLock { state -> Result<[UInt8], any Error>? in
        switch state.slots[tag] {
        case .answered(let result):
          state.slots[tag] = nil
          return result
        case .asked:
          state.slots[tag] = .awaited(continuation)
          return nil
        case .awaited, nil:
          return .failure(FrameChannel.gone)
        }
      }
      if let result { continuation.resume(with: result) }
    }

    func received(kind: UInt8, tag: UInt16, payload: ByteBuffer) -> Bool {
      switch FrameKind(rawValue: kind) {
      case .ok: settle(tag, .success(Array(payload.readableBytesView)))
      case .error: settle(tag, .failure(ErrorReply.decoded(payload)))
      case .exited:
        let first = state.withLock { state in
          defer { state.ended = true }
          return !state.ended
        }
        if first { onEvent(.ended(try? ExitRecord(json: Array(payload.readableBytesView), subject: "The exit"))) }
      case .oom: onEvent(.outOfMemory)
      case .execExited:
        if let exit = try? ExecExited(json: Array(payload.readableBytesView), subject: "The exit") {
          onEvent(.execExited(exit))
        }
      default: break
      }
      return true
    }

    private func settle(_ tag: UInt16, _ result: Result<[UInt8], any Error>) {
      let continuation = state.withLock { state -> CheckedContinuation<[UInt8], any Error>? in
        switch state.slots[tag] {
        case .asked: state.slots[tag] = .answered(result)
        case .awaited(let continuation):
          state.slots[tag] = nil
          return continuation
        case .answered, nil: break
        }
        return nil
      }
      continuation?.resume(with: result)
    }

    func closed() {
      let (waiting, unannounced) = state.withLock { state in
        var waiting: [CheckedContinuation<[UInt8], any Error>] = []
        for (tag, slot) in state.slots {
          switch slot {
          case .asked: state.slots[tag] = .answered(.failure(FrameChannel.gone))
          case .awaited(let continuation):
            waiting.append(continuation)
            state.slots[tag] = nil
          case .answered: break
          }
        }
        defer {
          state.closed = true
          state.ended = true
        }
        return (waiting, !state.ended)
      }
      for continuation in waiting { continuation.resume(throwing: FrameChannel.gone) }
      if unannounced { onEvent(.ended(nil)) }
      onEvent(.closed)
    }
  }
}

extension ErrorReply {
  static func decoded(_ payload: ByteBuffer) -> ApusError {
    do {
      return try ErrorReply(json: Array(payload.readableBytesView), subject: "The shim's error").error
    } catch {
      return ApusError(.internal, "The shim answered with an error that cannot be read.", cause: error)
    }
  }
}
