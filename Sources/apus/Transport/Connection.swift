import Errors

/// The status line and headers of an HTTP response.
struct ResponseHead: Sendable {
  let status: Int
  /// Names in lower case.
  let headers: [String: String]

  var isSuccess: Bool { (200..<300).contains(status) || status == 304 || status == 101 }
}

/// One HTTP/1.1 connection to the daemon: requests one after another, or several sent before the first is answered.
///
/// It is synchronous and has no event loop: the command line does one thing at a time, and where it does not
/// (`run`, `attach`) it waits on descriptors itself. docs/decisions/0020 has the measurements.
final class Connection {
  let socket: Socket
  private var buffer: [UInt8] = []
  private var scratch = [UInt8](repeating: 0, count: 64 * 1024)
  private(set) var body = BodyDecoder.length(0)
  private static let longestHead = 256 * 1024

  init(socket: Socket) { self.socket = socket }

  // MARK: Sending

  func send(_ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil)
    throws(ApusError)
  {
    var text = "\(method) \(target) HTTP/1.1\r\nHost: apus\r\n"
    for (name, value) in headers { text += "\(name): \(value)\r\n" }
    if let body { text += "Content-Length: \(body.count)\r\n" }
    text += "\r\n"
    var bytes = Array(text.utf8)
    if let body { bytes += body }
    try socket.send(bytes)
  }

  /// One piece of a body sent with `Transfer-Encoding: chunked`; the empty piece ends it.
  func sendChunk(_ bytes: ArraySlice<UInt8>) throws(ApusError) {
    if bytes.isEmpty { return try socket.send(Array("0\r\n\r\n".utf8)) }
    try socket.send(Array((String(bytes.count, radix: 16) + "\r\n").utf8) + bytes + [0x0D, 0x0A])
  }

  // MARK: Receiving

  /// Waits for the next response's head. Interim responses (100) are skipped.
  func receiveHead(for method: String = "GET") throws(ApusError) -> ResponseHead {
    while true {
      if let end = headEnd() {
        let head = try Self.parse(buffer[..<end])
        buffer.removeFirst(end)
        if (100..<200).contains(head.status), head.status != 101 { continue }
        body = try Self.bodyDecoder(for: head, method: method)
        return head
      }
      guard buffer.count < Self.longestHead else {
        throw ApusError(.unavailable, "The daemon's answer has headers of more than \(Self.longestHead) bytes.")
      }
      guard try fill() else {
        throw ApusError(.unavailable, "The daemon closed the connection before it answered; see its log.")
      }
    }
  }

  /// The next piece of the body, waiting for one; nil at its end.
  func receivePiece() throws(ApusError) -> [UInt8]? {
    while !body.isDone {
      var piece: [UInt8] = []
      let taken = try body.decode(buffer[...], into: &piece)
      buffer.removeFirst(taken)
      if !piece.isEmpty { return piece }
      if body.isDone { break }
      if try !fill() {
        if body.mayEndHere {
          body = .length(0)
          return nil
        }
        throw ApusError(.unavailable, "The daemon closed the connection in the middle of its answer; see its log.")
      }
    }
    return nil
  }

  /// The whole body.
  func receiveBody(limit: Int = 256 << 20) throws(ApusError) -> [UInt8] {
    var bytes: [UInt8] = []
    while let piece = try receivePiece() {
      bytes += piece
      guard bytes.count <= limit else {
        throw ApusError(.resourceExhausted, "The daemon's answer is larger than \(limit) bytes.")
      }
    }
    return bytes
  }

  /// Receives once, after the socket was found readable; appends what belongs to the body. Returns false at its end.
  func receiveAvailable(into output: inout [UInt8]) throws(ApusError) -> Bool {
    if body.isDone { return false }
    let more = try fill()
    let taken = try body.decode(buffer[...], into: &output)
    buffer.removeFirst(taken)
    return more && !body.isDone
  }

  /// What arrived together with the head of a response that ended HTTP on this connection.
  func takeBuffered() -> [UInt8] {
    defer { buffer = [] }
    return buffer
  }

  private func fill() throws(ApusError) -> Bool {
    let count = try socket.receive(into: &scratch)
    buffer += scratch[..<count]
    return count > 0
  }

  private func headEnd() -> Int? {
    guard buffer.count >= 4 else { return nil }
    for position in 3..<buffer.count
    where buffer[position] == 0x0A && buffer[position - 1] == 0x0D && buffer[position - 2] == 0x0A {
      return position + 1
    }
    return nil
  }

  private static func parse(_ bytes: ArraySlice<UInt8>) throws(ApusError) -> ResponseHead {
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
    let status = lines.first?.split(separator: " ")
    guard let status, status.count >= 2, status[0].hasPrefix("HTTP/1."), let code = Int(status[1]) else {
      throw ApusError(
        .unavailable, "What answers on the socket does not speak HTTP; is it the socket of apusd?")
    }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
      headers[line[..<colon].lowercased()] = String(value)
    }
    return ResponseHead(status: code, headers: headers)
  }

  private static func bodyDecoder(for head: ResponseHead, method: String) throws(ApusError) -> BodyDecoder {
    if method == "HEAD" || head.status == 204 || head.status == 304 { return .length(0) }
    // After an upgrade the bytes belong to the stream.
    if head.status == 101 { return .untilClose }
    if head.headers["transfer-encoding"]?.lowercased() == "chunked" { return .chunked }
    guard let text = head.headers["content-length"] else { return .untilClose }
    guard let length = Int(text), length >= 0 else {
      throw ApusError(.unavailable, "The daemon's answer is not valid HTTP: bad Content-Length.")
    }
    return .length(length)
  }
}
