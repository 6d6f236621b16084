import NIOCore
import NIOEmbedded
import Testing

@testable import DockerAPI

/// Counts what is read from the socket.
private final class ReadCounter: ChannelOutboundHandler {
  typealias OutboundIn = IOData
  var reads = 0
  func read(context: ChannelHandlerContext) { reads += 1 }
}

struct ConnectionHandlerTests {
  private let counter = ReadCounter()
  private let handler = ConnectionHandler()

  private func channel() throws -> EmbeddedChannel {
    let channel = EmbeddedChannel()
    try channel.pipeline.syncOperations.addHandler(counter)
    try channel.pipeline.syncOperations.addHandler(handler)
    return channel
  }

  @Test func untilTheHijackItOnlyWatches() throws {
    let channel = try channel()
    try channel.writeInbound(ByteBuffer(string: "GET"))
    #expect(try channel.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "GET"))
    try channel.writeOutbound(IOData.byteBuffer(ByteBuffer(string: "HTTP")))
    #expect(try channel.readOutbound(as: IOData.self) == .byteBuffer(ByteBuffer(string: "HTTP")))
    _ = try channel.finish()
  }

  @Test func theHijackerHasBothDirections() throws {
    let channel = try channel()
    handler.hijack()
    try channel.writeInbound(ByteBuffer(string: "in"))
    #expect(try channel.readInbound(as: ByteBuffer.self) == nil)
    #expect(try handler.nextInput(on: channel.embeddedEventLoop).wait() == ByteBuffer(string: "in"))
    let promise = channel.embeddedEventLoop.makePromise(of: Void.self)
    handler.send(ByteBuffer(string: "out"), promise: promise)
    try promise.futureResult.wait()
    #expect(try channel.readOutbound(as: IOData.self) == .byteBuffer(ByteBuffer(string: "out")))
    // What the codec still says is dropped.
    try channel.writeOutbound(IOData.byteBuffer(ByteBuffer(string: "late")))
    #expect(try channel.readOutbound(as: IOData.self) == nil)
    _ = try channel.finish()
  }

  @Test func aWaitingReaderGetsTheBytesAndTheEnd() throws {
    let channel = try channel()
    handler.hijack()
    let first = handler.nextInput(on: channel.embeddedEventLoop)
    try channel.writeInbound(ByteBuffer(string: "x"))
    #expect(try first.wait() == ByteBuffer(string: "x"))
    let second = handler.nextInput(on: channel.embeddedEventLoop)
    channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    #expect(try second.wait() == nil)
    #expect(try handler.nextInput(on: channel.embeddedEventLoop).wait() == nil)
    _ = try channel.finish()
  }

  @Test func aSlowReaderStopsTheSocket() throws {
    let channel = try channel()
    handler.hijack()
    try channel.writeInbound(ByteBuffer(repeating: 0, count: ConnectionHandler.inputLimit))
    let before = counter.reads
    channel.read()
    #expect(counter.reads == before)
    #expect(try handler.nextInput(on: channel.embeddedEventLoop).wait()?.readableBytes == ConnectionHandler.inputLimit)
    #expect(counter.reads == before + 1)
    _ = try channel.finish()
  }

  @Test func watchersLearnOfTheEnd() async throws {
    let channel = try channel()
    let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
    #expect(handler.watch(continuation) != nil)
    channel.pipeline.fireChannelInactive()
    for await _ in stream {}
    let (late, lateContinuation) = AsyncStream.makeStream(of: Never.self)
    #expect(handler.watch(lateContinuation) == nil)
    for await _ in late {}
  }
}
