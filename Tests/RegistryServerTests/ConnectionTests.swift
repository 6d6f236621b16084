import Dispatch
import Glibc
import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import RegistryServer

/// What connections may do: not stand still, and not be too many.
@Suite struct ConnectionTests {
  /// Runs `body` with the port of a server of its own.
  private func withServer(
    _ configure: (inout RegistryServerConfiguration.Limits) -> Void, _ body: (UInt16) async throws -> Void
  ) async throws {
    let root = "/tmp/registry-test.\(UInt64.random(in: 0 ... .max))"
    var configuration = RegistryServerConfiguration(root: root, port: 0)
    configure(&configuration.limits)
    let server = try RegistryServer(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let result: Result<Void, any Error>
    do {
      result = .success(try await body(UInt16(try await server.listen())))
    } catch {
      result = .failure(error)
    }
    await server.shutdown()
    removeTree(root)
    try result.get()
  }

  private static let question = "GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n"

  @Test func aHeadMustArrive() async throws {
    try await withServer({ $0.idle = 1 }) { port in
      let connection = try RawConnection(port)
      connection.send("GET /v2/ HTTP/1.1\r\nho")
      #expect(await connection.readAll().isEmpty)
    }
  }

  @Test func aConnectionIsNotKeptForNothing() async throws {
    try await withServer({ $0.idle = 1 }) { port in
      let connection = try RawConnection(port)
      connection.send(Self.question)
      // Whatever was answered: it ends.
      _ = await connection.readAll()
    }
  }

  @Test func onlyStandingStillEndsAConnection() throws {
    let channel = EmbeddedChannel(handler: StallGuard(patience: .seconds(60)))
    try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    let loop = channel.embeddedEventLoop
    for _ in 0..<3 {
      loop.advanceTime(by: .seconds(59))
      try channel.writeInbound("a piece that came")
      loop.advanceTime(by: .seconds(59))
      try channel.writeOutbound("a piece that was taken")
      #expect(channel.isActive)
    }
    loop.advanceTime(by: .seconds(59))
    #expect(channel.isActive)
    loop.advanceTime(by: .seconds(1))
    #expect(!channel.isActive)
    _ = try channel.finish(acceptAlreadyClosed: true)
  }

  @Test func moreConnectionsThanAllowedAreClosed() async throws {
    try await withServer({ $0.connections = 2 }) { port in
      var kept = [try RawConnection(port), try RawConnection(port)]
      for connection in kept {
        connection.send(Self.question)
        #expect(await connection.readSome().hasPrefix("HTTP/1.1 200"))
      }
      let surplus = try RawConnection(port)
      surplus.send(Self.question)
      #expect(await surplus.readAll().isEmpty)
      // When one has ended there is room again, as soon as the server has seen it.
      kept.removeFirst()
      var answer = ""
      for _ in 0..<1_000 where answer.isEmpty {
        let next = try RawConnection(port)
        next.send(Self.question)
        answer = await next.readSome()
        if answer.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
      }
      #expect(answer.hasPrefix("HTTP/1.1 200"))
    }
  }
}

/// Bytes to and from a port of the loopback interface.
private final class RawConnection {
  private let socket: Int32

  init(_ port: UInt16) throws {
    socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    // Nothing here takes as long, unless the server never ends it: not even where other tests take all threads.
    var patience = timeval(tv_sec: 900, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    let connected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket, __CONST_SOCKADDR_ARG(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(connected == 0)
  }

  deinit { close(socket) }

  func send(_ text: String) {
    let bytes = Array(text.utf8)
    _ = Glibc.send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  /// What comes next; empty at the end. On a thread of its own: the server needs those of the tests.
  func readSome() async -> String {
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async { [socket] in
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        let count = read(socket, &buffer, buffer.count)
        #expect(count >= 0 || errno == ECONNRESET)
        continuation.resume(returning: String(decoding: buffer.prefix(max(0, count)), as: UTF8.self))
      }
    }
  }

  /// Everything until the server closes the connection.
  func readAll() async -> String {
    var text = ""
    while case let more = await readSome(), !more.isEmpty { text += more }
    return text
  }
}
