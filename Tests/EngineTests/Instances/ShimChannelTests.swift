import Errors
import Linux
import NIOCore
import SandboxProtocol
import Synchronization
import Testing

@testable import Engine

/// The far end of a connection, spoken to by hand.
private final class Peer: Sendable {
  let descriptor: Int32
  init(_ descriptor: Int32) { self.descriptor = descriptor }
  deinit { _ = OwnedDescriptor(owning: descriptor) }

  func send(_ frame: Frame) throws { try Files.write(frame.encoded(), to: descriptor) }

  func receive() throws -> Frame? {
    var decoder = FrameDecoder()
    while true {
      if let frame = try decoder.next() { return frame }
      // One byte at a time, so as to leave the next frame where it is.
      let (bytes, _) = try UnixSocket.receive(on: descriptor, limit: 1)
      if bytes.isEmpty { return nil }
      decoder.append(bytes)
    }
  }
}

private func pair() throws -> (ours: Int32, peer: Peer) {
  let ends = try UnixSocket.pair()
  let peer = Peer(try ends.second.duplicate().release())
  return (try ends.first.duplicate().release(), peer)
}

@Suite struct ShimChannelTests {
  private func nonBlocking(_ descriptor: Int32) throws -> OwnedDescriptor {
    let owned = OwnedDescriptor(owning: descriptor)
    setNonBlocking(descriptor)
    return owned
  }

  @Test func requestsAreAnsweredByTag() async throws {
    let reactor = try ShimReactor()
    defer { reactor.stop() }
    let (ours, peer) = try pair()
    let connection = ShimConnection(socket: try nonBlocking(ours), reactor: reactor) { _ in }
    let first = try connection.post(.create, [1])
    let second = try connection.post(.state, [2])
    let one = try #require(try peer.receive())
    let two = try #require(try peer.receive())
    #expect(one.kind == .create && two.kind == .state && one.tag != two.tag)
    // Out of order, and one refused.
    try peer.send(Frame(.ok, tag: two.tag, payload: [9]))
    try peer.send(Frame(.error, tag: one.tag, ErrorReply(code: "notFound", message: "no", exitStatus: 127)))
    #expect(try await connection.answer(second) == [9])
    do {
      _ = try await connection.answer(first)
      Issue.record("an error was expected")
    } catch let error as ApusError {
      #expect(error.code == .notFound && error.exitStatus == 127)
    }
  }

  @Test func aBrokenConnectionFailsWhatIsUnderWay() async throws {
    let reactor = try ShimReactor()
    defer { reactor.stop() }
    let (ours, peer) = try pair()
    let ended = ExitWait(.nextExit)
    let connection = ShimConnection(socket: try nonBlocking(ours), reactor: reactor) { event in
      if case .ended(nil) = event { ended.fulfil(ExitResult(exitCode: -1)) }
    }
    let tag = try connection.post(.state)
    try withExtendedLifetime(peer) { try shutDown($0.descriptor) }
    await #expect(throws: ApusError.self) { try await connection.answer(tag) }
    #expect(await ended.result(within: .seconds(5)) != nil)
  }

  @Test func aSlowReaderStopsTheSender() async throws {
    let reactor = try ShimReactor()
    defer { reactor.stop() }
    let (ours, peer) = try pair()
    let stream = ShimStream(socket: try nonBlocking(ours), reactor: reactor)
    let chunk = [UInt8](repeating: 7, count: 32 * 1024)
    let total = 400
    let sent = Atomic<Int>(0)
    let sender = Task.detached {
      try peer.send(Frame(.ok, tag: 1))
      for _ in 0..<total {
        try peer.send(Frame(.stdout, tag: 1, payload: chunk))
        sent.add(1, ordering: .relaxed)
      }
      try peer.send(Frame(.end, tag: 1))
    }
    _ = try await stream.begin(.attach, [])
    try await Task.sleep(for: .milliseconds(200))
    // The socket's buffers and the stream's own, and no more.
    let soFar = sent.load(ordering: .relaxed) * chunk.count
    #expect(soFar < 2 << 20)
    var bytes = 0
    while let next = try await stream.read() { bytes += next.bytes.readableBytes }
    #expect(bytes == total * chunk.count)
    try await sender.value
  }

  @Test func theExitIsKnownBeforeTheEnd() async throws {
    let reactor = try ShimReactor()
    defer { reactor.stop() }
    let (ours, peer) = try pair()
    let code = Atomic<Int>(-1)
    let stream = ShimStream(socket: try nonBlocking(ours), reactor: reactor) {
      code.store(Int($0 ?? -2), ordering: .releasing)
    }
    try peer.send(Frame(.ok, tag: 1, ProcessStarted(pid: 5)))
    try peer.send(Frame(.stderr, tag: 1, payload: Array("oh".utf8)))
    try peer.send(Frame(.execExited, tag: 1, ExecExited(id: "x", exitCode: 3)))
    try peer.send(Frame(.end, tag: 1))
    #expect(try ProcessStarted(json: await stream.begin(.exec, []), subject: "x").pid == 5)
    let chunk = try #require(try await stream.read())
    #expect(chunk.stream == .stderr && String(buffer: chunk.bytes) == "oh")
    #expect(try await stream.read() == nil)
    let known = code.load(ordering: .acquiring)
    #expect(known == 3)
  }

  @Test func nonsenseClosesTheConnection() async throws {
    let reactor = try ShimReactor()
    defer { reactor.stop() }
    let (ours, peer) = try pair()
    let stream = ShimStream(socket: try nonBlocking(ours), reactor: reactor)
    try Files.write([0xff, 0xff, 0xff, 0xff, 65, 0, 1, 0], to: peer.descriptor)
    await #expect(throws: ApusError.self) { try await stream.begin(.attach, []) }
    #expect(try await stream.read() == nil)
  }

  @Test func anAttachBeforeTheStartConnectsLater() async throws {
    let reactor = try ShimReactor()
    defer { reactor.stop() }
    let (ours, peer) = try pair()
    var options = AttachOptions()
    options.stdin = true
    options.stdout = true
    let detached = Atomic<Bool>(false)
    let session = try AttachSession(terminal: true, options: options) { detached.store(true, ordering: .releasing) }
    let reader = Task { try await session.read() }
    let writer = Task { try await session.write(ByteBuffer(string: "hi")) }
    session.connect(ShimStream(socket: try nonBlocking(ours), reactor: reactor))
    try await writer.value
    let input = try #require(try peer.receive())
    #expect(input.kind == .stdin && input.payload == Array("hi".utf8))
    try peer.send(Frame(.stdout, tag: 1, payload: Array("ho".utf8)))
    let output = try #require(try await reader.value)
    #expect(String(buffer: output.bytes) == "ho")
    try await session.write(ByteBuffer(bytes: [0x10, 0x11]))
    let left = detached.load(ordering: .acquiring)
    #expect(left)
    #expect(try await session.read() == nil)
  }
}
