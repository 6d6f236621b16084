import NIOCore

/// A connection as request handlers see it.
struct Connection: Sendable {
  let channel: any Channel
  private let handler: NIOLoopBound<ConnectionHandler>

  /// On the channel's event loop.
  init(channel: any Channel, handler: ConnectionHandler) {
    self.channel = channel
    self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
  }

  /// Finds the connection that a request came on.
  static func of(_ channel: any Channel) async throws -> Connection {
    try await channel.eventLoop.submit {
      Connection(channel: channel, handler: try channel.pipeline.syncOperations.handler(type: ConnectionHandler.self))
    }.get()
  }

  /// Returns when the client has gone, or has shut down its side as one that waits for nothing does; or when cancelled.
  func clientGone() async {
    let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
    let handler = handler
    let eventLoop = channel.eventLoop
    let watcher = try? await eventLoop.submit { handler.value.watch(continuation) }.get()
    for await _ in stream {}
    if let watcher { eventLoop.execute { handler.value.unwatch(watcher) } }
  }

  // MARK: - Hijack

  /// Leaves HTTP and writes `head` as it is.
  func hijack(head: ByteBuffer) async throws {
    let handler = handler
    let eventLoop = channel.eventLoop
    try await eventLoop.flatSubmit {
      handler.value.hijack()
      let promise = eventLoop.makePromise(of: Void.self)
      handler.value.send(head, promise: promise)
      return promise.futureResult
    }.get()
  }

  /// The next bytes from the client, nil after its half-close or its end.
  func read() async throws -> ByteBuffer? {
    let handler = handler
    let eventLoop = channel.eventLoop
    return try await eventLoop.flatSubmit { handler.value.nextInput(on: eventLoop) }.get()
  }

  /// Returns when the kernel has taken the bytes: a slow client slows the caller.
  func write(_ bytes: ByteBuffer) async throws {
    let handler = handler
    let eventLoop = channel.eventLoop
    try await eventLoop.flatSubmit {
      let promise = eventLoop.makePromise(of: Void.self)
      handler.value.send(bytes, promise: promise)
      return promise.futureResult
    }.get()
  }

  /// Closes both directions; what was written has been flushed.
  func close() {
    let handler = handler
    channel.eventLoop.execute { handler.value.close() }
  }

  /// Returns when the connection is closed, whoever did it.
  func closed() async { try? await channel.closeFuture.get() }
}
