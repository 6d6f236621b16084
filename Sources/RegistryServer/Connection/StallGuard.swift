import NIOCore

/// Closes a connection on which nothing moves: a client that does not finish its request's head, stops sending its
/// body, stops reading the answer, or keeps the connection for nothing.
///
/// Behind the HTTP decoder, so that a head that trickles in byte by byte counts as nothing.
final class StallGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = NIOAny
  typealias OutboundIn = NIOAny

  private let patience: TimeAmount
  private var moved = NIODeadline.uptimeNanoseconds(0)
  private var check: Scheduled<Void>?

  init(patience: TimeAmount) { self.patience = patience }

  func handlerAdded(context: ChannelHandlerContext) {
    moved = context.eventLoop.now
    schedule(context, in: patience)
  }

  func handlerRemoved(context: ChannelHandlerContext) { check?.cancel() }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    moved = context.eventLoop.now
    context.fireChannelRead(data)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    // The application writes no more while the client does not read.
    moved = context.eventLoop.now
    context.write(data, promise: promise)
  }

  private func schedule(_ context: ChannelHandlerContext, in time: TimeAmount) {
    check = context.eventLoop.assumeIsolated().scheduleTask(in: time) { [self] in
      let left = moved + patience - context.eventLoop.now
      if left <= .nanoseconds(0) { context.close(promise: nil) } else { schedule(context, in: left) }
    }
  }
}
