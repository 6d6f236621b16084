import Errors
import Glibc
import Testing

@testable import apus

@Suite("Bodies of HTTP responses") struct BodyDecoderTests {
  /// Decodes `text` in pieces of each size, since a socket may cut anywhere.
  private func decode(_ decoder: BodyDecoder, _ text: String) throws -> [(String, Bool, Int)] {
    try (1...text.utf8.count).map { size in
      var decoder = decoder, output: [UInt8] = [], taken = 0
      var rest = Array(text.utf8)[...]
      while !rest.isEmpty {
        let count = try decoder.decode(rest.prefix(size), into: &output)
        taken += count
        rest = rest.dropFirst(size)
        if decoder.isDone { break }
      }
      return (String(decoding: output, as: UTF8.self), decoder.isDone, taken)
    }
  }

  @Test("chunks, extensions and trailers, cut anywhere")
  func chunked() throws {
    let text = "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: 1\r\n\r\n"
    for (body, done, taken) in try decode(.chunked, text) {
      #expect(body == "hello!")
      #expect(done)
      #expect(taken == text.utf8.count)
    }
  }

  @Test("leaves the next response alone")
  func next() throws {
    var decoder = BodyDecoder.length(3), output: [UInt8] = []
    #expect(try decoder.decode(Array("abcHTTP".utf8)[...], into: &output) == 3)
    #expect(output == Array("abc".utf8))
    var chunked = BodyDecoder.chunked
    output = []
    #expect(try chunked.decode(Array("1\r\na\r\n0\r\n\r\nHTTP".utf8)[...], into: &output) == 11)
  }

  @Test("bad sizes are refused", arguments: ["x\r\n", "\r\n", "fffffffffffffffff\r\n"])
  func malformed(text: String) {
    #expect(throws: ApusError.self) {
      var decoder = BodyDecoder.chunked, output: [UInt8] = []
      _ = try decoder.decode(Array(text.utf8)[...], into: &output)
    }
  }
}

@Suite("Connections") struct ConnectionTests {
  /// A listening socket whose clients are answered with fixed bytes.
  private final class Listener {
    let path = "/tmp/apus-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"
    private let descriptor: Int32

    init() {
      descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
      _ = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      listen(descriptor, 8)
    }

    deinit {
      close(descriptor)
      unlink(path)
    }

    /// Accepts one client and sends it `text`.
    func answer(_ text: String) -> Int32 {
      let client = accept4(descriptor, __SOCKADDR_ARG(__sockaddr__: nil), nil, 0)
      let bytes = Array(text.utf8)
      _ = bytes.withUnsafeBytes { write(client, $0.baseAddress, $0.count) }
      return client
    }
  }

  /// A connection whose peer has sent `text` and, unless it stays, gone away.
  private func connection(receiving text: String, peerStays: Bool = false) throws -> Connection {
    let listener = Listener()
    let connection = Connection(socket: try Socket(path: listener.path))
    let peer = listener.answer(text)
    if !peerStays { close(peer) }
    return connection
  }

  @Test("two answers on one connection")
  func keepAlive() throws {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + "HTTP/1.1 204 No Content\r\n\r\n"
    let connection = try connection(receiving: text)
    #expect(try connection.receiveHead().status == 200)
    #expect(try connection.receiveBody() == Array("ok".utf8))
    #expect(try connection.receiveHead().status == 204)
    #expect(try connection.receiveBody().isEmpty)
  }

  @Test("interim answers are passed over, header names are not case-sensitive")
  func interim() throws {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Thing:  a: b\r\ncontent-length: 0\r\n\r\n"
    #expect(try connection(receiving: text).receiveHead().headers["x-thing"] == "a: b")
  }

  @Test("what came with an upgrade belongs to the stream")
  func upgrade() throws {
    let connection = try connection(
      receiving: "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nearly", peerStays: true)
    #expect(try connection.receiveHead().status == 101)
    #expect(connection.takeBuffered() == Array("early".utf8))
  }

  @Test("an answer cut short is an error, not an end")
  func cut() throws {
    let short = try connection(receiving: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    _ = try short.receiveHead()
    #expect(throws: ApusError.self) { try short.receiveBody() }
    let silent = try connection(receiving: "")
    #expect(throws: ApusError.self) { try silent.receiveHead() }
    let other = try connection(receiving: "SSH-2.0-x\r\n\r\n\r\n")
    #expect(throws: ApusError.self) { try other.receiveHead() }
  }
}

@Suite("The daemon's place") struct EndpointTests {
  @Test("the option comes before the environment, and that before the default")
  func order() throws {
    #expect(try Endpoint.resolve(host: nil, environment: nil) == Endpoint(path: Endpoint.defaultPath, isDefault: true))
    #expect(try Endpoint.resolve(host: "unix:///a", environment: "unix:///b").path == "/a")
    #expect(try Endpoint.resolve(host: nil, environment: "/b").path == "/b")
    #expect(try Endpoint.resolve(host: nil, environment: "").isDefault)
  }

  @Test(
    "what cannot be reached is said so",
    arguments: ["tcp://h:1", "ssh://h", "relative", "unix://x", "unix:///" + String(repeating: "x", count: 200)])
  func refused(host: String) {
    #expect(throws: ApusError.self) { try Endpoint.resolve(host: host, environment: nil) }
  }

  @Test("paths are encoded")
  func target() throws {
    #expect(
      Target.path(["images", "a/b:1", "json"], [("x", "a b&c"), ("y", nil)]) == "/images/a/b:1/json?x=a%20b%26c")
    #expect(try Target.filters(["label=a=b", "label=c"]) == #"{"label":["a=b","c"]}"#)
    #expect(throws: UsageError.self) { try Target.filters(["x"]) }
  }
}
