import CLinux
import Errors
import Glibc
import Linux

/// What the caller and a new process tell each other until its program runs. Packets over a close-on-exec socket pair:
/// its end without a word is the sign that execve(2) has succeeded.
enum Channel {
  enum Message: Sendable {
    /// Caller to process: users are mapped; the root may come along as a descriptor.
    case mapped
    /// Caller to process: the cgroup is there to be entered.
    case cgroup
    /// Caller to process: run the program.
    case start
    /// Process to caller: the master of the terminal comes along.
    case terminal
    /// Process to caller: a descriptor of the root comes along.
    case root
    /// Process to caller: all is mounted, the hooks of the runtime can run.
    case hooks
    /// Caller to process: the hooks have run.
    case hooked
    /// Process to caller: its descriptor of this number is the listener of its seccomp filter.
    case listener(Int32)
    /// Caller to process: the listener has been taken over.
    case delivered
    /// Process to caller: only the program is missing.
    case ready
    /// Process to caller: it did not work.
    case failed(ApusError)

    var byte: UInt8 {
      switch self {
      case .mapped: 1
      case .cgroup: 2
      case .start: 3
      case .terminal: 4
      case .ready: 5
      case .failed: 6
      case .root: 7
      case .hooks: 8
      case .hooked: 9
      case .listener: 10
      case .delivered: 11
      }
    }
  }

  static let maximumLength = 8192

  /// Sends a message. Plain write(2) without a descriptor: it is used below a seccomp filter.
  static func send(_ message: Message, descriptor: Int32? = nil, on socket: Int32) throws(ApusError) {
    var bytes = [message.byte]
    if case .failed(let error) = message { bytes += encode(error) }
    if case .listener(let number) = message { withUnsafeBytes(of: number.littleEndian) { bytes += $0 } }
    if let descriptor {
      try UnixSocket.send(bytes, descriptors: [descriptor], on: socket)
    } else {
      let sent = bytes.withUnsafeBytes { buffer in retrying { write(socket, buffer.baseAddress, buffer.count) } }
      try check(sent, "cannot reach the other side of a container's set-up")
    }
  }

  /// The next message and its descriptor, if any; nil when the other side has closed.
  static func receive(on socket: Int32) throws(ApusError) -> (message: Message, descriptor: Int32?)? {
    let (bytes, descriptors): ([UInt8], [Int32])
    do {
      (bytes, descriptors) = try UnixSocket.receive(on: socket, limit: maximumLength, descriptorLimit: 1)
    } catch  where error.errno == ECONNRESET {
      // The other side died with something of ours unread.
      return nil
    }
    guard let kind = bytes.first else { return nil }
    let message: Message
    switch kind {
    case 1: message = .mapped
    case 2: message = .cgroup
    case 3: message = .start
    case 4: message = .terminal
    case 5: message = .ready
    case 7: message = .root
    case 8: message = .hooks
    case 9: message = .hooked
    case 10: message = .listener(bytes.dropFirst().prefix(4).reversed().reduce(0) { $0 << 8 | Int32($1) })
    case 11: message = .delivered
    default: message = .failed(decode(bytes.dropFirst()))
    }
    return (message, descriptors.first)
  }

  /// Waits for `start` with nothing but read(2): a seccomp filter is in force.
  static func waitForStart(on socket: Int32) -> Bool { wait(for: .start, on: socket) }

  /// Waits for a message likewise; false when it is another one, or the other side has closed.
  static func wait(for message: Message, on socket: Int32) -> Bool {
    var byte: UInt8 = 0
    return retrying { read(socket, &byte, 1) } == 1 && byte == message.byte
  }

  // MARK: Errors as bytes: code, errno, whether it is an ExecFailure, lengths and texts.

  static func encode(_ error: ApusError) -> [UInt8] {
    let failure = error.cause as? ExecFailure
    let code = Array(error.code.rawValue.utf8)
    let program = Array((failure?.program ?? "").utf8.prefix(3000))
    let message = Array(error.message.utf8.prefix(4000))
    var bytes = [UInt8(code.count)] + code
    withUnsafeBytes(of: (failure?.errno ?? error.errno ?? 0).littleEndian) { bytes += $0 }
    bytes.append(failure == nil ? 0 : 1)
    bytes += [UInt8(program.count & 0xff), UInt8(program.count >> 8)] + program
    return bytes + message
  }

  static func decode(_ bytes: ArraySlice<UInt8>) -> ApusError {
    var rest = bytes
    func take(_ count: Int) -> ArraySlice<UInt8>? {
      guard rest.count >= count else { return nil }
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count)
    }
    guard let length = take(1)?.first, let code = take(Int(length)), let number = take(4), let isExec = take(1)?.first,
      let size = take(2).map({ Int($0[$0.startIndex]) | Int($0[$0.startIndex + 1]) << 8 }), let program = take(size)
    else { return ApusError(.internal, "a container's set-up failed without saying why") }
    let message = String(decoding: rest, as: UTF8.self)
    let errno = number.reversed().reduce(Int32(0)) { $0 << 8 | Int32($1) }
    let cause: any Error =
      isExec == 1
      ? ExecFailure(program: String(decoding: program, as: UTF8.self), errno: errno)
      : SystemFailure(errno: errno, stage: message)
    return ApusError(
      ErrorCode(rawValue: String(decoding: code, as: UTF8.self)) ?? .internal, message,
      cause: isExec == 1 || errno != 0 ? cause : nil)
  }
}
