import Errors
import Glibc
import Synchronization

/// A scripted HTTP server on the loopback interface: one thread per connection, one answer per request.
final class FakeRegistry: Sendable {
  struct Request: Sendable {
    var method: String
    /// With its query.
    var path: String
    /// Names in lower case.
    var headers: [String: String]
    var body: [UInt8]
  }

  struct Response: Sendable {
    /// 0: the connection breaks without an answer.
    var status: Int
    var headers: [(String, String)]
    var body: [UInt8]
    /// The connection breaks after that many bytes of the body.
    var cut: Int?
    /// The connection does not break, there or before an answer, but nothing more comes.
    var stalls = false

    init(_ status: Int, headers: [(String, String)] = [], body: [UInt8] = [], cut: Int? = nil) {
      self.status = status
      self.headers = headers
      self.body = body
      self.cut = cut
    }

    init(_ status: Int, headers: [(String, String)] = [], text: String) {
      self.init(status, headers: headers, body: Array(text.utf8))
    }
  }

  let port: UInt16
  private let listener: Int32
  private let handler: @Sendable (Request) -> Response
  private let log = Mutex<[Request]>([])

  var requests: [Request] { log.withLock { $0 } }
  var domain: String { "127.0.0.1:\(port)" }

  init(_ handler: @escaping @Sendable (Request) -> Response) throws {
    self.handler = handler
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let socket = listener
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(socket, __CONST_SOCKADDR_ARG(__sockaddr__: address), length) == 0 && listen(socket, 16) == 0
          && getsockname(socket, __SOCKADDR_ARG(__sockaddr__: address), &length) == 0
      }
    }
    guard bound else { throw ApusError(.internal, "cannot listen") }
    port = UInt16(bigEndian: address.sin_port)
    // The thread keeps the server until it is stopped.
    thread { [self] in
      while true {
        let connection = accept(socket, __SOCKADDR_ARG(), nil)
        guard connection >= 0 else {
          // By the one that uses it: its number would be another test's listener at once.
          close(socket)
          return
        }
        thread { self.serve(connection) }
      }
    }
  }

  func stop() {
    shutdown(listener, Int32(SHUT_RDWR))
  }

  private func serve(_ connection: Int32) {
    defer { close(connection) }
    var pending: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 8192)
    while true {
      while pending.firstRange(of: Array("\r\n\r\n".utf8)) == nil {
        let count = read(connection, &buffer, buffer.count)
        guard count > 0 else { return }
        pending += buffer[..<count]
      }
      guard let end = pending.firstRange(of: Array("\r\n\r\n".utf8)) else { return }
      let head = String(decoding: pending[..<end.lowerBound], as: UTF8.self)
      pending.removeSubrange(..<end.upperBound)
      let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
      let words = lines[0].split(separator: " ")
      var headers: [String: String] = [:]
      for line in lines.dropFirst() {
        guard let colon = line.firstIndex(of: ":") else { continue }
        headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
      }
      let length = Int(headers["content-length"] ?? "0") ?? 0
      while length > pending.count {
        let count = read(connection, &buffer, buffer.count)
        guard count > 0 else { return }
        pending += buffer[..<count]
      }
      let body = Array(pending.prefix(length))
      pending.removeSubrange(..<length)
      let request = Request(method: String(words[0]), path: String(words[1]), headers: headers, body: body)
      log.withLock { $0.append(request) }
      let response = handler(request)
      guard response.status > 0 else {
        if response.stalls { while read(connection, &buffer, buffer.count) > 0 {} }
        return
      }
      var text = "HTTP/1.1 \(response.status) X\r\ncontent-length: \(response.body.count)\r\n"
      for (name, value) in response.headers { text += "\(name): \(value)\r\n" }
      send(connection, Array((text + "\r\n").utf8))
      if request.method != "HEAD" { send(connection, Array(response.body.prefix(response.cut ?? .max))) }
      if response.stalls { while read(connection, &buffer, buffer.count) > 0 {} }
      if response.cut != nil { return }
    }
  }

  private func send(_ connection: Int32, _ bytes: [UInt8]) {
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes {
        Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      offset += count
    }
  }
}

private func thread(_ body: @escaping @Sendable () -> Void) {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var handle = pthread_t()
  let box = Unmanaged.passRetained(Box(body))
  pthread_create(
    &handle, nil,
    { argument in
      guard let argument else { return nil }
      Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
      return nil
    }, box.toOpaque())
  pthread_detach(handle)
}

extension Array<UInt8> {
  fileprivate func firstRange(of pattern: [UInt8]) -> Range<Int>? {
    guard count >= pattern.count else { return nil }
    for start in 0...(count - pattern.count) where self[start..<start + pattern.count].elementsEqual(pattern) {
      return start..<start + pattern.count
    }
    return nil
  }
}
