import Errors
import Glibc

/// Speaks the Docker Engine API, and Apus's own additions to it, with one daemon.
///
/// Paths carry no version: the daemon and this program are released together.
final class Client {
  let endpoint: Endpoint
  private var idle: [Connection] = []

  init(endpoint: Endpoint) { self.endpoint = endpoint }

  // MARK: Connections

  /// A connection nobody else uses. Starts the daemon when none runs and it is ours to start.
  func connect() throws -> Connection {
    if let connection = idle.popLast() ?? EarlyConnection.take(endpoint.path) { return connection }
    do {
      return Connection(socket: try Socket(path: endpoint.path))
    } catch {
      return Connection(socket: try DaemonLauncher(endpoint: endpoint).recover(from: error.number))
    }
  }

  /// Opens connections that will be needed soon, so that the daemon takes them while it does something else.
  func prepare(_ count: Int) {
    for _ in 0..<count {
      guard let socket = try? Socket(path: endpoint.path) else { return }
      idle.insert(Connection(socket: socket), at: 0)
    }
  }

  /// Gives a connection back once its response has been read to the end.
  func reuse(_ connection: Connection) {
    if connection.body.isDone { idle.append(connection) }
  }

  // MARK: Requests

  /// Sends a request and reads the response's head; a failure becomes an ``APIFailure``.
  func open(
    _ method: String, _ target: String, headers: [(String, String)] = [], body: JSON? = nil,
    on connection: Connection? = nil
  ) throws -> (head: ResponseHead, connection: Connection) {
    let connection = try connection ?? connect()
    try send(method, target, headers: headers, body: body, on: connection)
    return (try accept(connection, method: method), connection)
  }

  /// Sends a request without waiting for its response.
  func send(
    _ method: String, _ target: String, headers: [(String, String)] = [], body: JSON? = nil, on connection: Connection
  ) throws {
    var headers = headers
    if body != nil { headers.append(("Content-Type", "application/json")) }
    let bytes = body?.bytes() ?? (method == "POST" || method == "PUT" ? [] : nil)
    try connection.send(method, target, headers: headers, body: bytes)
  }

  /// Reads a response's head, and the whole of an error.
  func accept(_ connection: Connection, method: String = "GET") throws -> ResponseHead {
    let head = try connection.receiveHead(for: method)
    if head.isSuccess { return head }
    let bytes = try connection.receiveBody(limit: 1 << 20)
    let message = (try? JSONReader.read(bytes))?["message"].string ?? String(decoding: bytes, as: UTF8.self)
    reuse(connection)
    throw APIFailure(status: head.status, message: message)
  }

  /// A request whose response is one JSON value; `.null` when it has no body.
  ///
  /// - Parameter preparing: how many connections to open while the daemon works on this one.
  @discardableResult
  func request(
    _ method: String, _ target: String, headers: [(String, String)] = [], body: JSON? = nil, preparing: Int = 0
  ) throws -> JSON {
    let connection = try connect()
    try send(method, target, headers: headers, body: body, on: connection)
    prepare(preparing)
    _ = try accept(connection, method: method)
    return try answer(on: connection)
  }

  /// The JSON body of a response whose head has been accepted.
  func answer(on connection: Connection) throws -> JSON {
    let bytes = try connection.receiveBody()
    reuse(connection)
    return bytes.isEmpty ? .null : try JSONReader.read(bytes)
  }

  /// A request whose response is a stream of JSON values, one to a line.
  func stream(
    _ method: String, _ target: String, headers: [(String, String)] = [], each: (JSON) throws -> Void
  ) throws {
    let (_, connection) = try open(method, target, headers: headers)
    try lines(of: connection, each: each)
  }

  /// Reads the values of a streamed response as they arrive.
  func lines(of connection: Connection, each: (JSON) throws -> Void) throws {
    var rest: [UInt8] = []
    while let piece = try connection.receivePiece() {
      rest += piece
      var start = 0
      for position in rest.indices where rest[position] == 0x0A {
        let line = rest[start..<position]
        start = position + 1
        if line.contains(where: { $0 > 0x20 }) { try each(JSONReader.read(Array(line))) }
      }
      rest.removeFirst(start)
      guard rest.count < 64 << 20 else {
        throw ApusError(.resourceExhausted, "A line of the daemon's answer is larger than 64 MiB.")
      }
    }
    if rest.contains(where: { $0 > 0x20 }) { try each(JSONReader.read(rest)) }
    reuse(connection)
  }
}

/// The daemon answered that it could not or would not.
struct APIFailure: Error, Sendable {
  let status: Int
  let message: String
}

/// A path of the API with its query, percent-encoded.
enum Target {
  /// - Parameter query: pairs without a value are left out.
  static func path(_ segments: [String], _ query: [(String, String?)] = []) -> String {
    var text = ""
    for segment in segments { text += "/" + encode(segment, keepSlash: true) }
    var separator = "?"
    for (name, value) in query {
      guard let value else { continue }
      text += separator + name + "=" + encode(value)
      separator = "&"
    }
    return text
  }

  static func container(_ id: String, _ verb: String? = nil, _ query: [(String, String?)] = []) -> String {
    path(["containers", id] + (verb.map { [$0] } ?? []), query)
  }

  static func encode(_ text: String, keepSlash: Bool = false) -> String {
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"), UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: ","):
        bytes.append(byte)
      case UInt8(ascii: "/") where keepSlash: bytes.append(byte)
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        bytes += Array(("%" + (digits.utf8.count == 1 ? "0" : "") + digits).utf8)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  static func flag(_ value: Bool) -> String? { value ? "1" : nil }

  /// Docker's `filters` parameter from `--filter key=value` options.
  static func filters(_ options: [String]) throws -> String? {
    if options.isEmpty { return nil }
    var values: [(key: String, list: [String])] = []
    for option in options {
      let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw UsageError("The filter '\(option)' is not written as key=value.")
      }
      if let position = values.firstIndex(where: { $0.key == parts[0] }) {
        values[position].list.append(parts[1])
      } else {
        values.append((parts[0], [parts[1]]))
      }
    }
    return JSON.object(values.map { JSON.Member(key: $0.key, value: JSON($0.list)) }).text()
  }
}
