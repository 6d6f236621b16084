import NIOCore

/// The first handler of every connection, between the socket and the HTTP codec.
///
/// While the connection speaks HTTP it only watches for the client going away. When a request is answered by a hijack
/// (`POST …/attach`, `POST /exec/{id}/start`) it takes the bytes for itself, in both directions: the codec stays where
/// it is, sees nothing more, and what it still writes is dropped. So no handler has to be taken out of a pipeline that
/// an asynchronous channel already wraps.
final class ConnectionHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = IOData
  typealias OutboundOut = IOData

  /// Input that was read and not yet asked for; above it the socket is not read.
  static let inputLimit = 64 * 1024

  private enum Mode {
    case http
    case hijacked
  }

  private var mode = Mode.http
  private var context: ChannelHandlerContext?
  private var input = ByteBuffer()
  private var inputEnded = false
  private var waiting: EventLoopPromise<ByteBuffer?>?
  private var readHeldBack = false
  private var watchers: [UInt64: AsyncStream<Never>.Continuation] = [:]
  private var nextWatcher: UInt64 = 0

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) {
    endInput()
    self.context = nil
  }

  // MARK: - From the socket

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard mode == .hijacked else {
      context.fireChannelRead(data)
      return
    }
    var bytes = unwrapInboundIn(data)
    if let waiting {
      self.waiting = nil
      waiting.succeed(bytes)
    } else {
      input.writeBuffer(&bytes)
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    if mode == .http { context.fireChannelReadComplete() }
  }

  func read(context: ChannelHandlerContext) {
    if mode == .hijacked, input.readableBytes >= Self.inputLimit {
      readHeldBack = true
    } else {
      context.read()
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .some(.inputClosed) = event as? ChannelEvent { endInput() }
    if mode == .http { context.fireUserInboundEventTriggered(event) }
  }

  func channelInactive(context: ChannelHandlerContext) {
    endInput()
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard mode == .hijacked else {
      context.fireErrorCaught(error)
      return
    }
    context.close(promise: nil)
  }

  private func endInput() {
    inputEnded = true
    waiting?.succeed(nil)
    waiting = nil
    for watcher in watchers.values { watcher.finish() }
    watchers.removeAll()
  }

  // MARK: - From the codec

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    if mode == .http {
      context.write(data, promise: promise)
    } else {
      promise?.succeed()
    }
  }

  func flush(context: ChannelHandlerContext) {
    if mode == .http { context.flush() }
  }

  // MARK: - For HijackedConnection and for streaming answers; all on the event loop

  func hijack() { mode = .hijacked }

  /// The next input, nil once the client has shut down its side.
  func nextInput(on eventLoop: any EventLoop) -> EventLoopFuture<ByteBuffer?> {
    if input.readableBytes > 0 {
      let bytes = input
      input = ByteBuffer()
      if readHeldBack {
        readHeldBack = false
        context?.read()
      }
      return eventLoop.makeSucceededFuture(bytes)
    }
    if inputEnded { return eventLoop.makeSucceededFuture(nil) }
    let promise = eventLoop.makePromise(of: ByteBuffer?.self)
    waiting?.succeed(nil)
    waiting = promise
    return promise.futureResult
  }

  func send(_ bytes: ByteBuffer, promise: EventLoopPromise<Void>) {
    guard let context else {
      promise.fail(ChannelError.ioOnClosedChannel)
      return
    }
    context.writeAndFlush(wrapOutboundOut(.byteBuffer(bytes)), promise: promise)
  }

  func close() { context?.close(promise: nil) }

  /// A stream without elements that ends when the client's side ends.
  func watch(_ continuation: AsyncStream<Never>.Continuation) -> UInt64? {
    if inputEnded {
      continuation.finish()
      return nil
    }
    nextWatcher += 1
    watchers[nextWatcher] = continuation
    return nextWatcher
  }

  func unwatch(_ watcher: UInt64) { watchers[watcher] = nil }
}
