import CLinux
import Errors
import Glibc

/// Two connected sockets.
@frozen
public struct SocketPair: ~Copyable, Sendable {
  public var first: OwnedDescriptor
  public var second: OwnedDescriptor

  public init(first: consuming OwnedDescriptor, second: consuming OwnedDescriptor) {
    self.first = first
    self.second = second
  }
}

/// Unix-domain sockets: streams and packets, descriptors along with bytes.
public enum UnixSocket {
  public enum Kind: Sendable {
    case stream
    /// Keeps message boundaries.
    case packets
    /// Messages without a connection.
    case datagrams

    var value: Int32 {
      switch self {
      case .stream: Int32(SOCK_STREAM.rawValue)
      case .packets: Int32(SOCK_SEQPACKET.rawValue)
      case .datagrams: Int32(SOCK_DGRAM.rawValue)
      }
    }
  }

  private static let closeOnExec = Int32(SOCK_CLOEXEC.rawValue)
  private static let nonBlocking = Int32(SOCK_NONBLOCK.rawValue)

  /// A connected pair, both close-on-exec.
  public static func pair(
    _ kind: Kind = .stream, nonBlocking: Bool = false
  ) throws(ApusError) -> SocketPair {
    var ends: (Int32, Int32) = (-1, -1)
    let type = kind.value | closeOnExec | (nonBlocking ? Self.nonBlocking : 0)
    let result = withUnsafeMutablePointer(to: &ends) {
      $0.withMemoryRebound(to: Int32.self, capacity: 2) { socketpair(AF_UNIX, type, 0, $0) }
    }
    try check(result, "cannot make a pair of sockets")
    return SocketPair(first: OwnedDescriptor(owning: ends.0), second: OwnedDescriptor(owning: ends.1))
  }

  /// A listening socket at `path`, which a leftover of the same name makes way for. Longer paths than the 107 bytes of
  /// an address go through the directory's descriptor.
  public static func listen(
    at path: String, mode: mode_t = 0o600, kind: Kind = .stream, backlog: Int32 = 128, nonBlocking: Bool = false
  ) throws(ApusError) -> OwnedDescriptor {
    let socket = try make(kind, nonBlocking: nonBlocking)
    _ = unlink(path)
    // Before bind, so that there is no moment in which the socket is open to others.
    try check(fchmod(socket.raw, mode), "cannot set the mode of \(path)")
    try address(socket.raw, path, bind: true)
    try check(Glibc.listen(socket.raw, backlog), "cannot listen at \(path)")
    return socket
  }

  /// A socket for datagrams that are sent to `path`, which a leftover of the same name makes way for.
  public static func bind(at path: String, nonBlocking: Bool = false) throws(ApusError) -> OwnedDescriptor {
    let socket = try make(.datagrams, nonBlocking: nonBlocking)
    _ = unlink(path)
    try address(socket.raw, path, bind: true)
    return socket
  }

  /// A connection to the socket at `path`; one that begins with `@` is a name in the abstract name space (unix(7)).
  public static func connect(
    to path: String, kind: Kind = .stream, nonBlocking: Bool = false
  ) throws(ApusError) -> OwnedDescriptor {
    let socket = try make(kind, nonBlocking: false)
    try address(socket.raw, path, bind: false)
    if nonBlocking { try check(clinux_fcntl(socket.raw, F_SETFL, Int(O_NONBLOCK)), "cannot set up a socket") }
    return socket
  }

  /// The next connection; nil when none waits on a non-blocking socket.
  public static func accept(_ listener: Int32, nonBlocking: Bool = false) throws(ApusError) -> OwnedDescriptor? {
    let connection = retrying {
      clinux_accept(listener, closeOnExec | (nonBlocking ? Self.nonBlocking : 0))
    }
    if connection < 0, errno == EAGAIN || errno == ECONNABORTED { return nil }
    return OwnedDescriptor(owning: try check(connection, "cannot accept a connection"))
  }

  /// Process, user and group at the other end, as they were when it connected.
  public static func peer(of socket: Int32) throws(ApusError) -> (process: pid_t, user: uid_t, group: gid_t) {
    var process: pid_t = 0
    var user: uid_t = 0
    var group: gid_t = 0
    try check(clinux_peer(socket, &process, &user, &group), "cannot examine the peer of a socket")
    return (process, user, group)
  }

  /// Sends bytes (at least one) and descriptors in one message. SIGPIPE is never raised.
  @discardableResult
  public static func send(
    _ bytes: [UInt8], descriptors: [Int32] = [], on socket: Int32
  ) throws(ApusError) -> Int {
    let sent = bytes.withUnsafeBytes { buffer in
      descriptors.withUnsafeBufferPointer {
        clinux_send(socket, buffer.baseAddress, buffer.count, $0.baseAddress, $0.count, 0)
      }
    }
    return try check(sent, "cannot send on a socket")
  }

  /// Receives up to `limit` bytes and `descriptorLimit` descriptors, which the caller now owns; no bytes means that the
  /// peer has closed. Throws resourceExhausted (EAGAIN) when nothing waits on a non-blocking socket.
  public static func receive(
    on socket: Int32, limit: Int, descriptorLimit: Int = 0
  ) throws(ApusError) -> (bytes: [UInt8], descriptors: [Int32]) {
    var bytes = [UInt8](repeating: 0, count: limit)
    var descriptors = [Int32](repeating: -1, count: descriptorLimit)
    var count = descriptorLimit
    let got = bytes.withUnsafeMutableBytes { buffer in
      descriptors.withUnsafeMutableBufferPointer {
        clinux_receive(socket, buffer.baseAddress, buffer.count, $0.baseAddress, &count, 0)
      }
    }
    try check(got, "cannot receive on a socket")
    return (Array(bytes.prefix(got)), Array(descriptors.prefix(count)))
  }

  private static func make(_ kind: Kind, nonBlocking: Bool) throws(ApusError) -> OwnedDescriptor {
    OwnedDescriptor(
      owning: try check(
        socket(AF_UNIX, kind.value | closeOnExec | (nonBlocking ? Self.nonBlocking : 0), 0), "cannot make a socket"))
  }

  private static func address(_ socket: Int32, _ path: String, bind: Bool) throws(ApusError) {
    let stage = bind ? "cannot listen at \(path)" : "cannot connect to \(path)"
    if path.hasPrefix("@") { return _ = try check(clinux_unix_address(socket, path, bind), stage) }
    if path.utf8.count < 108 {
      try check(clinux_unix_address(socket, path, bind), stage)
      return
    }
    guard let slash = path.lastIndex(of: "/") else { throw ApusError(errno: ENAMETOOLONG, stage) }
    let directory = try Files.open(String(path[..<slash]), flags: O_PATH | O_DIRECTORY)
    let short = "\(directory.path)/\(path[path.index(after: slash)...])"
    try check(clinux_unix_address(socket, short, bind), stage)
  }
}
